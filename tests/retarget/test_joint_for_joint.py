# SPDX-License-Identifier: GPL-3.0-or-later
"""A dog on the figure of its own skeleton, and on a larger one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from docs.examples.dog import DOG, KINDS, clips_of, pose
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.retarget import default_rig
from t2m_blender.retarget.joint_for_joint import motion_to_own_pose
from t2m_blender.retarget.posing import posed_bones
from t2m_blender.retarget.rig import Rig


def _motion(kind: str) -> Motion:
    joints = pose(clips_of(kind, np.random.default_rng(1))[0])
    return Motion(joints.astype(np.float32), DOG.fps, DOG)


def _heads(rig: Rig, motion: Motion) -> np.ndarray:
    """The posed bones' heads [T, J, 3] along the motion's axes, by joint."""
    posed = posed_bones(rig, motion_to_own_pose(motion, rig, rate=motion.fps))
    place = [[bone.name for bone in rig.bones].index(name) for name in DOG.joint_names]
    x, y, z = np.moveaxis(posed[..., :3, 3][:, place], -1, 0)
    return np.stack((x, z, -y), axis=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_joint_is_where_the_motion_has_it(kind: str) -> None:
    motion = _motion(kind)
    assert np.abs(_heads(default_rig(DOG), motion) - motion.joints).max() < 0.002


def test_a_figure_twice_as_large_goes_twice_as_far() -> None:
    twice = replace(DOG, bone_lengths=2.0 * DOG.bone_lengths)
    motion = _motion("trots, ahead")
    assert np.abs(_heads(default_rig(twice), motion) - 2.0 * motion.joints).max() < 0.004


def test_bones_that_point_backward_have_axes_at_right_angles() -> None:
    for bone in default_rig(DOG).bones:
        assert np.allclose(bone.matrix[:3, :3] @ bone.matrix[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.norm(bone.tail - bone.head) > 0.01


def test_a_person_is_refused_with_the_bones_that_it_lacks() -> None:
    motion, person = _motion("sits"), default_rig()
    with pytest.raises(InputError, match=r"no bone for spine, chest, nose and \d+ more"):
        motion_to_own_pose(motion, person, rate=20.0)
