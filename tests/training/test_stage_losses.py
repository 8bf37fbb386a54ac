# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of each stage against numbers worked out by hand, and what the losses are made of."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.features import features_to_joints, root_path
from t2m_blender.engine.gpt import GPT, TextCondition
from t2m_blender.engine.skeleton import KIT
from t2m_blender.engine.vqvae import VQVAE
from training.captioned_tokens import (
    CaptionedTokens,
    corrupted,
    cropped,
    padded,
    text_features,
    tokenised,
)
from training.config import GPTTraining, TextTraining, VQVAETraining
from training.data.dataset import Dataset, read_dataset
from training.reconstruction import ReconstructionLoss, root_and_joints, still, still_joints
from training.train_gpt import divergence, foretold, token_loss
from training.train_vqvae import codebook_usage

NO_TEXT = TextCondition(
    torch.zeros(2, 4), torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool)
)


def silent(network: nn.Module) -> nn.Module:
    """The network with all its parameters zero."""
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return network


def plain_statistics() -> Dataset:
    size = HUMANML3D.feature_size
    return Dataset("none", HUMANML3D, (), {}, np.zeros(size, np.float32), np.ones(size, np.float32))


def test_a_step_of_stage_1_by_hand() -> None:
    """Every encoder output is (1, 2), every rebuilt feature 0.5, every real one 1 or 3.

    Codes are (1, 0) and (4, 2): all choose the first, which is 2 away; the commitment is 4 / 2.
    """
    network = silent(
        VQVAE(
            VQVAEConfig(
                width=2, code_size=2, codebook_size=2, depth=1, quantiser="ema", codebook_decay=0.9
            )
        )
    ).train()
    book = network.codebook
    with torch.no_grad():
        network.encoder.leave.bias.copy_(torch.tensor([1.0, 2.0]))
        network.decoder.leave.bias.fill_(0.5)
        book.codes.copy_(torch.tensor([[1.0, 0.0], [4.0, 2.0]]))
        book.code_sums.copy_(book.codes)
        book.begun.fill_(True)
    real = torch.ones(2, 8, 263)
    real[..., 4:67] = 3.0  # the 63 position columns
    rebuilt, commitment, perplexity = network(real)
    settings = VQVAETraining(position_weight=0.5, commitment_weight=0.02)
    measure = ReconstructionLoss(settings, plain_statistics(), torch.device("cpu"))
    total, figures = measure(rebuilt, real, commitment)

    # smooth L1 of 0.5 is 0.125, of 2.5 it is 2.0
    features = (200 * 0.125 + 63 * 2.0) / 263
    assert abs(float(total.detach()) - (features + 0.5 * 2.0 + 0.02 * 2.0)) < 1e-5
    assert abs(figures["positions"] - 2.0) < 1e-6
    assert abs(float(perplexity) - 1.0) < 1e-4
    # 2 clips of 2 tokens chose the first code: 0.9 of what was and 0.1 of the 4 outputs' sum
    assert torch.allclose(book.code_counts, torch.tensor([0.9 + 0.4, 0.9]))
    assert torch.allclose(book.code_sums[0], torch.tensor([0.9 + 0.4, 0.8]))
    assert torch.allclose(book.codes[0], torch.tensor([1.0, 0.8 / 1.3]))

    total.backward()
    # d smooth L1 / d rebuilt is -0.5 and -1; positions count a second time with weight 0.5
    gradient = torch.full((263,), -0.5 / 263)
    gradient[4:67] = -1.0 / 263 - 0.5 / 63
    assert torch.allclose(network.decoder.leave.bias.grad, gradient, atol=1e-6)
    # the decoder is silent, so the encoder feels the commitment alone: 0.02 * 2 * 2 / 2
    assert torch.allclose(network.encoder.leave.bias.grad, torch.tensor([0.0, 0.04]), atol=1e-6)


@pytest.mark.parametrize(("kind", "half", "far"), [("l1", 0.5, 2.5), ("l2", 0.25, 6.25)])
def test_other_distances(kind: str, half: float, far: float) -> None:
    real = torch.ones(1, 4, 263)
    real[..., 4:67] = 3.0
    settings = VQVAETraining(reconstruction=kind, position_weight=2.0, commitment_weight=0.0)
    measure = ReconstructionLoss(settings, plain_statistics(), torch.device("cpu"))
    total, _ = measure(torch.full_like(real, 0.5), real, torch.tensor(7.0))
    assert abs(float(total) - ((200 * half + 63 * far) / 263 + 2.0 * far)) < 1e-4


def test_rotation_columns_count_as_asked() -> None:
    real = torch.zeros(1, 4, 263)
    rebuilt = real.clone()
    rebuilt[..., 67:193] = 1.0
    rebuilt[..., 193:] = 2.0
    for weight in (0.0, 0.1, 1.0):
        settings = VQVAETraining(
            reconstruction="l1", position_weight=0.0, commitment_weight=0.0, rotation_weight=weight
        )
        measure = ReconstructionLoss(settings, plain_statistics(), torch.device("cpu"))
        total, _ = measure(rebuilt, real, torch.tensor(0.0))
        assert abs(float(total) - (140 + 126 * weight) / (137 + 126 * weight)) < 1e-5


@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda skeleton: skeleton.name)
def test_losses_in_space_read_features_as_the_engine_does(skeleton: object) -> None:
    random = np.random.default_rng(0)
    features = 0.3 * random.normal(size=(2, 20, skeleton.feature_size))
    turn, path, joints = root_and_joints(torch.from_numpy(features), skeleton)
    facing, root = root_path(features, skeleton)
    assert np.abs(joints.numpy() - features_to_joints(features, skeleton)).max() < 1e-9
    posture = still_joints(torch.from_numpy(features), skeleton).numpy()
    assert np.abs(posture - np.array([still(one, skeleton) for one in features])).max() < 1e-9
    assert np.abs(path.numpy() - root[..., [0, 2]]).max() < 1e-9
    assert np.abs(np.cos(turn.numpy() / 2) - facing[..., 0]).max() < 1e-9


def test_losses_in_space_by_hand() -> None:
    """A metre too high, and turning 0.1 too much after frame 0, about a root that stands still."""
    real = torch.zeros(1, 3, 263)
    rebuilt = real.clone()
    rebuilt[..., 3] = 1.0
    rebuilt[:, 0, 0] = 0.05  # half angle
    settings = VQVAETraining(
        reconstruction="l1", position_weight=0.0, path_weight=1.0, joint_weight=1.0,
        speed_weight=1.0,
    )  # fmt: skip
    measure = ReconstructionLoss(settings, plain_statistics(), torch.device("cpu"))
    _, figures = measure(rebuilt, real, torch.tensor(0.0))
    assert abs(figures["path"] - 2 * 0.1 / 3) < 1e-5
    assert abs(figures["joints"] - 1.0 / 22) < 1e-5  # of 22 joints the root
    assert figures["speed"] < 1e-4
    rebuilt[:, 2, 3] = 2.0
    _, figures = measure(rebuilt, real, torch.tensor(0.0))
    assert abs(figures["speed"] - 20.0 / 22 / 2) < 1e-4  # 1 m a frame is 20 m/s, once in two


@pytest.mark.parametrize("weight", [0.0, 1.5])
def test_fast_joints_count_more(weight: float) -> None:
    """A root that springs up by a metre, which the rebuilt one does not."""
    real = torch.zeros(1, 3, 263)
    real[:, 2, 3] = 1.0
    settings = VQVAETraining(speed_weight=1.0, fast_weight=weight)
    measure = ReconstructionLoss(settings, plain_statistics(), torch.device("cpu"))
    _, figures = measure(torch.zeros_like(real), real, torch.tensor(0.0))
    assert abs(figures["speed"] - 20.0 * (1.0 + 20.0 * weight) / 22 / 2) < 1e-3


def test_codebook_usage() -> None:
    network = silent(VQVAE(VQVAEConfig(width=2, code_size=2, codebook_size=8, levels=2, depth=1)))
    with torch.no_grad():
        for book in (network.codebook, *network.refinements):
            book.codes.copy_(torch.arange(16.0).view(8, 2))
    assert codebook_usage(network, torch.zeros(3, 16, 263)) == 1 / 8


def constant_gpt() -> GPT:
    """Whatever it reads, its chances are 1/8, 2/8 and 5/8 for the codes 0, 1 and End."""
    sizes = GPTConfig(codebook_size=2, token_limit=3, width=2, blocks=1, heads=1, text_size=4)
    network = silent(GPT(sizes)).train()
    with torch.no_grad():
        network.norm.bias.copy_(torch.tensor([1.0, 0.0]))
        network.head.weight[:, 0] = torch.log(torch.tensor([1.0, 2.0, 5.0]))
    return network


def test_a_step_of_stage_2_by_hand() -> None:
    """Targets are 0, 1, End and 1, End; the second clip's Pad is not judged."""
    network = constant_gpt()
    rows = [np.array([[0], [1]]), np.array([[1]])]
    inputs, targets = padded(rows, network.config)
    assert inputs[..., 0].tolist() == [[0, 1], [1, 3]]
    assert targets[..., 0].tolist() == [[0, 1, 2], [1, 2, -100]]
    logits = foretold(network, inputs, NO_TEXT, targets)
    zero, one, end = math.log(8), math.log(4), math.log(8 / 5)
    loss, accuracy = token_loss(logits, targets)
    assert abs(float(loss.detach()) - (zero + 2 * one + 2 * end) / 5) < 1e-6
    assert abs(accuracy - 2 / 5) < 1e-6
    by_clip, _ = token_loss(logits, targets, mean_over="clips")
    assert abs(float(by_clip.detach()) - ((zero + one + end) / 3 + (one + end) / 2) / 2) < 1e-6

    loss.backward()
    # d CE / d logit is chance - target: over 5 judged places, times the hidden state's 1
    judged = 5 * np.array([1, 2, 5]) / 8 - np.array([1, 2, 2])
    assert np.allclose(network.head.weight.grad[:, 0].numpy(), judged / 5, atol=1e-6)


def test_a_divergence_by_hand() -> None:
    """Chances of thirds where 1/8, 2/8 and 5/8 are wanted; what is ignored does not count."""
    wanted = torch.log(torch.tensor([1.0, 2.0, 5.0])).expand(2, 3, 3)
    targets = torch.tensor([[0, 1, 2], [1, 2, -100]])[..., None]
    learned = torch.zeros(2, 3, 3)
    learned[1, 2, 0] = 9.0
    by_hand = sum(chance * math.log(3 * chance) for chance in (1 / 8, 2 / 8, 5 / 8))
    assert abs(float(divergence([learned], [wanted], targets)) - by_hand) < 1e-6
    assert float(divergence([wanted], [wanted], targets)) == 0.0
    nothing = torch.full_like(targets, -100)
    assert float(divergence([learned], [wanted], nothing)) == 0.0


def test_two_levels_by_hand() -> None:
    """The second level's chances are even; End has no second level."""
    sizes = GPTConfig(
        codebook_size=2, levels=2, token_limit=3, width=2, blocks=1, heads=1, text_size=4
    )
    network = silent(GPT(sizes))
    inputs, targets = padded([np.array([[0, 1], [1, 1]]), np.array([[1, 0]])], sizes)
    loss, _ = token_loss(foretold(network, inputs, NO_TEXT, targets), targets)
    assert abs(float(loss.detach()) - (math.log(3) + math.log(2))) < 1e-6


def test_corruption_of_0_keeps_all_and_of_1_nothing() -> None:
    config = GPTConfig(codebook_size=1000)
    tokens = torch.full((4, 6, 1), 1001)  # Pad
    tokens[:, :4] = torch.arange(16).view(4, 4, 1)
    assert torch.equal(corrupted(tokens, config, 0.0, np.random.default_rng(0)), tokens)
    generator, twin = np.random.default_rng(0), np.random.default_rng(0)
    random = corrupted(tokens, config, 1.0, generator)
    twin.random((4, 6))
    noise = torch.from_numpy(twin.integers(1000, size=(4, 6, 1)))
    assert torch.equal(random[:, :4], noise[:, :4])
    assert torch.equal(random[:, 4:], tokens[:, 4:])


def test_the_one_in_three_crop() -> None:
    tokens = np.arange(5)[:, None]
    chances = (np.arange(600) + 0.5) / 600
    rows = [cropped(tokens, 1 / 3, chance)[:, 0].tolist() for chance in chances]
    assert rows.count([1, 2, 3, 4]) == rows.count([0, 1, 2, 3]) == 100
    assert rows.count([0, 1, 2, 3, 4]) == 400
    assert cropped(tokens[:1], 1.0, 0.0).tolist() == [[0]]
    assert cropped(tokens, 0.0, 0.0).tolist() == tokens.tolist()


class CountingEncoder:
    """Stands for a text encoder; the feature of a caption is its length."""

    feature_size, token_limit = 4, 7

    def encode(self, prompts: list[str], words: int, *, batch_size: int) -> object:
        from t2m_blender.engine.text import TextFeatures

        lengths = np.array([len(prompt) for prompt in prompts], np.float32)
        pooled = np.repeat(lengths[:, None], 4, axis=1)
        tokens = np.repeat(pooled[:, None], words, axis=1)
        return TextFeatures(pooled, tokens, np.ones((len(prompts), words), bool))


def test_a_training_batch(small_set: Path) -> None:
    """Targets stay whole where inputs are all random; text is dropped for some, with its words."""
    dataset = read_dataset(small_set)
    torch.manual_seed(0)
    vqvae = VQVAE(VQVAEConfig(width=8, code_size=8, codebook_size=64, depth=1)).train()
    vqvae(torch.randn(4, 64, 263))
    sizes = GPTConfig(codebook_size=64, text_size=4, word_limit=3)
    samples = CaptionedTokens(dataset, "train", vqvae.eval(), CountingEncoder(), sizes)
    settings = GPTTraining(batch_size=40, corruption=1.0, crop=0.5, text_dropout=0.5)
    batch = samples.draw(settings, np.random.default_rng(0))
    known = {tuple(row[:, 0]) for clip in samples.tokens for row in clip}
    allowed = known | {row[1:] for row in known} | {row[:-1] for row in known}
    lengths = set()
    for row, given in zip(
        batch.targets[..., 0].tolist(), batch.inputs[..., 0].tolist(), strict=True
    ):
        end = row.index(sizes.end)
        lengths.add(end)
        assert tuple(row[:end]) in allowed
        assert set(row[end + 1 :]) <= {-100}
        assert set(given[end:]) <= {sizes.pad}
        assert max(given[:end]) < 64
        assert given[:end] != row[:end]
    assert lengths == {13, 14, 15}  # of clips of 60 frames, begun at 0 to 3, some cropped
    dropped = batch.text.pooled[:, 0] == 0.0
    assert 5 < int(dropped.sum()) < 35
    assert not batch.text.known[dropped].any()
    assert batch.text.known[~dropped].all()
    assert (batch.text.words[~dropped] > 0).all()


@pytest.mark.parametrize("people", [0.0, 0.25, 1.0])
def test_captions_that_people_wrote_have_their_share(small_set: Path, people: float) -> None:
    dataset = read_dataset(small_set)
    train = dataset.split("train")
    own, other = "a person does this", "it"  # their lengths are their features
    clips = [
        replace(clip, captions=(other, own), caption_origins=("facts", "humanml3d"))
        if clip is train[0]
        else replace(clip, captions=(other,), caption_origins=("facts",))
        for clip in dataset.clips
    ]
    sizes = GPTConfig(codebook_size=64, text_size=4, word_limit=3)
    vqvae = VQVAE(VQVAEConfig(width=8, code_size=8, codebook_size=64, depth=1)).eval()
    samples = CaptionedTokens(
        replace(dataset, clips=tuple(clips)), "train", vqvae, CountingEncoder(), sizes
    )
    settings = GPTTraining(batch_size=100, people=people, text_dropout=0.0)
    generator = np.random.default_rng(0)
    lengths = torch.cat([samples.draw(settings, generator).text.pooled[:, 0] for _ in range(20)])
    by_chance = 0.5 / len(train)  # of those drawn among all clips
    share = people + (1.0 - people) * by_chance
    assert float((lengths == len(own)).float().mean()) == pytest.approx(share, abs=0.06)


def test_wordings_that_are_misread_have_their_share(small_set: Path) -> None:
    """Of two wordings one is read as the caption is, the other is not: that one is drawn."""
    dataset = read_dataset(small_set)
    plain, read, misread = "a caption", "the caption", "another one, longer"
    captions, origins = (plain, read, misread), ("table", *[f"wording: {plain}"] * 2)
    clips = tuple(replace(c, captions=captions, caption_origins=origins) for c in dataset.clips)
    sizes = GPTConfig(codebook_size=64, text_size=4, word_limit=3)
    vqvae = VQVAE(VQVAEConfig(width=8, code_size=8, codebook_size=64, depth=1)).eval()
    samples = CaptionedTokens(
        replace(dataset, clips=clips), "train", vqvae, CountingEncoder(), sizes
    )
    chances = torch.log(torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    # the features of CountingEncoder are a sentence's length
    samples.weigh(lambda text: chances[(text.pooled[:, 0] == len(misread)).long()])
    settings = GPTTraining(batch_size=100, misread=0.5, text_dropout=0.0)
    batches = [samples.draw(settings, np.random.default_rng(seed)) for seed in range(20)]
    lengths = torch.cat([batch.text.pooled[:, 0] for batch in batches])
    share = float((lengths == len(misread)).float().mean())
    assert share == pytest.approx(0.5 + 0.5 / 3, abs=0.06)
    meant = torch.cat([batch.plain_text.pooled[:, 0] for batch in batches])
    assert (meant == len(plain)).all()


def test_what_is_said_of_clips_of_two_captions_is_not_misread(small_set: Path) -> None:
    """It cannot be read as both, so it is drawn as any other sentence is."""
    dataset = read_dataset(small_set)
    one, other, said, misread = "kicks", "kicks high", "someone kicks", "puts the boot in"
    captions = iter(
        [(one, said, misread), (other, said), (one, said, misread)]  # two to train on, one val
    )
    clips = []
    for clip in dataset.clips:
        own = next(captions)
        origins = ("table", *[f"wording: {own[0]}"] * (len(own) - 1))
        clips.append(replace(clip, captions=own, caption_origins=origins))
    sizes = GPTConfig(codebook_size=64, text_size=4, word_limit=3)
    vqvae = VQVAE(VQVAEConfig(width=8, code_size=8, codebook_size=64, depth=1)).eval()
    samples = CaptionedTokens(
        replace(dataset, clips=tuple(clips)), "train", vqvae, CountingEncoder(), sizes
    )
    chances = torch.log(torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    samples.weigh(lambda text: chances[(text.pooled[:, 0] >= len(said)).long()])
    settings = TextTraining(batch_size=100, people=0.0, misread=1.0, plain=0.0)
    batch = samples.draw_beginnings(settings, np.random.default_rng(0))
    assert set(batch.sentences) == {misread}


def test_beginnings_are_of_clips_with_their_captions(small_set: Path) -> None:
    dataset = read_dataset(small_set)
    plain, wording = "a caption", "another one, longer"
    clips = tuple(
        replace(
            c, captions=(plain, *[wording] * 3), caption_origins=("a", *[f"wording: {plain}"] * 3)
        )
        for c in dataset.clips
    )
    sizes = GPTConfig(codebook_size=64, text_size=4, word_limit=3)
    vqvae = VQVAE(VQVAEConfig(width=8, code_size=8, codebook_size=64, depth=1)).eval()
    samples = CaptionedTokens(
        replace(dataset, clips=clips), "train", vqvae, CountingEncoder(), sizes
    )
    settings = TextTraining(batch_size=400, tokens=5, people=0.0, misread=0.0, plain=0.4)
    batch = samples.draw_beginnings(settings, np.random.default_rng(0))
    assert batch.inputs.shape == (400, 5, 1)
    known = {row.tobytes() for own in samples.tokens for tokens in own for row in [tokens[:5]]}
    assert {row.tobytes() for row in batch.inputs.numpy()} <= known
    share = batch.sentences.count(plain) / 400
    assert share == pytest.approx(0.4 + 0.6 / 4, abs=0.08)
    for sentence, feature, meant in zip(
        batch.sentences, batch.text.pooled[:, 0], batch.plain_text.pooled[:, 0], strict=True
    ):
        assert feature == len(sentence)
        assert meant == len(plain)


def test_tokens_and_text_do_not_depend_on_what_goes_together() -> None:
    torch.manual_seed(0)
    vqvae = VQVAE(VQVAEConfig(width=8, code_size=8, codebook_size=64, depth=1)).train()
    vqvae(torch.randn(4, 64, 263))
    cuts = [np.random.default_rng(i).normal(size=(8 * (1 + i % 3), 263)) for i in range(7)]
    cuts = [cut.astype(np.float32) for cut in cuts]
    together = tokenised(vqvae.eval(), cuts)
    for cut, tokens in zip(cuts, together, strict=True):
        assert np.array_equal(tokenised(vqvae, [cut])[0], tokens)
    features = text_features(CountingEncoder(), ["a", "bc"] * 700, 0)
    assert features.tokens.shape == (1400, 0, 4)
    assert features.pooled[:2, 0].tolist() == [1.0, 2.0]


def test_weights_of_zero_cost_nothing() -> None:
    settings = VQVAETraining(position_weight=0.0)
    measure = ReconstructionLoss(settings, plain_statistics(), torch.device("cpu"))
    real = torch.randn(1, 4, 263)
    _, figures = measure(real, real, torch.tensor(0.0))
    assert set(figures) == {"features", "commitment"}
