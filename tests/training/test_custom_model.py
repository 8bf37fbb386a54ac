# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/custom-model.md: its commands in its order, with fewer trials and steps, into the panel."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from cmu_sample import unpack_sample

pytest.importorskip("torch")
pytest.importorskip("tqdm", reason="needs the extra train")
if find_spec("bpy") is None:
    pytest.skip("needs the bpy wheel", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
TRIALS = ("02_01", "02_04", "16_17", "07_02")  # of the sample; the last one is to validate on
FEWER = (
    (r"--(curves|sequences|wordings) \d+", r"--\1 1"),
    (r"--seeds \d+ --only .*", "--seeds 1 --only walk"),
)
IN_BLENDER = """
import os, sys
import bpy, t2m_blender
t2m_blender.register()
{page}
from t2m_blender.blender import models
assert sorted(models.found()) == ["default", "three"], models.found()
(action,) = bpy.data.actions
assert action["t2m_model"] == "three" and action["t2m_prompt"] == "a person runs forward"
print("moved by three")
sys.stdout.flush()
os._exit(0)  # the wheel of Blender 4.2 crashes at exit
"""


def blocks(language: str) -> list[str]:
    """The page's blocks of a language; that of commands is "".

    Fences are read in pairs, so that the end of one is not taken for the beginning of another.
    """
    page = (ROOT / "docs" / "custom-model.md").read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def commands() -> list[list[str]]:
    """The page's lines that begin with python, with less to do."""
    lines = []
    for line in "".join(blocks("")).splitlines():
        for pattern, fewer in FEWER:
            line = re.sub(pattern, fewer, line)
        if line.startswith("python "):
            lines.append(shlex.split(line)[1:])
    return lines


def examples(folder: Path, shared: Path) -> Path:
    """A copy of docs/examples/cmu with fewer trials and steps; returns where trials lie."""
    sample = unpack_sample(shared)
    copy = folder / "docs" / "examples" / "cmu"
    shutil.copytree(ROOT / "docs" / "examples" / "cmu", copy)
    table = json.loads((sample / "trials.json").read_text())
    pairs = json.loads((sample / "pairs.json").read_text())
    (copy / "trials.json").write_text(json.dumps({name: table[name] for name in TRIALS}))
    (copy / "pairs.json").write_text(json.dumps([p for p in pairs if p["trial"] in TRIALS]))
    settings = (copy / "small.toml").read_text(encoding="utf-8")
    settings, count = re.subn(r"(steps|warm_up|validate_every) = \d+", r"\1 = 2", settings)
    assert count == 6
    (copy / "small.toml").write_text(settings, encoding="utf-8")
    return sample / "cmu"


def run(folder: Path, *arguments: str) -> str:
    """What a Python says in that folder, with a Blender of its own user settings."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "BLENDER_USER_RESOURCES": str(folder / "user"),
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_from_nothing_to_the_panel(tmp_path: Path, shared: Path) -> None:
    sample = examples(tmp_path, shared)
    lines = commands()
    assert [
        line[1] if line[0] != "-m" else line[2] for line in lines if line[1] != "t2m_blender"
    ] == [
        "captures",
        "prepare",
        "augment",
        "train-vqvae",
        "train-gpt",
        "check-prompts",
        "prepare",
        "merge",
        "augment",
    ]
    for line in lines:
        if line[-1] == "captures":
            line += ["--url", sample.as_uri()]
        if "actions" in line:  # "your own": what the page has made a few lines before
            (tmp_path / "run.blend").rename(tmp_path / "shot.blend")
        run(tmp_path, *line)
    made = json.loads((tmp_path / "reports/three/checks.json").read_text())
    assert made["checks"][0]["name"] == "walk"
    shutil.copyfile(tmp_path / "runs/three/model.safetensors", tmp_path / "three.safetensors")
    (page,) = blocks("python")
    assert "moved by three" in run(tmp_path, "-c", IN_BLENDER.format(page=page))


@pytest.mark.parametrize("name", ["trials.json", "pairs.json"])
def test_the_tables_are_those_of_the_data_at_hand(name: str, shared: Path) -> None:
    ours = json.loads((ROOT / "docs/examples/cmu" / name).read_text(encoding="utf-8"))
    whole = json.loads((shared / "data/cmu" / name).read_text(encoding="utf-8"))
    if isinstance(ours, list):
        assert ours and all(row in whole for row in ours)
    else:
        assert len(ours) == 90
        assert all(row.items() <= whole[trial].items() for trial, row in ours.items())
