# SPDX-License-Identifier: GPL-3.0-or-later
"""Twists that positions do not say: hinges, shared turns, level soles; directions stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.kinematics import recover_rotations
from t2m_blender.engine.rotations import (
    quaternion_angle,
    quaternion_from_axis_angle,
    quaternion_rotate,
)
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.engine.twist import HINGES, with_natural_twist

NAMES, PARENTS = HUMANML3D.joint_names, HUMANML3D.parents
REST = HUMANML3D.rest_pose
UP, LEFT = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])


def twisted(joints: np.ndarray) -> np.ndarray:
    turns = recover_rotations(joints, REST, HUMANML3D)
    return with_natural_twist(turns, joints, REST, HUMANML3D, 20.0)


@pytest.fixture(scope="module")
def clip(parity: Path) -> np.ndarray:
    with np.load(parity / "humanml3d_012314.npz") as data:
        return data["joints"].astype(np.float64)


def test_directions_stay_and_nothing_jumps(clip: np.ndarray) -> None:
    plain = recover_rotations(clip, REST, HUMANML3D)
    turns = twisted(clip)
    for joint, parent in enumerate(PARENTS):
        if parent > 0 and PARENTS.count(parent) == 1:
            bone = REST[joint] - REST[parent]
            found, wanted = (quaternion_rotate(t[:, parent], bone) for t in (turns, plain))
            assert np.abs(found - wanted).max() < 1e-6, NAMES[joint]
    steps = np.degrees(quaternion_angle(turns[1:], turns[:-1]))
    assert steps.max() < np.degrees(quaternion_angle(plain[1:], plain[:-1])).max() + 10.0
    assert (np.sum(turns[1:] * turns[:-1], axis=-1) > 0.0).all()


def _raised_forearm() -> np.ndarray:
    """Left arm out to the side; the forearm rises from there to straight up."""
    angle = np.linspace(0.0, np.pi / 2.0, 40)
    joints = np.repeat(REST[None], 40, axis=0)
    elbow, wrist = NAMES.index("left_elbow"), NAMES.index("left_wrist")
    turn = quaternion_from_axis_angle(np.array([0.0, 0.0, 1.0]), angle)
    joints[:, wrist] = joints[:, elbow] + quaternion_rotate(turn, REST[wrist] - REST[elbow])
    return joints


def test_an_elbow_bends_as_a_hinge() -> None:
    """Who waves turns the upper arm: the hinge at rest is upright, the bend's axis points ahead."""
    joints = _raised_forearm()
    shoulder = NAMES.index("left_shoulder")
    hinge = quaternion_rotate(twisted(joints)[-1, shoulder], HINGES["left_elbow"])
    bend = np.cross(LEFT, UP)
    assert np.degrees(np.arccos(hinge @ bend)) < 10.0
    plain = recover_rotations(joints, REST, HUMANML3D)[-1, shoulder]
    assert np.degrees(np.arccos(quaternion_rotate(plain, HINGES["left_elbow"]) @ bend)) > 80.0


def test_a_straight_arm_does_not_turn_about_itself() -> None:
    joints = np.repeat(REST[None], 10, axis=0)
    still = np.array([1.0, 0.0, 0.0, 0.0])
    assert np.degrees(quaternion_angle(twisted(joints), still)).max() < 1e-3


def test_the_spine_shares_the_turn_of_the_chest() -> None:
    angle = np.radians(60.0)
    joints = np.repeat(REST[None], 5, axis=0)
    chest = NAMES.index("spine3")
    above = [NAMES.index(n) for n in NAMES if "collar" in n or "shoulder" in n or "elbow" in n]
    above += [NAMES.index(n) for n in ("neck", "head", "left_wrist", "right_wrist")]
    turn = quaternion_from_axis_angle(UP, np.array(angle))
    joints[:, above] = joints[:, [chest]] + quaternion_rotate(turn, REST[above] - REST[chest])
    turns = twisted(joints)[0]
    found = [
        np.degrees(quaternion_angle(turns[NAMES.index(n)], turns[0]))
        for n in ("spine1", "spine2", "spine3")
    ]
    assert np.allclose(found, [20.0, 40.0, 60.0], atol=3.0)


def test_a_sole_is_level_under_a_leaning_shin() -> None:
    """Legs apart by 25 degrees: the foot does not roll with the shin."""
    joints = np.repeat(REST[None], 5, axis=0)
    hip, knee, ankle, ball = (
        NAMES.index(f"left_{part}") for part in ("hip", "knee", "ankle", "foot")
    )
    turn = quaternion_from_axis_angle(np.array([0.0, 0.0, 1.0]), np.radians(np.array(25.0)))
    for joint in (knee, ankle):
        joints[:, joint] = joints[:, hip] + quaternion_rotate(turn, REST[joint] - REST[hip])
    joints[:, ball] = joints[:, ankle] + REST[ball] - REST[ankle]
    up = quaternion_rotate(twisted(joints)[0, ankle], UP)
    plain = quaternion_rotate(recover_rotations(joints, REST, HUMANML3D)[0, ankle], UP)
    assert np.degrees(np.arccos(up[1])) < 9.0 < 18.0 < np.degrees(np.arccos(plain[1]))
