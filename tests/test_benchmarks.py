# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks run in one way, `python -m benchmarks.NAME`, and each is told of in the docs."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import jobs

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
BENCHMARKS = [
    path
    for path in sorted(FOLDER.glob("*.py"))
    if "if __name__" in path.read_text(encoding="utf-8")
]


def test_none_changes_the_path_but_the_one_for_blender() -> None:
    changing = {path.name for path in FOLDER.glob("*.py") if "sys.path" in path.read_text()}
    assert changing == {"in_blender.py"}


def test_each_says_how_to_run_it_and_stands_in_the_docs() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    for path in BENCHMARKS:
        name = "benchmarks" if path.stem == "__main__" else f"benchmarks.{path.stem}"
        ways = (f"python -m {name}", f"in_blender.py -- {path.stem}")
        assert any(way in path.read_text(encoding="utf-8") for way in ways), path
        assert any(way in pages for way in (name, *ways)), path


def test_all_of_them_are_found() -> None:
    folder = Path("here")
    folders = dict.fromkeys(("bpy", "rig", "trials", "dataset"), folder)
    options = argparse.Namespace(**folders, repeats=1, clock="cpu")
    names = [name for _, name, *_ in jobs(options)]
    assert {"reference", "memory", "button", "training_step"} <= set(names)
    assert all((FOLDER / f"{name}.py").is_file() for name in names)


def test_one_runs_from_the_checkout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.length", "--repeats", "1", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "length.md").read_text(encoding="utf-8") in done.stdout + "\n"
    assert (tmp_path / "length.json").is_file()


def test_the_floor_counts_the_bytes_that_a_file_needs() -> None:
    pytest.importorskip("torch")
    from benchmarks.random_model import int8_checkpoint, random_checkpoint
    from benchmarks.reference import narrow_bytes
    from t2m_blender.engine.configs import GPTConfig, VQVAEConfig

    sizes = {"codebook_size": 16, "width": 32}
    checkpoint = random_checkpoint(
        GPTConfig(**sizes, blocks=1, heads=2), VQVAEConfig(**sizes, code_size=8, depth=1)
    )
    layers = [
        name for name, tensor in checkpoint.tensors.items()
        if name.startswith("gpt.blocks") and tensor.ndim == 2
    ]  # fmt: skip
    small = int8_checkpoint(checkpoint).tensors
    needed = sum(part.nbytes for name in layers for part in small.narrow(name))
    wide = [checkpoint.tensors[name] for name in layers]
    assert narrow_bytes(wide) == needed
    assert all(np.abs(small[name] - checkpoint.tensors[name]).max() < 1e-3 for name in layers)
