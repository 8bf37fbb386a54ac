# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/custom-skeleton.md: its commands in its order, with fewer clips and steps."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tqdm", reason="needs the extra train")

from docs.examples.dog import DOG

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[list[str]]:
    """The lines of the page's first block that are run here."""
    page = (ROOT / "docs" / "custom-skeleton.md").read_text(encoding="utf-8")
    block = re.findall(r"```\n(.*?)```", page, re.DOTALL)[0]
    return [shlex.split(line) for line in block.splitlines() if line.startswith("python ")]


def test_the_page_runs_as_written(tmp_path: Path) -> None:
    examples = tmp_path / "docs" / "examples"
    shutil.copytree(ROOT / "docs" / "examples", examples, ignore=shutil.ignore_patterns("__*"))
    for name, pattern, shorter in (
        ("dog.py", r"CLIPS_OF_EACH = \d+", "CLIPS_OF_EACH = 8"),
        ("dog.toml", r"(steps|warm_up|validate_every) = \d+", r"\1 = 2"),
    ):
        text, count = re.subn(pattern, shorter, (examples / name).read_text(encoding="utf-8"))
        assert count
        (examples / name).write_text(text, encoding="utf-8")
    lines = commands()
    assert len(lines) == 4
    if find_spec("bpy") is None:
        lines[-1] = [word.replace("trot.blend", "trot.npz") for word in lines[-1]]
    lines.append([word.replace(".blend", ".npz") for word in lines[-1]] + ["--seconds", "2"])
    for line in lines:
        done = subprocess.run(
            [sys.executable, *line[1:]],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
    with np.load(tmp_path / "trot.npz") as made:
        assert made["joints"].shape == (40, 25, 3)
        bones = made["joints"] - made["joints"][:, list(DOG.parents)]
        lengths = np.linalg.norm(bones, axis=-1)[:, 1:]
        assert np.allclose(lengths, DOG.bone_lengths[1:], atol=1e-4)
    if find_spec("bpy") is not None:
        assert (tmp_path / "trot.blend").stat().st_size > 50_000
