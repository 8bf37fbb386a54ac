# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion onto a rig and back, and rest poses of real rigs read as people who stand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_to_matrix
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import (
    Bone,
    Rig,
    default_rig,
    map_bones,
    motion_to_pose,
    read_motion,
)
from t2m_blender.retarget.posing import posed_bones

NAMES = HUMANML3D.joint_names


@pytest.fixture(scope="module")
def clip(parity: Path) -> Motion:
    with np.load(parity / "humanml3d_012314.npz") as data:
        return Motion(data["joints"], 20.0)


def real_rig(shared: Path, name: str) -> Rig:
    data = json.loads((shared / "data" / "rigs" / f"{name}.json").read_text())
    bones = tuple(
        Bone(
            b["name"], b["parent"], *(np.array(b[key], float) for key in ("head", "tail", "matrix"))
        )
        for b in data["bones"]
    )
    return Rig(name, bones, np.array(data["object_matrix"], float))


def angles_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.degrees(np.arccos(np.clip((first * second).sum(-1), -1.0, 1.0)))


def errors_mm(first: Motion, second: Motion) -> np.ndarray:
    return 1000.0 * np.linalg.norm(first.joints - second.joints, axis=-1)


def test_own_figure_gives_the_motion_back(clip: Motion) -> None:
    rig = default_rig()
    bone_map = map_bones(rig)
    track = motion_to_pose(clip, rig, bone_map, rate=20.0)
    back = read_motion(rig, bone_map, posed_bones(rig, track), fps=20.0)
    errors = errors_mm(clip, back)
    assert back.fps == 20.0 and back.frames == clip.frames
    assert errors.mean() < 2.0 and errors.max() < 3.0


def test_where_the_object_stands_is_where_the_motion_is(clip: Motion) -> None:
    """Turned by 130 degrees, moved and three times as large: the same motion, turned and moved."""
    rig = default_rig()
    bone_map = map_bones(rig)
    posed = posed_bones(rig, motion_to_pose(clip, rig, bone_map, rate=20.0))
    angle = np.radians(130.0)
    world = np.eye(4)
    world[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    world[:3, :3] *= 3.0
    world[:3, 3] = [6.0, -3.0, 0.0]
    back = read_motion(rig, bone_map, posed, fps=20.0, world=world)
    turn = quaternion_to_matrix(quaternion_from_axis_angle(np.array([0.0, 1, 0]), np.array(angle)))
    wanted = clip.joints @ turn.T + [2.0, 0.0, 1.0]
    assert 1000 * np.linalg.norm(back.joints - wanted, axis=-1).max() < 2.0
    moving = np.tile(world, (clip.frames, 1, 1))
    moving[:, 0, 3] += np.arange(clip.frames) * 0.03
    carried = read_motion(rig, bone_map, posed, fps=20.0, world=moving)
    steps = (carried.joints - back.joints)[:, 0, 0]
    assert np.allclose(steps, np.arange(clip.frames) * 0.01, atol=1e-4)


def test_rolls_units_and_axes_of_the_bones_do_not_matter(clip: Motion) -> None:
    """The figure y-up in centimetres with bones rolled at random, its object turned upright."""
    random = np.random.default_rng(7)
    own = default_rig()
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

    def other(bone: Bone) -> Bone:
        angle = random.uniform(-np.pi, np.pi)
        roll = quaternion_from_axis_angle(np.array([0.0, 1, 0]), np.array(angle))
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ bone.matrix[:3, :3] @ quaternion_to_matrix(roll)
        matrix[:3, 3] = turn @ bone.head * 100.0
        return replace(bone, head=matrix[:3, 3], tail=turn @ bone.tail * 100.0, matrix=matrix)

    world = np.eye(4)
    world[:3, :3] = 0.01 * turn.T
    rig = replace(own, bones=tuple(map(other, own.bones)), matrix_world=world)
    bone_map = map_bones(rig)
    track = motion_to_pose(clip, rig, bone_map, rate=20.0)
    back = read_motion(rig, bone_map, posed_bones(rig, track), fps=20.0)
    assert errors_mm(clip, back).max() < 3.0


@pytest.mark.parametrize("lacking", ["neck head", "spine1 spine2", "spine3 neck", "left_collar"])
def test_what_a_rig_lacks_is_made_up_for(clip: Motion, lacking: str) -> None:
    """Joints without a bone stand between their neighbours: limbs exact, the rest near."""
    rig = default_rig()
    full = map_bones(rig)
    posed = posed_bones(rig, motion_to_pose(clip, rig, full, rate=20.0))
    some = {joint: bone for joint, bone in full.bones.items() if joint not in lacking.split()}
    back = read_motion(rig, replace(full, bones=some), posed, fps=20.0)
    for upper, lower in (("left_knee", "left_ankle"), ("right_elbow", "right_wrist")):
        upper_index, lower_index = NAMES.index(upper), NAMES.index(lower)
        limb = clip.joints[:, lower_index] - clip.joints[:, upper_index]
        found = back.joints[:, lower_index] - back.joints[:, upper_index]
        assert angles_deg(found, limb).max() < 1.0
    assert errors_mm(clip, back).mean() < 40.0


@pytest.mark.parametrize("name", ["kaykit_medium", "mesh2motion_human"])
def test_a_real_rig_at_rest_stands_in_the_t_pose(shared: Path, name: str) -> None:
    rig = real_rig(shared, name)
    bone_map = map_bones(rig)
    assert bone_map.family == {"mesh2motion_human": "unreal"}.get(name, name)
    rest = np.stack([bone.matrix for bone in rig.bones])[None]
    back = read_motion(rig, bone_map, rest, fps=20.0).joints[0].astype(np.float64)
    bones = (back - back[list(HUMANML3D.parents)])[1:]
    feet = [NAMES.index(j) - 1 for j in ("left_foot", "right_foot")]
    others = np.delete(np.arange(21), feet)
    assert angles_deg(bones, HUMANML3D.t_pose[1:])[others].max() < 16.0  # knees rest a bit bent
    torso = [NAMES.index(j) - 1 for j in ("left_hip", "spine1", "spine3", "neck")]
    assert angles_deg(bones, HUMANML3D.t_pose[1:])[torso].max() < 1.0
    # the feet of both rigs rest straight ahead; their pitch is the T-pose's
    foot = bones[feet] / np.linalg.norm(bones[feet], axis=-1, keepdims=True)
    assert np.allclose(foot[:, 0], 0.0, atol=0.01)
    assert np.allclose(foot[:, 1], HUMANML3D.t_pose[1:][feet, 1], atol=0.01)
    assert np.allclose(np.linalg.norm(bones, axis=-1), HUMANML3D.bone_lengths[1:], atol=1e-6)


@pytest.mark.parametrize("name", ["kaykit_medium", "mesh2motion_human"])
def test_a_turned_bone_of_a_real_rig_turns_its_joint(shared: Path, name: str) -> None:
    """The pelvis bowed forward 40 degrees and one elbow bent: the torso bows, that wrist moves."""
    rig = real_rig(shared, name)
    bone_map = map_bones(rig)
    rest = np.stack([bone.matrix for bone in rig.bones])[None]
    index = {bone.name: k for k, bone in enumerate(rig.bones)}
    below = {bone_map.bones["left_elbow"]}
    for bone in rig.bones:
        if bone.parent in below:
            below.add(bone.name)
    posed = rest.copy()
    elbow = rig.by_name[bone_map.bones["left_elbow"]]
    ahead = rig.by_name[bone_map.bones["left_foot"]].head
    ahead = ahead - rig.by_name[bone_map.bones["left_ankle"]].head
    axis = np.zeros(3)
    height = int(np.argmax(np.abs(rig.by_name[bone_map.bones["head"]].head)))
    ahead[height], ahead[0] = 0.0, 0.0
    axis = np.cross([1.0, 0, 0], ahead / np.linalg.norm(ahead))  # from the left arm to ahead
    turn = np.eye(4)
    turn[:3, :3] = quaternion_to_matrix(quaternion_from_axis_angle(axis, np.array(np.pi / 2)))
    around = np.eye(4)
    around[:3, 3] = elbow.head
    for bone in below:
        posed[0, index[bone]] = around @ turn @ np.linalg.inv(around) @ rest[0, index[bone]]
    before, after = (
        read_motion(rig, bone_map, pose, fps=20.0).joints[0].astype(np.float64)
        for pose in (rest, posed)
    )
    wrist = NAMES.index("left_wrist")
    others = [k for k in range(22) if k != wrist]
    assert np.allclose(before[others], after[others], atol=1e-6)
    forearm = after[wrist] - after[NAMES.index("left_elbow")]
    assert angles_deg(forearm, np.array([0.0, 0.0, 1.0])) < 10.0  # points ahead


def test_broken_poses_and_maps_are_refused_in_a_sentence() -> None:
    rig = default_rig()
    bone_map = map_bones(rig)
    poses = np.tile(np.eye(4), (3, len(rig.bones), 1, 1))
    poses[1, 2, 0, 3] = np.nan
    with pytest.raises(InputError, match="finite"):
        read_motion(rig, bone_map, poses, fps=20.0)
    some = {joint: bone for joint, bone in bone_map.bones.items() if joint != "left_knee"}
    with pytest.raises(InputError, match="left_knee"):
        read_motion(rig, replace(bone_map, bones=some), poses[:1], fps=20.0)
