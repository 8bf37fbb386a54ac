# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys, and never further off than was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.retarget import default_rig, map_bones, motion_to_pose
from t2m_blender.retarget.key_reduction import reduced_keys


@pytest.mark.parametrize("bezier", [False, True])
@pytest.mark.parametrize("degrees", [0.5, 2.0])
def test_a_real_motion_keeps_few_keys_within_the_error(
    parity: Path, bezier: bool, degrees: float
) -> None:
    with np.load(parity / "humanml3d_012314.npz") as data:
        motion = Motion(data["joints"], 20.0)
    rig = default_rig()
    track = motion_to_pose(motion, rig, map_bones(rig), rate=60.0)
    kept = 0
    for number in range(len(track.bone_names)):
        rotations = track.rotations[:, number]
        keys = reduced_keys(rotations, np.radians(degrees) / 2.0, bezier=bezier)
        assert {0, track.frames - 1} <= set(keys.frames.tolist())
        assert np.array_equal(keys.values, rotations[keys.frames])
        error = np.linalg.norm(keys.curves() - rotations, axis=-1).max()
        assert error <= np.radians(degrees) / 2.0
        kept += len(keys.frames)
    share = kept / (track.frames * len(track.bone_names))
    assert share < {(0.5, False): 0.3, (0.5, True): 0.2}.get((degrees, bezier), 0.15)


def test_curves_need_fewer_keys_than_lines() -> None:
    wave = np.sin(np.linspace(0.0, 6.0 * np.pi, 300))
    lines, curves = (reduced_keys(wave, 0.01, bezier=bezier) for bezier in (False, True))
    assert len(curves.frames) < len(lines.frames) / 1.5


def test_straight_and_still_channels_keep_their_ends() -> None:
    assert reduced_keys(np.linspace(0.0, 5.0, 100), 1e-6).frames.tolist() == [0, 99]
    assert reduced_keys(np.zeros((50, 4)), 1e-6, bezier=True).frames.tolist() == [0, 49]
    alone = reduced_keys(np.array([2.0]), 0.1, bezier=True)
    assert alone.frames.tolist() == [0] and alone.curves().tolist() == [[2.0]]


def test_a_jump_keeps_its_keys() -> None:
    step = np.where(np.arange(40) < 20, 0.0, 1.0)
    keys = reduced_keys(step, 0.001)
    assert keys.frames.tolist() == [0, 19, 20, 39]


def test_bad_input_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="error above 0"):
        reduced_keys(np.zeros(5), 0.0)
    with pytest.raises(InputError, match="finite"):
        reduced_keys(np.array([0.0, np.nan]), 0.1)
