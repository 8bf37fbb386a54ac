# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime on NumPy: the same tokens on every machine, and as the reference implementation.

Nothing here needs torch but the comparisons.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import small_model

from t2m_blender.engine.checkpoint import (
    narrow,
    read_checkpoint,
    read_tensors,
    write_tensors,
)
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.generate import generate, generate_batch, load_model
from t2m_blender.engine.layers import normalised
from t2m_blender.engine.numpy_gpt import GPT, NORM_EPSILON
from t2m_blender.engine.numpy_runtime import NumpyRuntime
from t2m_blender.engine.numpy_vqvae import Decoder, Encoder
from t2m_blender.engine.sampling import Sampling
from t2m_blender.engine.text import TextFeatures

PROMPTS = ["a person walks forward", "someone jumps up and down", "he sits"]

EVERYWHERE = [
    "25 42 0 2 25 2 38 18 3 9 3 27 25 26 25 13 3 26 3 42",
    "25 12 25 23 0 36 3 33 25 46",
    "20 9 3 41 22 24 3 26 3 28 3 26 3 0 34 26 3 41 3 26 3 26 3 26",
]


def test_the_same_tokens_everywhere(tmp_path: Path) -> None:
    """A fixed point: every NumPy, Python and processor must write these."""
    model = load_model(
        small_model(tmp_path / "a.safetensors", gpt={"levels": 2}, vqvae={"levels": 2})
    )
    made = generate_batch(PROMPTS, model=model, seeds=[1, 2, 3], seconds=[2.0, 1.0, 2.4])
    assert [" ".join(map(str, one.tokens.ravel())) for one in made] == EVERYWHERE


def test_a_batch_changes_nothing(tmp_path: Path) -> None:
    model = load_model(small_model(tmp_path / "a.safetensors"))
    lengths = [None, 1.3, 2.4]
    together = generate_batch(PROMPTS, model=model, seeds=[4, 5, 6], seconds=lengths)
    for prompt, seed, seconds, made in zip(PROMPTS, [4, 5, 6], lengths, together, strict=True):
        alone = generate(prompt, model=model, seed=seed, seconds=seconds)
        assert np.array_equal(alone.tokens, made.tokens)
        np.testing.assert_allclose(alone.motion.joints, made.motion.joints, atol=1e-5)


def test_a_given_token_counts_as_a_drawn_one(tmp_path: Path) -> None:
    """What is appended decides what comes next, and a new beginning forgets it."""
    runtime = load_model(small_model(tmp_path / "a.safetensors"), runtime="numpy").runtime
    features = np.random.default_rng(0).normal(size=(1, 7, 384)).astype(np.float32)
    text = TextFeatures(features[:, 0], features[:, 1:], np.ones((1, 6), bool))
    may_end, chances = np.array([True]), np.array([[0.5]])

    def written(first: int) -> list[int]:
        writing = runtime.begin(text, Sampling(guidance=2.0))
        tokens = [first]
        for _ in range(8):
            writing.append(np.array([[tokens[-1] % 48]]))
            tokens.append(int(writing.draw(chances, may_end)[0][0, 0]))
        return tokens

    assert written(3) == written(3)
    assert written(3)[1:] != written(4)[1:]


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_any_stored_type_is_widened(tmp_path: Path, kind: str) -> None:
    """The logits are those of the numbers that the file holds."""
    path = small_model(tmp_path / "a.safetensors")
    stored, metadata = read_tensors(path)
    changed = {}
    for name, tensor in stored.items():
        if tensor.ndim < 2 or kind == "float16":
            changed[name] = tensor
        elif kind == "float32":
            changed[name] = tensor.astype(np.float32)
        else:
            changed[name], changed[f"{name}.scale"] = narrow(tensor)
    write_tensors(path, changed, metadata)
    checkpoint = read_checkpoint(path)
    wide = {name: np.array(tensor) for name, tensor in checkpoint.tensors.items()}
    assert all(tensor.dtype == np.float32 for tensor in wide.values() if tensor.ndim)
    tokens = generate(PROMPTS[0], model=load_model(path), seconds=2.4).tokens
    write_tensors(path, wide | {"statistics.mean": stored["statistics.mean"],
                                "statistics.std": stored["statistics.std"]}, metadata)  # fmt: skip
    assert np.array_equal(generate(PROMPTS[0], model=load_model(path), seconds=2.4).tokens, tokens)


def test_float32_stays_in_the_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", {"a": np.ones((3, 4), np.float32)}, {})
    tensors, _ = read_tensors(tmp_path / "a")
    assert not tensors["a"].flags.owndata
    assert not tensors["a"].flags.writeable


@pytest.mark.parametrize("damage", ["missing", "shape"])
@pytest.mark.parametrize(
    "name", ["gpt.blocks.1.value.bias", "vqvae.decoder.gather.weight", "gpt.head.weight"]
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, name: str, damage: str) -> None:
    path = small_model(tmp_path / "a.safetensors")
    stored, metadata = read_tensors(path)
    if damage == "missing":
        del stored[name]
    else:
        stored[name] = stored[name][:-1]
    write_tensors(tmp_path / "b.safetensors", stored, metadata)
    with pytest.raises(CheckpointError, match=f"does not fit its own configuration: .*{name}"):
        load_model(tmp_path / "b.safetensors", runtime="numpy")


def test_a_damaged_encoder_is_named_when_it_is_needed(tmp_path: Path) -> None:
    path = small_model(tmp_path / "a.safetensors")
    stored, metadata = read_tensors(path)
    del stored["vqvae.encoder.enter.bias"]
    write_tensors(tmp_path / "b.safetensors", stored, metadata)
    runtime = NumpyRuntime(read_checkpoint(tmp_path / "b.safetensors"))
    with pytest.raises(CheckpointError, match=r"vqvae\.encoder\.enter\.bias"):
        runtime.encode(np.zeros((1, 8, 263), np.float32))


def official_tensors(path: Path, kind: str) -> tuple[dict[str, np.ndarray], object]:
    pytest.importorskip("torch")
    from t2m_blender.engine.official import read_official_gpt, read_official_vqvae

    network = read_official_gpt(path, heads=4) if kind == "gpt" else read_official_vqvae(path)
    state = {f"{kind}.{name}": t.numpy() for name, t in network.state_dict().items()}
    return state, network.config


def logits_after(gpt: GPT, text: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """[B, L + 1, K + 1], one token at a time."""
    batch, config = len(text), gpt.config
    nothing = np.zeros((batch, 0, text.shape[1]), np.float32)
    features = TextFeatures(text, nothing, np.zeros((batch, 0), bool))
    shape = (config.blocks, batch, config.heads, config.positions, config.width // config.heads)
    keys, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    x, bias = gpt.embed_text(features)
    blocks = [gpt.block(index) for index in range(config.blocks)]
    found = []
    for place in range(ids.shape[1] + 1):
        if place:
            x = gpt.embed(ids[:, place - 1, None], place - 1)
        for block, k, v in zip(blocks, keys, values, strict=True):
            x = block.step(x, place, bias, k, v)
        found.append(gpt.head(normalised(x, NORM_EPSILON)).T)
    return np.stack(found, axis=1)


def test_gpt_equals_the_reference(parity: Path) -> None:
    tensors, config = official_tensors(parity / "gpt_small_official.pth", "gpt")
    assert isinstance(config, GPTConfig)
    with np.load(parity / "gpt_small.npz") as data:
        logits = logits_after(GPT(tensors, config), data["text"], data["ids"])
        np.testing.assert_allclose(logits, data["logits"], atol=2e-5)
        for name, tensor in tensors.items():
            if name.endswith("key.bias"):
                continue  # adds the same to all scores of a query: softmax does not see it
            noise = np.random.default_rng(0).normal(size=tensor.shape).astype(np.float32)
            changed = GPT(tensors | {name: tensor + 0.05 * noise}, config)
            off = np.abs(logits_after(changed, data["text"], data["ids"]) - data["logits"]).max()
            assert off > 1e-4, f"changing {name} went unnoticed"


@pytest.mark.parametrize("name", ["vqvae_small", "vqvae_small_kit"])
def test_vqvae_equals_the_reference(parity: Path, name: str) -> None:
    tensors, config = official_tensors(parity / f"{name}_official.pth", "vqvae")
    assert isinstance(config, VQVAEConfig)
    encoder, decoder = Encoder(tensors, config), Decoder(tensors, config)
    with np.load(parity / f"{name}.npz") as data:
        for x, codes, rebuilt in zip(data["x"], data["codes"], data["recon"], strict=True):
            assert np.array_equal(encoder(x)[:, 0], codes)
            np.testing.assert_allclose(decoder(codes[:, None]), rebuilt, atol=2e-5)
