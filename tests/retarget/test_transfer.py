# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty real clips on real rigs, and on the same rigs spoilt in the ways rigs come spoilt."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import Rig, default_rig, map_bones, motion_to_pose, read_motion
from t2m_blender.retarget.calibration import calibrate
from t2m_blender.retarget.posing import posed_bones
from t2m_blender.retarget.rig import Bone
from tests.retarget.real_clips import real_clips
from tests.retarget.zoo import (
    NAMES,
    SPOILT,
    Row,
    angles_deg,
    measure,
    real_rig,
    rest_posed,
    table,
)

RIGS = (
    *("own", "cmu_cgspeed", "daz_friendly", "gdquest_mannequiny", "iclone_cc3", "kaykit_medium"),
    *("mesh2motion_human", "mixamo"),
)


def _rig(shared: Path, name: str) -> Rig:
    if name == "own":
        return default_rig()
    return real_rig(shared / "data" / "rigs" / f"{name}.json")


@pytest.fixture(scope="module")
def clips(shared: Path) -> tuple[Motion, ...]:
    return real_clips(shared)


def _check(row: Row) -> None:
    print(table([row]))
    assert row.limbs < 0.1 and row.worst_limb < 1.0
    assert row.path < 0.001
    assert row.left
    assert row.turns < 25.0  # degrees a frame that twists may add where a limb swings fast
    assert math.isnan(row.feet) or row.feet < 8.0
    assert row.slip < 5.0 and row.knee < 5.0 and row.sunk < 1.0


@pytest.mark.parametrize("name", RIGS)
def test_twenty_clips_on_a_real_rig(shared: Path, clips: tuple[Motion, ...], name: str) -> None:
    rig = _rig(shared, name)
    bone_map = map_bones(rig)
    row = measure(rig, bone_map, clips, held=4)
    _check(row)
    all_joints = set(NAMES) <= set(bone_map.bones)
    assert row.back < (0.1 if all_joints else 10.0)


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("name", RIGS)
def test_rolls_rest_poses_axes_and_units_do_not_matter(
    shared: Path, clips: tuple[Motion, ...], name: str, spoil
) -> None:
    rig = _rig(shared, name)
    bone_map = map_bones(rig)
    _check(measure(spoil(rig, bone_map), bone_map, clips[5:7], held=1))


ARMS_DOWN = {"left_shoulder": ((0, 0, 1), -80.0), "right_shoulder": ((0, 0, 1), 80.0)}
CROUCHED = {
    **{f"{side}_hip": ((1, 0, 0), -70.0) for side in ("left", "right")},
    **{f"{side}_knee": ((1, 0, 0), 100.0) for side in ("left", "right")},
    **{f"{side}_elbow": ((0, 1, 0), sign * 80.0) for side, sign in (("left", -1), ("right", 1))},
}


@pytest.mark.parametrize("turns", [ARMS_DOWN, CROUCHED], ids=["arms down", "crouched"])
def test_other_rest_poses(clips: tuple[Motion, ...], turns) -> None:
    rig = default_rig()
    bone_map = map_bones(rig)
    other = rest_posed(rig, bone_map, turns, "posed")
    _check(measure(other, bone_map, clips[5:7], held=1))


def _heads(rig: Rig, bone_map, track) -> dict[str, np.ndarray]:
    posed = posed_bones(rig, track)
    index = {bone.name: k for k, bone in enumerate(rig.bones)}
    return {joint: posed[:, index[bone], :3, 3] for joint, bone in bone_map.bones.items()}


def test_a_rig_that_stands_stands_where_it_rests(shared: Path) -> None:
    """The skeleton's T-pose on any rig that rests standing: feet and hips as they rest."""
    pose = HUMANML3D.rest_pose
    pose = pose - [0.0, pose[:, 1].min(), 0.0]
    standing = Motion(np.repeat(pose[None], 3, axis=0), 20.0)
    for name in ("kaykit_medium", "mesh2motion_human", "mixamo"):
        rig = _rig(shared, name)
        bone_map = map_bones(rig)
        heads = _heads(rig, bone_map, motion_to_pose(standing, rig, bone_map, rate=20.0))
        legs = calibrate(rig, bone_map, HUMANML3D).scale
        for joint in ("pelvis", "left_hip", "left_ankle", "right_ankle", "neck", "head"):
            if joint in heads:
                moved = heads[joint][1] - rig.by_name[bone_map.bones[joint]].head
                # legs that rest a little bent are straight in the T-pose
                assert np.linalg.norm(moved) < 0.12 * legs, (name, joint, moved)


def test_captured_skeletons_with_hips_in_the_origin_stand_on_the_floor(
    shared: Path, clips: tuple[Motion, ...]
) -> None:
    walk = clips[1]
    for name in ("cmu_cgspeed", "daz_friendly"):
        rig = _rig(shared, name)
        bone_map = map_bones(rig)
        heads = _heads(rig, bone_map, motion_to_pose(walk, rig, bone_map, rate=20.0))
        scale = calibrate(rig, bone_map, HUMANML3D).scale
        ankles = np.minimum(heads["left_ankle"][:, 2], heads["right_ankle"][:, 2]) / scale
        assert -0.05 < ankles.min() < 0.1, name  # their feet are flatter than the skeleton's


def test_hips_that_stick_to_their_parent_are_moved_by_it(
    shared: Path, clips: tuple[Motion, ...]
) -> None:
    rig = _rig(shared, "iclone_cc3")
    bone_map = map_bones(rig)
    assert rig.by_name[bone_map.bones["pelvis"]].connected
    track = motion_to_pose(clips[1], rig, bone_map, rate=20.0)
    assert list(track.translations) == ["RL_BoneRoot"]


def test_bones_that_do_not_turn_with_their_parents(clips: tuple[Motion, ...]) -> None:
    """Inherit Rotation off for an arm and the hips' location along the armature's axes."""
    own = default_rig()
    bone_map = map_bones(own)
    odd = {bone_map.bones[joint] for joint in ("left_shoulder", "right_hip", "neck")}

    def other(bone: Bone) -> Bone:
        local = bone.name != bone_map.bones["pelvis"]
        return replace(bone, inherit_rotation=bone.name not in odd, local_location=local)

    rig = replace(own, bones=tuple(map(other, own.bones)))
    for contacts in (None, []):
        tracks = [
            motion_to_pose(clips[3], r, bone_map, rate=20.0, contacts=contacts) for r in (own, rig)
        ]
        first, second = (_heads(r, bone_map, t) for r, t in zip((own, rig), tracks, strict=True))
        assert max(np.abs(first[j] - second[j]).max() for j in first) < 1e-6


def test_a_mirrored_object_keeps_its_left(clips: tuple[Motion, ...]) -> None:
    """Read back from a mirrored object, the motion is the one that was put on."""
    rig = default_rig()
    bone_map = map_bones(rig)
    posed = posed_bones(rig, motion_to_pose(clips[9], rig, bone_map, rate=20.0))
    back = read_motion(rig, bone_map, posed, fps=20.0, world=np.diag([-0.5, 0.5, 0.5, 1.0]))
    assert 1000 * np.abs(back.joints - clips[9].joints).max() < 10.0


@pytest.mark.parametrize("lacking", ["spine2", "spine1 spine2", "neck", "head neck spine3"])
def test_limbs_are_exact_whatever_the_spine_lacks(clips: tuple[Motion, ...], lacking: str) -> None:
    rig = default_rig()
    whole = map_bones(rig)
    some = {j: b for j, b in whole.bones.items() if j not in lacking.split()}
    motion = clips[10]
    heads = _heads(rig, whole, motion_to_pose(motion, rig, replace(whole, bones=some), rate=20.0))
    joints = np.stack((motion.joints[..., 0], -motion.joints[..., 2], motion.joints[..., 1]), -1)
    for upper, lower in (("left_shoulder", "left_elbow"), ("right_knee", "right_ankle")):
        wanted = joints[:, NAMES.index(lower)] - joints[:, NAMES.index(upper)]
        assert angles_deg(heads[lower] - heads[upper], wanted).max() < 0.1
    neck = joints[:, NAMES.index("neck")] - joints[:, 0]
    assert angles_deg(heads["neck"] - heads["pelvis"], neck).mean() < 6.0


def test_what_lacks_a_limb_is_refused_in_a_sentence(clips: tuple[Motion, ...]) -> None:
    rig = default_rig()
    whole = map_bones(rig)
    some = {j: b for j, b in whole.bones.items() if j != "left_knee"}
    with pytest.raises(InputError, match=r"left_knee; choose one"):
        motion_to_pose(clips[0], rig, replace(whole, bones=some), rate=20.0)
