# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons declared as data: ours, and one of somebody else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints, motion_to_features, placed_joints
from t2m_blender.engine.kinematics import forward_kinematics, recover_rotations
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import (
    HUMANML3D,
    KIT,
    Skeleton,
    skeleton_from_json,
    skeleton_to_json,
)

# Pelvis, hip-knee-ankle-toe on both sides, chest, shoulders: 12 joints.
_DIRECTIONS = np.array(
    [(0, 0, 0), (1, 0, 0), (0, -1, 0), (0, -1, 0), (0, 0, 1), (-1, 0, 0)]
    + [(0, -1, 0), (0, -1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0)],
    dtype=np.float64,
)
STILTS = Skeleton(
    name="stilts-12",
    joint_names=tuple("pelvis lh lk la lt rh rk ra rt chest ls rs".split()),
    chains=((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10), (9, 11)),
    directions=_DIRECTIONS,
    t_pose=_DIRECTIONS,
    bone_lengths=np.array([0, 0.1, 0.5, 0.5, 0.2, 0.1, 0.5, 0.5, 0.2, 0.6, 0.2, 0.2]),
    right_hip=5,
    left_hip=1,
    right_shoulder=11,
    left_shoulder=10,
    left_feet=(3, 4),
    right_feet=(7, 8),
    leg_bones=(2, 3),
    fps=25.0,
    contact_threshold=0.001,
)


def walk(skeleton: Skeleton, frames: int = 120) -> np.ndarray:
    """Striding legs on a path that turns through more than a circle."""
    time = np.arange(frames) / skeleton.fps
    swing = 0.5 * np.sin(2 * np.pi * time)
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (frames, skeleton.joint_count, 1))
    for side, sign in (((1, 2, 3, 4), 1.0), ((5, 6, 7, 8), -1.0)):
        leg = quaternion_from_axis_angle(np.array([1.0, 0.0, 0.0]), sign * swing)
        rotations[:, side] = leg[:, None]
    root = np.stack((np.sin(time), 1.0 + 0.0 * time, np.cos(time)), axis=1)
    joints = forward_kinematics(rotations, np.zeros((frames, 3)), skeleton.rest_pose, skeleton)
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), 1.7 * time)
    return quaternion_rotate(turn[:, None], joints) + root[:, None]


@pytest.mark.parametrize("facing", ["continuous", "body"])
def test_features_of_a_skeleton_of_ones_own_come_back(facing: str) -> None:
    joints = walk(STILTS)
    features = motion_to_features(joints, STILTS, facing=facing)
    assert features.shape == (119, 12 * 12 - 1)
    placed = placed_joints(joints, STILTS, facing=facing)
    assert np.abs(features_to_joints(features, STILTS) - placed[:-1]).max() < 1e-6
    rotations = recover_rotations(joints, STILTS.rest_pose, STILTS)
    rebuilt = forward_kinematics(rotations, joints[:, 0], STILTS.rest_pose, STILTS)
    assert np.abs(rebuilt - joints).max() < 1e-6


def test_json_brings_every_skeleton_back() -> None:
    assert skeleton_from_json(skeleton_to_json(HUMANML3D)) is HUMANML3D
    measured = KIT.with_bone_lengths(np.arange(63.0).reshape(21, 3))
    for skeleton in (STILTS, measured):
        back = skeleton_from_json(json.loads(json.dumps(skeleton_to_json(skeleton))))
        assert back.chains == skeleton.chains
        assert back.left_feet == skeleton.left_feet
        assert np.array_equal(back.offsets, skeleton.offsets)
        assert np.array_equal(back.t_pose, skeleton.t_pose)


def test_a_dataset_keeps_a_skeleton_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("tqdm", reason="needs the extra train")
    from training.data.dataset import Clip, Dataset, read_dataset, statistics, write_dataset

    features = {"a": motion_to_features(walk(STILTS), STILTS).astype(np.float32)}
    clip = Clip("a", "train", ("stilts",), ("hand",), "a", 0, 120, 119, "", "CC0", "", False)
    mean, std = statistics(features.values(), STILTS)
    write_dataset(Dataset("mine", STILTS, (clip,), features, mean, std), tmp_path / "set")
    back = read_dataset(tmp_path / "set")
    assert back.skeleton.joint_names == STILTS.joint_names
    assert np.array_equal(back.features["a"], features["a"])


@pytest.mark.parametrize(
    "change",
    [
        {"chains": ((0, 1, 2, 3, 4),)},
        {"chains": ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10), (9, 11), (9, 10))},
        {"left_hip": 12},
        {"directions": _DIRECTIONS[:5]},
        {"bone_lengths": np.ones(3)},
        {"fps": 0.0},
    ],
)
def test_what_is_no_skeleton_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="stilts-12"):
        replace(STILTS, **change)


@pytest.mark.parametrize("value", ["dog", None, 3, {"name": "x"}, {"directions": "a"}])
def test_what_is_no_stored_skeleton_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="skeleton"):
        skeleton_from_json(value)
