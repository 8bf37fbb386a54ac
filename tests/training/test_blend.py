# SPDX-License-Identifier: GPL-3.0-or-later
"""A model between two has weights between theirs, and only such of one stage 1 are blended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.checkpoint import read_checkpoint, write_checkpoint
from t2m_blender.engine.generate import MODELS, generate, load_model
from training.__main__ import main

FIRST = MODELS / "default.safetensors"


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model, whose GPT has learnt something else."""
    return _changed(tmp_path_factory.mktemp("blend") / "second.safetensors", "gpt.")


def _changed(path: Path, prefix: str) -> Path:
    model = read_checkpoint(FIRST)
    random = np.random.default_rng(0)
    tensors = {
        name: tensor * random.uniform(0.5, 1.5, tensor.shape) if name.startswith(prefix) else tensor
        for name, tensor in model.tensors.items()
    }
    write_checkpoint(path, replace(model, tensors=tensors), weights="int8")
    return path


def test_a_blend_lies_between(second: Path, tmp_path: Path) -> None:
    path = tmp_path / "between.safetensors"
    command = ["blend", str(FIRST), str(second), "--share", "0.25", "-o", str(path)]
    assert main([*command, "--weights", "fp16"]) == 0
    one, two, between = (read_checkpoint(file) for file in (FIRST, second, path))
    assert all(
        np.array_equal(two.text_changes[name], kept)  # as it is in both
        for name, kept in between.text_changes.items()
    )
    for name, tensor in between.tensors.items():
        wanted = 0.75 * one.tensors[name].astype(float) + 0.25 * two.tensors[name].astype(float)
        assert np.allclose(tensor, wanted, rtol=2e-3, atol=1e-5), name
    assert one.sha256 in between.origin
    assert np.isfinite(generate("he walks", model=load_model(path)).motion.joints).all()


@pytest.mark.parametrize(("share", "which"), [("0", 0), ("1", 1)])
def test_a_blend_ends_at_both(second: Path, tmp_path: Path, share: str, which: int) -> None:
    path = tmp_path / "end.safetensors"
    assert main(["blend", str(FIRST), str(second), "--share", share, "-o", str(path)]) == 0
    prompt, wanted = "a person waves", load_model((FIRST, second)[which])
    made, same = (generate(prompt, model=m, seed=1) for m in (load_model(path), wanted))
    assert np.array_equal(made.tokens, same.tokens)


def test_what_has_another_stage_1_is_not_blended(
    second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _changed(tmp_path / "other.safetensors", "vqvae.")
    path = tmp_path / "no.safetensors"
    assert main(["blend", str(FIRST), str(other), "-o", str(path)]) == 2
    assert "not of one stage 1" in capsys.readouterr().err
    assert main(["blend", str(FIRST), str(second), "--share", "2", "-o", str(path)]) == 2
    assert "from 0 to 1" in capsys.readouterr().err
    assert not path.exists()
