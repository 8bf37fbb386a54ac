# SPDX-License-Identifier: GPL-3.0-or-later

"""A sentence on the command line, in a process of its own, until the .blend file is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import curve_values, posed_joints

from t2m_blender.engine.skeleton import HUMANML3D

ROOT = Path(__file__).parents[2]
STEP = 0.15  # metres from ankle to ankle along the way; a walker's is three times as long


def _run(folder: Path, name: str, *options: str) -> Path:
    """The file that `python -m t2m_blender` writes, standing in the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "t2m_blender", "a person walks forward", "-o", name, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder / name


def _open(path: Path) -> bpy.types.Object:
    bpy.ops.wm.open_mainfile(filepath=str(path))
    (armature,) = [object for object in bpy.data.objects if object.type == "ARMATURE"]
    return armature


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same line twice, and once with another seed."""
    folder = tmp_path_factory.mktemp("walks")
    lines = {"first": "1", "again": "1", "other": "2"}
    return {name: _run(folder, f"{name}.blend", "--seed", seed) for name, seed in lines.items()}


def test_the_same_line_gives_the_same_curves_and_another_seed_others(walks) -> None:
    curves = {}
    for name, path in walks.items():
        armature = _open(path)
        curves[name] = curve_values(armature, armature.animation_data.action)
    first, again, other = curves["first"], curves["again"], curves["other"]
    assert first
    assert first.keys() == again.keys() == other.keys()
    assert all(first[key].tobytes() == again[key].tobytes() for key in first)
    assert any(first[key].tobytes() != other[key].tobytes() for key in first)


def test_the_figure_in_the_file_walks(walks) -> None:
    armature = _open(walks["first"])
    scene = bpy.context.scene
    assert armature.animation_data.action["t2m_prompt"] == "a person walks forward"
    joints = posed_joints(armature, range(scene.frame_start, scene.frame_end + 1))
    names = HUMANML3D.joint_names
    hips = joints[:, names.index("pelvis"), :2]
    way = hips[-1] - hips[0]
    assert np.linalg.norm(way) > 1.0
    way /= np.linalg.norm(way)
    ankles = [joints[:, names.index(f"{side}_ankle"), :2] @ way for side in ("left", "right")]
    lead = ankles[0] - ankles[1]  # above 0 where the left foot is in front
    in_front = [side for side, _ in groupby(np.sign(lead[np.abs(lead) > STEP]))]
    assert len(in_front) >= 3, f"the feet do not alternate: {in_front}"


def test_as_many_frames_as_asked_and_nothing_said(tmp_path) -> None:
    armature = _open(_run(tmp_path, "walk.blend", "--frames", "48", "--quiet"))
    first, last = armature.animation_data.action.frame_range
    assert last - first == 47
    assert [item.name for item in tmp_path.iterdir()] == ["walk.blend"]
