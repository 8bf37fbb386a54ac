# SPDX-License-Identifier: GPL-3.0-or-later
"""A model in a file of half the size says nearly the same, and the same in both runtimes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from t2m_blender.engine.checkpoint import read_checkpoint, read_tensors, write_checkpoint
from t2m_blender.engine.generate import MODELS, encode_prompts, generate_batch, load_model
from t2m_blender.engine.gpt import TextCondition
from t2m_blender.engine.torch_runtime import load_networks
from training.__main__ import main

PROMPTS = ["a person walks forward", "someone jumps up and down", "he sits down", "she waves"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model in float16, its layers off the whole numbers that it has them in."""
    model = read_checkpoint(MODELS / "default.safetensors")
    random = np.random.default_rng(0)
    tensors = {}
    for name, tensor in model.tensors.items():
        if name.endswith(".weight") and tensor.ndim > 1:
            rows = tensor.reshape(len(tensor), -1)
            step = np.abs(rows).max(axis=1, keepdims=True) / 127.0
            tensor = (rows + step * random.uniform(-0.5, 0.5, rows.shape)).reshape(tensor.shape)
        tensors[name] = tensor
    path = tmp_path_factory.mktemp("narrow") / "trained.safetensors"
    write_checkpoint(path, replace(model, tensors=tensors))
    return path


@pytest.fixture(scope="module")
def small(trained: Path) -> Path:
    path = trained.with_name("small.safetensors")
    assert main(["narrow", str(trained), "-o", str(path)]) == 0
    return path


def test_layers_are_int8_and_what_adds_up_along_a_path_is_not(trained: Path, small: Path) -> None:
    stored, _ = read_tensors(small)
    for name, tensor in stored.items():
        layer = name.endswith(".weight") and not name.startswith("vqvae.decoder.")
        if tensor.ndim > 1:
            assert tensor.dtype == (np.int8 if layer else np.float16), name
    layers = sum(tensor.size for tensor in stored.values() if tensor.dtype == np.int8)
    assert small.stat().st_size < trained.stat().st_size - 0.9 * layers
    assert "int8" in load_model(small).checkpoint.origin


def test_the_same_tokens_are_the_same_motion_and_motion_nearly_the_same_tokens(
    trained: Path, small: Path
) -> None:
    before, after = load_model(trained, runtime="numpy"), load_model(small, runtime="numpy")
    made = generate_batch(PROMPTS, model=before, seeds=range(4), seconds=[4.0] * 4)
    tokens = np.stack([one.tokens for one in made])
    features = before.runtime.decode(tokens)
    assert np.array_equal(after.runtime.decode(tokens), features)
    read = [model.runtime.encode(features) for model in (before, after)]
    assert (read[0] == read[1]).mean() > 0.95


def test_chances_of_the_next_token_move_little(trained: Path, small: Path) -> None:
    """Half the sum of how much the chances of all tokens differ, after tokens that were given."""
    chances = []
    model = load_model(trained, runtime="numpy")
    made = generate_batch(PROMPTS, model=model, seeds=range(4), seconds=[4.0] * 4)
    tokens = torch.from_numpy(np.stack([one.tokens for one in made]))
    text = encode_prompts(PROMPTS, model)
    words = model.gpt.word_limit
    for path in (trained, small):
        gpt, _ = load_networks(load_model(path, runtime="numpy").checkpoint)
        condition = TextCondition(
            torch.from_numpy(text.pooled),
            torch.from_numpy(text.tokens[:, :words]),
            torch.from_numpy(text.mask[:, :words]),
        )
        with torch.inference_mode():
            chances.append(gpt(tokens, condition).softmax(-1))
    moved = (chances[0] - chances[1]).abs().sum(-1) / 2
    assert 0.0 < float(moved.max()) < 0.03


def test_both_runtimes_write_the_same_tokens(small: Path) -> None:
    made = [
        generate_batch(
            PROMPTS,
            model=load_model(small, runtime=runtime, device="cpu"),
            seeds=range(4),
            seconds=[4.0, 2.0, None, 1.0],
        )
        for runtime in ("numpy", "torch")
    ]
    for one, other in zip(*made, strict=True):
        assert np.array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.motion.joints, other.motion.joints, atol=1e-3)


def test_what_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "a.safetensors"
    assert main(["narrow", str(MODELS / "minilm.safetensors"), "-o", str(output)]) == 2
    assert "not a t2m_blender model" in capsys.readouterr().err
    model = str(MODELS / "default.safetensors")
    assert main(["narrow", model, "-o", str(tmp_path / "no" / "a.safetensors")]) == 2
    assert not output.exists()
