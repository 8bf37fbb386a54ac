# SPDX-License-Identifier: GPL-3.0-or-later
"""Both stages on a small set: they learn, resume exactly, and make a model."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from stage_sample import (
    CAPTIONS,
    CONFIG,
    OF_TEXT,
    apart,
    first_chances,
    goes_on_as_if_not_stopped,
    log,
    with_a_wording,
)

from t2m_blender.engine.configs import GPTConfig
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.generate import generate, generate_batch, load_model
from t2m_blender.engine.gpt import GPT, TextCondition
from training.__main__ import main
from training.captioned_tokens import corrupted
from training.config import read_config
from training.data.dataset import read_dataset
from training.reconstruction import reconstruction_error
from training.train_gpt import foretold, token_loss, train_gpt
from training.train_vqvae import read_vqvae, train_vqvae


def test_both_stages_learn_and_make_a_model(small_set: Path, tmp_path: Path) -> None:
    first = train_vqvae(CONFIG, small_set, tmp_path / "vqvae")
    rows = log(tmp_path / "vqvae")
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    assert all(np.isfinite(list(row.values())).all() for row in rows)

    file = train_gpt(CONFIG, small_set, first, tmp_path / "gpt")
    losses = [row["loss"] for row in log(tmp_path / "gpt") if "loss" in row]
    assert losses[-1] < 0.95 * losses[0]

    model = load_model(file)
    made = generate("a person walks forward", model=model, seed=3, seconds=2.35)
    assert made.motion.frames == 47
    assert made.guidance == 2.0
    assert made.model_sha256 == model.checkpoint.sha256 != ""
    assert np.isfinite(made.motion.joints).all()


@pytest.mark.parametrize("quantiser", ["ema_reset", "reset"])
def test_a_decoder_learns_on_while_tokens_stay(
    small_set: Path, tmp_path: Path, quantiser: str
) -> None:
    network = {**CONFIG.vqvae_network, "levels": 2, "quantiser": quantiser}
    config = replace(CONFIG, vqvae_network=network, vqvae=replace(CONFIG.vqvae, average=0.5))
    file = train_vqvae(config, small_set, tmp_path / "vqvae")
    longer = replace(config, vqvae=replace(config.vqvae, window=60, learning_rate=1e-3))
    better = train_vqvae(
        longer, small_set, tmp_path / "decoder", start_from=file, decoder_only=True
    )

    dataset = read_dataset(small_set)
    (before, *statistics), (after, *same) = (read_vqvae(path, dataset) for path in (file, better))
    assert np.array_equal(statistics, same)
    worse, good = (reconstruction_error(network, dataset, "train") for network in (before, after))
    assert good < worse
    changed = {
        name.split(".")[0]
        for (name, old), new in zip(
            before.state_dict().items(), after.state_dict().values(), strict=True
        )
        if not torch.equal(old, new)
    }
    assert changed == {"decoder"}
    with pytest.raises(CheckpointError, match="other settings or data"):
        train_vqvae(longer, small_set, tmp_path / "decoder", start_from=better, decoder_only=True)
    with pytest.raises(InputError, match="learns on from a stage 1 file"):
        train_vqvae(longer, small_set, tmp_path / "alone", decoder_only=True)


def test_both_stages_learn_on_from_where_others_ended(small_set: Path, tmp_path: Path) -> None:
    file = train_vqvae(CONFIG, small_set, tmp_path / "vqvae")
    model = train_gpt(CONFIG, small_set, file, tmp_path / "gpt")
    on = train_vqvae(CONFIG, small_set, tmp_path / "vqvae on", start_from=file)
    dataset = read_dataset(small_set)
    errors = [
        reconstruction_error(read_vqvae(path, dataset)[0], dataset, "train") for path in (file, on)
    ]
    assert errors[1] < errors[0]
    train_gpt(CONFIG, small_set, file, tmp_path / "gpt on", start_from=model)
    first, then = (
        [row["loss"] for row in log(tmp_path / name) if "loss" in row] for name in ("gpt", "gpt on")
    )
    assert then[0] < first[-1] + 0.1 * (first[0] - first[-1])
    with pytest.raises(CheckpointError, match="other settings or data"):
        train_gpt(CONFIG, small_set, file, tmp_path / "gpt on")
    taught = train_gpt(CONFIG, small_set, model, tmp_path / "of a model alone", start_from=model)
    (old, *statistics), (new, *same) = (read_vqvae(path, dataset) for path in (file, taught))
    assert all(np.array_equal(*pair) for pair in zip(statistics, same, strict=True))
    for before, after in zip(old.parameters(), new.parameters(), strict=True):
        assert torch.allclose(before, after, rtol=1e-3, atol=1e-6)  # float16 in the file
    wider = replace(CONFIG, gpt_network={**CONFIG.gpt_network, "width": 96})
    with pytest.raises(CheckpointError, match="no GPT of the sizes"):
        train_gpt(wider, small_set, file, tmp_path / "wider", start_from=model)


def test_a_wording_comes_to_mean_what_its_caption_means(random_set: Path, tmp_path: Path) -> None:
    file = train_vqvae(CONFIG, random_set, tmp_path / "vqvae")
    model = train_gpt(replace(CONFIG, gpt=OF_TEXT), random_set, file, tmp_path / "gpt")
    worded = with_a_wording(random_set, tmp_path / "worded")
    config = replace(CONFIG, gpt=replace(OF_TEXT, distilled=1.0))
    misread = replace(CONFIG, gpt=replace(OF_TEXT, misread=0.5))
    for of_a_model in (config, misread):
        with pytest.raises(InputError, match="give that with --start-from"):
            train_gpt(of_a_model, worded, file, tmp_path / "alone")

    taught = train_gpt(config, worded, file, tmp_path / "on", start_from=model)
    plain, other = "a person walks forward", "someone waves the left hand around"
    wanted = first_chances(model, [plain])
    before, after = (first_chances(path, [other]) for path in (model, taught))
    assert apart(before, wanted) > 0.1
    assert apart(after, wanted) < 0.5 * apart(before, wanted)


def test_what_guidance_does_is_distilled(small_set: Path, tmp_path: Path) -> None:
    file = train_vqvae(CONFIG, small_set, tmp_path / "vqvae")
    model = train_gpt(replace(CONFIG, gpt=OF_TEXT), small_set, file, tmp_path / "gpt")
    config = replace(CONFIG, gpt=replace(OF_TEXT, distilled=3.0))
    student = train_gpt(config, small_set, file, tmp_path / "on", start_from=model)
    losses = [row["loss"] for row in log(tmp_path / "on") if "loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    prompts = list(CAPTIONS.values())[:2]  # those of the train split
    wanted = first_chances(model, prompts, guidance=3.0)
    before, after = (first_chances(path, prompts) for path in (model, student))
    assert apart(after, wanted) < 0.5 * apart(before, wanted)


def test_a_model_can_be_taught_to_end_later(small_set: Path, tmp_path: Path) -> None:
    file = train_vqvae(CONFIG, small_set, tmp_path / "vqvae")
    model = train_gpt(replace(CONFIG, gpt=OF_TEXT), small_set, file, tmp_path / "gpt")
    lengths = []
    for later in (0.0, 3.0):
        config = replace(CONFIG, gpt=replace(OF_TEXT, distilled=1.0, end_later=later))
        folder = tmp_path / f"later by {later}"
        taught = load_model(train_gpt(config, small_set, file, folder, start_from=model))
        prompts = [*CAPTIONS.values()][:2] * 8
        made = generate_batch(
            prompts, model=taught, seeds=range(16), seconds=[None] * 16, temperature=1.0
        )
        lengths.append(float(np.mean([one.motion.frames for one in made])))
    assert lengths[1] > 1.1 * lengths[0]


@pytest.mark.parametrize("stage", ["vqvae", "gpt"])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    small_set: Path, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between two saves: the steps since the last save are taken again."""

    def run(folder: Path) -> bytes:
        if stage == "vqvae":
            return train_vqvae(CONFIG, small_set, folder).read_bytes()
        return train_gpt(
            CONFIG, small_set, tmp_path / "first" / "vqvae.safetensors", folder
        ).read_bytes()

    train_vqvae(CONFIG, small_set, tmp_path / "first")
    whole = run(tmp_path / "whole")
    goes_on_as_if_not_stopped(run, tmp_path / "stopped", whole, monkeypatch)


def test_ctrl_c_finishes_the_step_and_saves(
    small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_vqvae(CONFIG, small_set, tmp_path / "whole").read_bytes()
    steps = 0
    backward = torch.Tensor.backward

    def counted_backward(*arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 33:
            signal.raise_signal(signal.SIGINT)
        backward(*arguments)

    monkeypatch.setattr(torch.Tensor, "backward", counted_backward)
    with pytest.raises(KeyboardInterrupt):
        train_vqvae(CONFIG, small_set, tmp_path / "stopped")
    assert steps == 33
    assert train_vqvae(CONFIG, small_set, tmp_path / "stopped").read_bytes() == whole
    assert steps == CONFIG.vqvae.steps
    # what is reported after going on is the mean of the steps taken since, not a part of it
    losses = [
        [row["loss"] for row in log(tmp_path / name) if "loss" in row]
        for name in ("whole", "stopped")
    ]
    assert losses[1][0] > 0.5 * losses[0][0]


def test_a_run_of_something_else_is_not_mixed_in(small_set: Path, tmp_path: Path) -> None:
    short = replace(CONFIG, vqvae=replace(CONFIG.vqvae, steps=2), gpt=replace(CONFIG.gpt, steps=2))
    first = train_vqvae(short, small_set, tmp_path / "run")
    wider = replace(short, vqvae_network={**CONFIG.vqvae_network, "width": 32})
    for other in (CONFIG, wider):
        with pytest.raises(CheckpointError, match="other settings"):
            train_vqvae(other, small_set, tmp_path / "run")
    train_gpt(short, small_set, first, tmp_path / "gpt")
    reseeded = replace(short, vqvae=replace(short.vqvae, seed=1))
    second = train_vqvae(reseeded, small_set, tmp_path / "second")
    with pytest.raises(CheckpointError, match="other settings or data"):
        train_gpt(short, small_set, second, tmp_path / "gpt")
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        train_vqvae(short, small_set, tmp_path / "run")


def test_a_model_names_the_licence_of_its_data(small_set: Path, tmp_path: Path) -> None:
    short = replace(CONFIG, vqvae=replace(CONFIG.vqvae, steps=2), gpt=replace(CONFIG.gpt, steps=2))
    first = train_vqvae(short, small_set, tmp_path / "vqvae")
    model = load_model(train_gpt(short, small_set, first, tmp_path / "gpt"))
    assert model.checkpoint.licence == "as its data: MIT"
    assert "tiny" in model.checkpoint.origin


@torch.no_grad()
def test_token_loss_by_hand() -> None:
    """Targets are the tokens and End; what follows End does not count, nor has End more levels."""
    config = GPTConfig(
        codebook_size=4,
        levels=2,
        token_limit=3,
        width=8,
        blocks=1,
        heads=1,
        text_size=4,
        dropout=0.0,
    )
    torch.manual_seed(0)
    network = GPT(config).eval()
    text = TextCondition(
        torch.randn(2, 4), torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool)
    )
    first = torch.tensor([[2, 0, 3], [1, config.pad, config.pad]])
    second = torch.tensor([[1, 1, 2], [3, 0, 0]])
    inputs = torch.stack((first, second), dim=-1)
    targets = torch.tensor([[2, 0, 3, config.end], [1, config.end, -100, -100]])
    more = torch.tensor([[1, 1, 2, -100], [3, -100, -100, -100]])
    targets = torch.stack((targets, more), dim=-1)
    loss, accuracy = token_loss(foretold(network, inputs, text, targets), targets)
    logits = functional.log_softmax(network(inputs, text), dim=-1)
    picked = [(0, 0, 2), (0, 1, 0), (0, 2, 3), (0, 3, 4), (1, 0, 1), (1, 1, 4)]
    by_hand = -sum(float(logits[index]) for index in picked) / len(picked)
    refined = network.refine(network.read(inputs, text)[:, :3], inputs.clamp(max=3))[:, :, 0]
    refined = functional.log_softmax(refined, dim=-1)
    picked_more = [(0, 0, 1), (0, 1, 1), (0, 2, 2), (1, 0, 3)]
    by_hand -= sum(float(refined[index]) for index in picked_more) / len(picked_more)
    assert abs(float(loss) - by_hand) < 1e-6
    right = sum(int(logits[r, c].argmax()) == token for r, c, token in picked) / len(picked)
    assert abs(accuracy - right) < 1e-6


def test_corruption() -> None:
    config = GPTConfig(codebook_size=512)
    tokens = torch.full((200, 50, 1), 7)
    tokens[:, 40:] = config.pad
    generator = np.random.default_rng(0)
    assert torch.equal(corrupted(tokens, config, 0.0, generator), tokens)
    random = corrupted(tokens, config, 1.0, generator)
    assert (random[:, :40] != 7).float().mean() > 0.99
    assert random[:, :40].max() < 512
    assert torch.equal(random[:, 40:], tokens[:, 40:])
    pairs = torch.full((50, 40, 2), 7)
    replaced = (corrupted(pairs, config, 0.5, generator) != 7).float().mean(dim=-1)
    assert (replaced.round() == replaced).float().mean() > 0.98  # all levels of a token or none
    half = (corrupted(tokens, config, 0.5, generator)[:, :40] != 7).float().mean(dim=(1, 2))
    each = (corrupted(tokens, config, -1.0, generator)[:, :40] != 7).float().mean(dim=(1, 2))
    assert abs(float(half.mean()) - 0.5) < 0.03
    assert float(half.std()) < 0.1 < 0.2 < float(each.std())


def test_bad_input_is_refused_before_training(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert main(["train-vqvae", str(tmp_path / "nothing"), "-o", out]) == 2
    assert main(["train-vqvae", str(small_set), "-o", out, "--config", "missing"]) == 2
    assert (
        main(["train-gpt", str(small_set), "-o", out, "--vqvae", str(tmp_path / "no.safetensors")])
        == 2
    )
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all(line.startswith("error: ") for line in errors)
    bad = tmp_path / "bad.toml"
    for text, words in (
        ("[vqvae.training]\nbatchsize = 3\n", "batchsize"),
        ("[vqvae.trainig]\nsteps = 3\n", "trainig"),
        ("[vqvea.training]\nsteps = 3\n", "vqvea"),
        ('[gpt.training]\nsteps = "many"\n', "many"),
        ("[gpt.training]\nsteps = ", "TOML"),
    ):
        bad.write_text(text)
        with pytest.raises(InputError, match=words):
            read_config(str(bad))
    with pytest.raises(InputError, match="widht"):
        train_vqvae(replace(CONFIG, vqvae_network={"widht": 3}), small_set, tmp_path / "run")
    arguments = ["train-vqvae", str(small_set), "-o", out, "--device", "nonsense"]
    assert main(arguments) == 2
    long = replace(CONFIG, vqvae=replace(CONFIG.vqvae, window=500))
    with pytest.raises(InputError, match="500 frames"):
        train_vqvae(long, small_set, tmp_path / "run")


def test_embedded_config_is_valid() -> None:
    assert read_config("embedded").vqvae_network["codebook_size"] == 512


def test_16_bits_and_compilation_reach_both_stages(small_set: Path, tmp_path: Path) -> None:
    """A few steps give nearly the losses of float32; codes and weights stay float32."""
    losses: dict[str, list[float]] = {"plain": [], "fast": []}
    for name, options in (
        ("plain", {}),
        ("fast", {"precision": "bf16", "compiler": "aot_eager"}),
    ):
        config = replace(
            CONFIG,
            vqvae=replace(CONFIG.vqvae, steps=4, **options),
            gpt=replace(CONFIG.gpt, steps=4, **options),
        )
        train_vqvae(config, small_set, tmp_path / name / "vqvae")
        first = tmp_path / "plain" / "vqvae" / "vqvae.safetensors"
        train_gpt(config, small_set, first, tmp_path / name / "gpt")
        for stage in ("vqvae", "gpt"):
            losses[name].append(log(tmp_path / name / stage)[0]["loss"])
            state = torch.load(tmp_path / name / stage / "state.pt", weights_only=True)
            kinds = {t.dtype for t in state["network"].values() if t.is_floating_point()}
            assert kinds == {torch.float32}
    assert losses["plain"] != losses["fast"]
    assert np.allclose(losses["plain"], losses["fast"], rtol=0.05)
