# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion on a rig, read back by composing the pose channels as Blender does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import quaternion_angle
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import Bone, Rig, default_rig, map_bones, motion_to_pose
from t2m_blender.retarget.posing import posed_bones

LIMBS = [
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("left_ankle", "left_foot"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
    ("right_ankle", "right_foot"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("spine1", "spine2"),
    ("spine2", "spine3"),
    ("neck", "head"),
]


@pytest.fixture(scope="module")
def clip(parity: Path) -> Motion:
    with np.load(parity / "humanml3d_012314.npz") as data:
        return Motion(data["joints"], 20.0)


@pytest.fixture(scope="module")
def turning_clip(clip: Motion) -> Motion:
    """The clip while its stage turns once around, evenly."""
    angle = np.linspace(0.0, 2.0 * np.pi, clip.frames)
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    turn = np.stack(
        [
            np.stack([cos, zero, sin], -1),
            np.stack([zero, zero + 1, zero], -1),
            np.stack([-sin, zero, cos], -1),
        ],
        axis=1,
    )
    return Motion(np.einsum("tij,tkj->tki", turn, clip.joints.astype(np.float64)), 20.0)


@pytest.fixture(params=["clip", "turning_clip"])
def motion(request: pytest.FixtureRequest) -> Motion:
    return request.getfixturevalue(request.param)


def posed_heads(rig: Rig, motion: Motion, **options) -> tuple[np.ndarray, np.ndarray]:
    """Bone heads [T, 22, 3] and matrices [T, 22, 4, 4] in joint order, armature space."""
    bone_map = map_bones(rig)
    track = motion_to_pose(motion, rig, bone_map, **options)
    names = [bone.name for bone in rig.bones]
    joints = [names.index(bone_map.bones[joint]) for joint in HUMANML3D.joint_names]
    matrices = posed_bones(rig, track)[:, joints]
    return matrices[..., :3, 3], matrices


def to_blender(joints: np.ndarray) -> np.ndarray:
    return np.stack((joints[..., 0], -joints[..., 2], joints[..., 1]), axis=-1)


def angles_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.degrees(np.arccos(np.clip((first * second).sum(-1), -1.0, 1.0)))


def limb(joints: np.ndarray, upper: str, lower: str) -> np.ndarray:
    names = HUMANML3D.joint_names
    return joints[:, names.index(lower)] - joints[:, names.index(upper)]


def test_every_limb_points_where_the_motion_points(motion: Motion) -> None:
    heads, _ = posed_heads(default_rig(), motion, rate=20.0)
    wanted = to_blender(motion.joints)
    for upper, lower in LIMBS:
        worst = angles_deg(limb(heads, upper, lower), limb(wanted, upper, lower)).max()
        assert worst < 1.0, (upper, lower, worst)


def test_joints_come_back_within_two_millimetres(motion: Motion) -> None:
    heads, _ = posed_heads(default_rig(), motion, rate=20.0)
    assert np.linalg.norm(heads - to_blender(motion.joints), axis=-1).max() < 0.002


def test_left_is_left_and_ahead_is_ahead(clip: Motion) -> None:
    rig = default_rig()
    assert rig.by_name["thigh.L"].head[0] > 0.03
    assert rig.by_name["thigh.R"].head[0] < -0.03
    assert rig.by_name["toe.L"].head[1] < rig.by_name["foot.L"].head[1]
    heads, _ = posed_heads(rig, clip, rate=20.0)
    names = HUMANML3D.joint_names
    left = heads[:, names.index("left_hip")] - heads[:, names.index("right_hip")]
    up = heads[:, names.index("neck")] - heads[:, 0]
    ahead = np.cross(left, up)
    toes = limb(heads, "left_ankle", "left_foot") + limb(heads, "right_ankle", "right_foot")
    assert ((ahead * toes).sum(-1) > 0).mean() > 0.95


def test_the_root_path_is_the_motions(motion: Motion) -> None:
    heads, _ = posed_heads(default_rig(), motion, rate=20.0)
    wanted = to_blender(motion.joints[:, 0])
    assert np.abs(heads[:, 0] - wanted).max() < 1e-4


def test_no_jump_that_the_joints_do_not_have(motion: Motion) -> None:
    track = motion_to_pose(motion, default_rig(), map_bones(default_rig()), rate=20.0)
    assert (np.sum(track.rotations[1:] * track.rotations[:-1], axis=-1) > 0).all()
    bones = motion.joints[:, 1:] - motion.joints[:, list(HUMANML3D.parents)[1:]]
    largest = angles_deg(bones[1:], bones[:-1]).max()
    steps = np.degrees(quaternion_angle(track.rotations[1:], track.rotations[:-1]))
    assert steps.max() < 1.5 * largest


def test_a_rig_with_other_axes_rolls_and_units(clip: Motion) -> None:
    """The same figure, y-up, in centimetres, twice as long in the leg, bones rolled at random."""
    random = np.random.default_rng(5)
    own = default_rig()
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

    def other(bone: Bone) -> Bone:
        angle = random.uniform(-np.pi, np.pi)
        roll = np.eye(4)
        roll[0, 0] = roll[2, 2] = np.cos(angle)
        roll[0, 2], roll[2, 0] = np.sin(angle), -np.sin(angle)
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ bone.matrix[:3, :3]
        matrix = matrix @ roll
        matrix[:3, 3] = turn @ bone.head * 200.0
        return replace(bone, head=matrix[:3, 3], tail=turn @ bone.tail * 200.0, matrix=matrix)

    rig = replace(own, bones=tuple(map(other, own.bones)))
    heads, _ = posed_heads(rig, clip, rate=20.0)
    assert np.linalg.norm(heads / 200.0 - clip.joints, axis=-1).max() < 0.003


@pytest.mark.parametrize("rate", [24.0, 25.0, 30000 / 1001, 30.0, 60.0])
def test_frames_at_other_rates(clip: Motion, rate: float) -> None:
    rig = default_rig()
    natural = motion_to_pose(clip, rig, map_bones(rig), rate=rate)
    assert natural.frames == round(clip.frames / 20.0 * rate)
    asked = motion_to_pose(clip, rig, map_bones(rig), rate=rate, frames=77)
    assert asked.frames == 77
    original = motion_to_pose(clip, rig, map_bones(rig), rate=20.0)
    first = posed_bones(rig, original)[..., :3, 3]
    for track in (natural, asked):
        heads = posed_bones(rig, track)[..., :3, 3]
        for end in (0, -1):
            assert np.abs(heads[end] - first[end]).max() < 0.001
    turned = quaternion_angle(natural.rotations[[0, -1]], original.rotations[[0, -1]])
    assert np.degrees(turned).max() < 0.1


def test_a_single_frame(clip: Motion) -> None:
    rig = default_rig()
    still = Motion(clip.joints[:1], 20.0)
    assert motion_to_pose(still, rig, map_bones(rig), rate=24.0).frames == 1


def test_every_bone_bends_about_its_x(clip: Motion) -> None:
    """Knees and elbows of the own rig: the local x axis stands across the plane they bend in."""
    rig = default_rig()
    for name, axis in (("shin.L", 0), ("shin.R", 0), ("forearm.L", 2), ("forearm.R", 2)):
        assert abs(rig.by_name[name].matrix[axis, 0]) > 0.99
    assert np.allclose([np.linalg.det(bone.matrix[:3, :3]) for bone in rig.bones], 1.0), (
        "rest matrices are rotations"
    )
