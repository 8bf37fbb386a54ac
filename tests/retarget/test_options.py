# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint limits, and where the way over the floor goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import Rig, default_rig, map_bones, motion_to_pose
from t2m_blender.retarget.joint_limits import limited_joints
from t2m_blender.retarget.posing import posed_bones
from t2m_blender.retarget.rig import Bone
from t2m_blender.retarget.travel import root_bone
from tests.retarget.real_clips import real_clips

NAMES, REST = HUMANML3D.joint_names, HUMANML3D.rest_pose


def _knee_bent(angles: np.ndarray) -> np.ndarray:
    """[T, 22, 3] the T-pose with its left knee bent by so many degrees, negative forwards."""
    joints = np.repeat(REST[None], len(angles), axis=0)
    turn = quaternion_from_axis_angle(np.array([1.0, 0.0, 0.0]), np.radians(angles))
    knee = NAMES.index("left_knee")
    for joint in (NAMES.index("left_ankle"), NAMES.index("left_foot")):
        joints[:, joint] = joints[:, knee] + quaternion_rotate(turn, REST[joint] - REST[knee])
    return joints


def _bend(joints: np.ndarray) -> np.ndarray:
    shin = joints[:, NAMES.index("left_ankle")] - joints[:, NAMES.index("left_knee")]
    return np.degrees(np.arctan2(-shin[:, 2], -shin[:, 1]))


def test_knees_do_not_bend_forwards_and_bend_back_as_before() -> None:
    wanted = np.linspace(-40.0, 175.0, 60)
    found = _bend(limited_joints(_knee_bent(wanted), HUMANML3D, 20.0))
    assert found.min() > -1.0 and found.max() < 160.0
    free = (wanted > 16.0) & (wanted < 125.0)
    assert np.abs(found - wanted)[free].max() < 0.1
    assert (np.diff(found) > 0.0).all()


def test_real_motion_is_within_the_limits(shared: Path) -> None:
    moved = [
        np.linalg.norm(limited_joints(c.joints.astype(float), HUMANML3D, 20.0) - c.joints, axis=-1)
        for c in real_clips(shared)
    ]
    assert 1000.0 * np.concatenate(moved).mean() < 5.0


def test_limits_are_an_option_of_transfer() -> None:
    rig = default_rig()
    broken = Motion(_knee_bent(np.full(5, -40.0)), 20.0)
    index = {bone.name: k for k, bone in enumerate(rig.bones)}

    def bend(**options: bool) -> float:
        track = motion_to_pose(broken, rig, map_bones(rig), rate=20.0, **options)
        shin = posed_bones(rig, track)[0, [index["foot.L"], index["shin.L"]], :3, 3]
        ahead, up = -(shin[0] - shin[1])[1], (shin[0] - shin[1])[2]
        return float(np.degrees(np.arctan2(-ahead, -up)))

    assert bend() == pytest.approx(-40.0, abs=0.1)
    assert bend(joint_limits=True) > -1.0


@pytest.fixture
def rooted() -> Rig:
    """The figure with a root bone on the floor, rolled."""
    own = default_rig()
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.8, 0.0, 0.6]]
    root = Bone("root", None, np.zeros(3), np.array([0.0, 0.3, 0.0]), matrix)
    bones = [replace(b, parent="root") if b.parent is None else b for b in own.bones]
    return Rig("rooted", (root, *bones))


@pytest.fixture(scope="module")
def walk(shared: Path) -> Motion:
    return real_clips(shared)[1]


def test_travel_on_the_root_bone_adds_up(rooted: Rig, walk: Motion) -> None:
    bone_map = map_bones(rooted)
    assert root_bone(rooted, bone_map) == "root"
    hips, root = (
        motion_to_pose(walk, rooted, bone_map, rate=20.0, travel=travel)
        for travel in ("hips", "root")
    )
    assert set(root.translations) == {"root", "pelvis"}
    index = {bone.name: k for k, bone in enumerate(rooted.bones)}
    first, second = (posed_bones(rooted, track)[..., :3, 3] for track in (hips, root))
    joints = [index[bone] for bone in bone_map.bones.values()]
    assert np.abs(first[:, joints] - second[:, joints]).max() < 1e-9
    way = second[:, index["root"]]
    assert np.abs(way[:, 2]).max() < 1e-9  # over the floor only
    assert np.linalg.norm(way[-1] - way[0]) > 2.0
    assert np.abs(second[:, index["pelvis"], :2] - way[:, :2]).max() < 0.1


def test_in_place_stays_over_one_spot(rooted: Rig, walk: Motion) -> None:
    bone_map = map_bones(rooted)
    track = motion_to_pose(walk, rooted, bone_map, rate=20.0, travel="none")
    index = [bone.name for bone in rooted.bones].index("pelvis")
    place = posed_bones(rooted, track)[:, index, :3, 3]
    assert np.abs(place[:, :2]).max() < 0.1
    free = motion_to_pose(walk, rooted, bone_map, rate=20.0)
    height = posed_bones(rooted, free)[:, index, 2, 3]
    assert np.allclose(place[:, 2], height, atol=1e-9)


def test_root_motion_needs_a_root_bone(walk: Motion) -> None:
    rig = default_rig()
    with pytest.raises(InputError, match="no bone above the hips"):
        motion_to_pose(walk, rig, map_bones(rig), rate=20.0, travel="root")
