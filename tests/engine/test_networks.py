# SPDX-License-Identifier: GPL-3.0-or-later
"""VQ-VAE, codebook and GPT against the reference implementation, and what a change would do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from t2m_blender.engine.codebook import AveragedCodebook
from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.gpt import GPT, GPTConfig, TextCondition
from t2m_blender.engine.official import read_official_gpt, read_official_vqvae
from t2m_blender.engine.vqvae import VQVAE, VQVAEConfig

TOLERANCE = 2e-5


def arrays(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as file:
        return {name: torch.from_numpy(np.array(file[name])) for name in file.files}


def off(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).abs().max())


def pooled_only(text: torch.Tensor) -> TextCondition:
    batch, size = text.shape
    return TextCondition(text, torch.zeros(batch, 0, size), torch.zeros(batch, 0, dtype=torch.bool))


@pytest.mark.parametrize("name", ["vqvae_small", "vqvae_small_kit"])
@torch.no_grad()
def test_vqvae_equals_the_reference(parity: Path, name: str) -> None:
    network = read_official_vqvae(parity / f"{name}_official.pth")
    data = arrays(parity / f"{name}.npz")
    reconstruction, commitment, perplexity = network(data["x"])
    assert off(reconstruction, data["recon"]) < TOLERANCE
    assert torch.equal(network.encode(data["x"])[..., 0], data["codes"])
    if name == "vqvae_small":
        assert off(commitment, data["commit"]) < TOLERANCE
        assert off(perplexity, data["perplexity"]) < TOLERANCE
        assert off(network.decode(data["codes"][:1, :, None]), data["decoded_first"]) < TOLERANCE


@torch.no_grad()
def test_every_vqvae_weight_matters(parity: Path) -> None:
    """The comparison would notice a change of sign in any tensor."""
    data = arrays(parity / "vqvae_small.npz")
    network = read_official_vqvae(parity / "vqvae_small_official.pth")
    for name, tensor in network.state_dict().items():
        if name.startswith("codebook.") and name != "codebook.codes":
            continue  # training state
        kept = tensor.clone()
        tensor.neg_()
        encoded = torch.equal(network.encode(data["x"])[..., 0], data["codes"])
        same = encoded and off(network.decode(data["codes"][..., None]), data["recon"]) < 1e-4
        tensor.copy_(kept)
        assert not same, f"negating {name} went unnoticed"


@torch.no_grad()
def test_codebook_steps_equal_the_reference(parity: Path) -> None:
    data = arrays(parity / "ema_reset_steps.npz")
    codebook = AveragedCodebook(16, 8, reset=True, decay=0.99).train()
    for step in range(3):
        if step == 2:  # its state survives save and load
            saved = codebook.state_dict()
            codebook = AveragedCodebook(16, 8, reset=True, decay=0.99).train()
            codebook.load_state_dict(saved)
        quantised, commitment, perplexity = codebook(data[f"x{step}"])
        results = {
            "quantized": quantised,
            "commit": commitment,
            "perplexity": perplexity,
            "codebook": codebook.codes,
            "code_sum": codebook.code_sums,
            "code_count": codebook.code_counts,
        }
        for name, ours in results.items():
            assert off(ours, data[f"{name}{step}"]) < 1e-5, f"{name} at step {step}"


def test_the_gradient_passes_through_the_codebooks() -> None:
    """Of any number of levels: what reaches the decoder's input reaches the encoder's output."""
    for levels in (1, 3):
        network = VQVAE(
            VQVAEConfig(feature_size=8, width=8, code_size=8, codebook_size=16, levels=levels)
        )
        network.encoder, network.decoder = nn.Identity(), nn.Identity()
        x = torch.randn(2, 12, 8, requires_grad=True)
        reconstruction, _, _ = network.train()(x)
        reconstruction.sum().backward()
        assert torch.equal(x.grad, torch.ones_like(x))


@torch.no_grad()
def test_gpt_equals_the_reference(parity: Path) -> None:
    network = read_official_gpt(parity / "gpt_small_official.pth", heads=4)
    data = arrays(parity / "gpt_small.npz")
    text = pooled_only(data["text"])
    assert off(network(data["ids"][..., None], text), data["logits"]) < TOLERANCE
    nothing = torch.zeros(3, 0, 1, dtype=torch.long)
    assert off(network(nothing, text), data["logits_empty"]) < TOLERANCE

    hidden, cache = network.begin(text)
    whole, greedy = [hidden], []
    for token in data["ids"].T:
        whole.append(network.step(token[:, None], cache))
    assert off(network.head(torch.stack(whole, 1)), data["logits"]) < TOLERANCE

    hidden, cache = network.begin(text)
    for _ in range(50):
        greedy.append(network.head(hidden).argmax(-1))
        if len(greedy) < 50:
            hidden = network.step(greedy[-1][:, None], cache)
    for row in range(3):
        assert torch.equal(torch.stack(greedy, 1)[row : row + 1], data[f"greedy{row}"])


@torch.no_grad()
def test_every_gpt_weight_matters(parity: Path) -> None:
    data = arrays(parity / "gpt_small.npz")
    network = read_official_gpt(parity / "gpt_small_official.pth", heads=4)
    text = pooled_only(data["text"])
    for name, tensor in network.state_dict().items():
        if name.endswith("key.bias"):
            continue  # adds the same to all scores of a query: softmax does not see it
        kept = tensor.clone()
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)))
        same = off(network(data["ids"][..., None], text), data["logits"]) < 1e-4
        tensor.copy_(kept)
        assert not same, f"changing {name} went unnoticed"


def small_gpt(**sizes: int) -> GPT:
    torch.manual_seed(0)
    config = GPTConfig(
        codebook_size=32, token_limit=12, width=32, blocks=2, heads=4, text_size=16, **sizes
    )
    return GPT(config).eval()


@torch.no_grad()
@pytest.mark.parametrize("levels", [1, 3])
def test_words_are_read_and_padding_is_not(levels: int) -> None:
    network = small_gpt(word_limit=5, levels=levels)
    tokens = torch.randint(0, 32, (2, 7, levels))
    known = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    text = TextCondition(torch.randn(2, 16), torch.randn(2, 5, 16), known)
    logits = network(tokens, text)
    padding_changed = TextCondition(text.pooled, text.words + 9.0 * ~known[..., None], known)
    assert off(network(tokens, padding_changed), logits) < 1e-6
    shorter = TextCondition(text.pooled[:1], text.words[:1, :3], known[:1, :3])
    assert off(network(tokens[:1], shorter), logits[:1]) < 1e-5
    word_changed = TextCondition(text.pooled, text.words.clone(), known)
    word_changed.words[:, 1] += 1.0
    assert off(network(tokens, word_changed), logits) > 1e-4

    first, cache = network.begin(text)
    cached = [first] + [network.step(token, cache) for token in tokens.unbind(1)]
    assert off(network.head(torch.stack(cached, 1)), logits) < 1e-5


@torch.no_grad()
def test_a_refiner_reads_the_levels_below_its_own() -> None:
    network = small_gpt(levels=3)
    hidden, tokens = torch.randn(2, 4, 32), torch.randint(0, 32, (2, 4, 3))
    logits = network.refine(hidden, tokens)
    assert logits.shape == (2, 4, 2, 32)
    for level, changes in ((0, [True, True]), (1, [False, True]), (2, [False, False])):
        changed = tokens.clone()
        changed[..., level] = (changed[..., level] + 1) % 32
        difference = (network.refine(hidden, changed) - logits).abs().amax((0, 1, 3))
        assert (difference > 1e-6).tolist() == changes
    state, foretold = hidden, []
    for refiner, below in zip(network.refiners, tokens.unbind(-1), strict=False):
        state, one = refiner(state, below)
        foretold.append(one)
    assert torch.equal(torch.stack(foretold, -2), logits)


@torch.no_grad()
def test_gpt_does_not_look_ahead() -> None:
    network = small_gpt()
    text = pooled_only(torch.randn(1, 16))
    tokens = torch.randint(0, 32, (1, 8, 1))
    changed = tokens.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 32
    difference = (network(tokens, text) - network(changed, text)).abs().amax(-1)[0]
    assert difference[:6].max() < 1e-6
    assert difference[6:].min() > 1e-6


@torch.no_grad()
def test_every_level_brings_the_reconstruction_nearer() -> None:
    """The codes of L levels sum up to the encoder's output, nearer with each level."""
    torch.manual_seed(0)
    config = VQVAEConfig(feature_size=8, width=8, code_size=8, codebook_size=16, levels=3)
    network = VQVAE(config)
    network.encoder, network.decoder = nn.Identity(), nn.Identity()
    rows = torch.randn(4, 32, 8)
    network.train()
    for _ in range(20):
        network(rows)
    network.eval()
    tokens = network.encode(rows)
    assert tokens.shape == (4, 32, 3)
    books = [network.codebook, *network.refinements]
    errors = []
    for levels in (1, 2, 3):
        codes = sum(
            book.codes[chosen]
            for book, chosen in zip(books[:levels], tokens.unbind(-1), strict=False)
        )
        errors.append(float((rows - codes).square().mean()))
    assert errors[0] > 1.2 * errors[1] > 1.4 * errors[2]
    assert off(network.decode(tokens), network(rows)[0]) < 1e-5


def test_vqvae_state_survives_save_and_load(tmp_path: Path) -> None:
    config = VQVAEConfig(feature_size=11, width=8, code_size=8, codebook_size=16)
    torch.manual_seed(0)
    network = VQVAE(config).train()
    batches = torch.randn(4, 6, 16, 11)
    for batch in batches[:2]:
        network(batch)
    torch.save(network.state_dict(), tmp_path / "state.pt")
    again = VQVAE(config).train()
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for batch in batches[2:]:
        for ours, theirs in zip(network(batch), again(batch), strict=True):
            assert torch.equal(ours, theirs)
    assert torch.equal(network.codebook.code_sums, again.codebook.code_sums)


def test_wrong_official_files_are_refused(parity: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no 'net' entry"):
        read_official_vqvae(parity / "gpt_small_official.pth")
    with pytest.raises(CheckpointError, match="no file"):
        read_official_gpt(tmp_path / "missing.pth")
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a readable"):
        read_official_gpt(tmp_path / "broken.pth")
    content = torch.load(parity / "gpt_small_official.pth", weights_only=True)
    del content["trans"]["trans_head.ln_f.bias"]
    torch.save(content, tmp_path / "lacking.pth")
    with pytest.raises(CheckpointError, match=r"missing trans_head\.ln_f\.bias"):
        read_official_gpt(tmp_path / "lacking.pth", heads=4)
