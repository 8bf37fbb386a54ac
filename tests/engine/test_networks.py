# SPDX-License-Identifier: GPL-3.0-or-later
"""VQ-VAE, codebook and GPT against the reference implementation, and what a change would do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.gpt import GPT, GPTConfig, TextCondition
from t2m_blender.engine.official import read_official_gpt, read_official_vqvae
from t2m_blender.engine.vqvae import VQVAE, Codebook, VQVAEConfig

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
    assert torch.equal(network.encode(data["x"]), data["codes"])
    if name == "vqvae_small":
        assert off(commitment, data["commit"]) < TOLERANCE
        assert off(perplexity, data["perplexity"]) < TOLERANCE
        assert off(network.decode(data["codes"][:1]), data["decoded_first"]) < TOLERANCE


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
        encoded = torch.equal(network.encode(data["x"]), data["codes"])
        same = encoded and off(network.decode(data["codes"]), data["recon"]) < 1e-4
        tensor.copy_(kept)
        assert not same, f"negating {name} went unnoticed"


@torch.no_grad()
def test_codebook_steps_equal_the_reference(parity: Path) -> None:
    data = arrays(parity / "ema_reset_steps.npz")
    codebook = Codebook(16, 8, 0.99).train()
    for step in range(3):
        if step == 2:  # its state survives save and load
            saved = codebook.state_dict()
            codebook = Codebook(16, 8, 0.99).train()
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


def test_codebook_passes_the_gradient_through() -> None:
    codebook = Codebook(16, 8, 0.99).train()
    x = torch.randn(2, 8, 12, requires_grad=True)
    quantised, _, _ = codebook(x)
    quantised.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@torch.no_grad()
def test_gpt_equals_the_reference(parity: Path) -> None:
    network = read_official_gpt(parity / "gpt_small_official.pth", heads=4)
    data = arrays(parity / "gpt_small.npz")
    text = pooled_only(data["text"])
    assert off(network(data["ids"], text), data["logits"]) < TOLERANCE
    nothing = torch.zeros(3, 0, dtype=torch.long)
    assert off(network(nothing, text), data["logits_empty"]) < TOLERANCE

    logits, cache = network.begin(text)
    whole, greedy = [logits], []
    for token in data["ids"].T:
        whole.append(network.step(token, cache))
    assert off(torch.stack(whole, 1), data["logits"]) < TOLERANCE

    logits, cache = network.begin(text)
    for _ in range(50):
        greedy.append(logits.argmax(-1))
        if len(greedy) < 50:
            logits = network.step(greedy[-1], cache)
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
        same = off(network(data["ids"], text), data["logits"]) < 1e-4
        tensor.copy_(kept)
        assert not same, f"changing {name} went unnoticed"


def small_gpt(**sizes: int) -> GPT:
    torch.manual_seed(0)
    config = GPTConfig(
        codebook_size=32, token_limit=12, width=32, blocks=2, heads=4, text_size=16, **sizes
    )
    return GPT(config).eval()


@torch.no_grad()
def test_words_are_read_and_padding_is_not() -> None:
    network = small_gpt(word_limit=5)
    tokens = torch.randint(0, 32, (2, 7))
    known = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    text = TextCondition(torch.randn(2, 16), torch.randn(2, 5, 16), known)
    logits = network(tokens, text)
    padding_changed = TextCondition(text.pooled, text.words + 9.0 * ~known[..., None], known)
    assert off(network(tokens, padding_changed), logits) < 1e-6
    word_changed = TextCondition(text.pooled, text.words.clone(), known)
    word_changed.words[:, 1] += 1.0
    assert off(network(tokens, word_changed), logits) > 1e-4

    first, cache = network.begin(text)
    cached = [first] + [network.step(token, cache) for token in tokens.T]
    assert off(torch.stack(cached, 1), logits) < 1e-5


@torch.no_grad()
def test_gpt_does_not_look_ahead() -> None:
    network = small_gpt()
    text = pooled_only(torch.randn(1, 16))
    tokens = torch.randint(0, 32, (1, 8))
    changed = tokens.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 32
    difference = (network(tokens, text) - network(changed, text)).abs().amax(-1)[0]
    assert difference[:6].max() < 1e-6
    assert difference[6:].min() > 1e-6


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
    with pytest.raises(CheckpointError, match=r"missing norm\.bias"):
        read_official_gpt(tmp_path / "lacking.pth", heads=4)
