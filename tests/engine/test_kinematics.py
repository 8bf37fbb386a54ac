# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations recovered from positions rebuild the positions and never flip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.kinematics import forward_kinematics, recover_rotations
from t2m_blender.engine.rotations import (
    matrix_from_6d,
    matrix_to_quaternion,
    normalise,
    quaternion_angle,
    quaternion_between,
    quaternion_conjugate,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_6d,
    quaternion_to_matrix,
)


@pytest.fixture
def joints(parity: Path) -> np.ndarray:
    with np.load(parity / "humanml3d_012314.npz") as file:
        return np.asarray(file["joints"], dtype=np.float64)


def test_forward_kinematics_rebuilds_a_real_clip(joints: np.ndarray) -> None:
    rotations = recover_rotations(joints, HUMANML3D.rest_pose, HUMANML3D)
    rebuilt = forward_kinematics(rotations, joints[:, 0], HUMANML3D.rest_pose, HUMANML3D)
    error = np.linalg.norm(rebuilt - joints, axis=-1)
    assert error.mean() < 0.005
    assert error.max() < 0.01


def test_no_flip_when_turning_through_full_circles(joints: np.ndarray) -> None:
    """Turning the whole clip adds the turn to every rotation and nothing else."""
    angle = np.linspace(0.0, 6.0 * np.pi, len(joints))
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), angle)[:, None]
    still = recover_rotations(joints, HUMANML3D.rest_pose, HUMANML3D)
    turning = recover_rotations(quaternion_rotate(turn, joints), HUMANML3D.rest_pose, HUMANML3D)
    assert quaternion_angle(quaternion_multiply(turn, still), turning).max() < 1e-5
    assert np.sum(turning[1:] * turning[:-1], axis=-1).min() > 0.0


def test_rotations_change_no_faster_than_bones(joints: np.ndarray) -> None:
    rotations = recover_rotations(joints, HUMANML3D.rest_pose, HUMANML3D)
    bones = normalise(joints[:, 1:] - joints[:, list(HUMANML3D.parents[1:])])
    swing = np.arccos(np.clip(np.sum(bones[1:] * bones[:-1], axis=-1), -1.0, 1.0)).max(axis=1)
    jump = quaternion_angle(rotations[1:], rotations[:-1]).max(axis=1)
    assert np.all(jump < 1.5 * swing + np.radians(5))


def test_a_bone_that_passes_its_opposite_does_not_spin() -> None:
    """An arm that swings past straight back: the shortest turn would spin it by half a circle."""
    angle = np.linspace(np.radians(150), np.radians(210), 40)
    path = np.stack((np.cos(angle), np.sin(angle), np.full(40, 0.02)), axis=1)
    joints = np.tile(HUMANML3D.rest_pose, (40, 1, 1))
    for joint, along in ((18, 0.25), (20, 0.5)):
        joints[:, joint] = joints[:, 16] + along * normalise(path)
    rotations = recover_rotations(joints, HUMANML3D.rest_pose, HUMANML3D)
    assert quaternion_angle(rotations[1:], rotations[:-1]).max() < np.radians(8)
    rebuilt = quaternion_rotate(rotations[:, 16], HUMANML3D.t_pose[18])
    assert np.allclose(rebuilt, normalise(path), atol=1e-6)


def test_conversions_agree() -> None:
    random = np.random.default_rng(0)
    q = normalise(random.normal(size=(1000, 4)))
    v = random.normal(size=(1000, 3))
    matrix = quaternion_to_matrix(q)
    assert np.allclose(np.einsum("nij,nj->ni", matrix, v), quaternion_rotate(q, v))
    assert quaternion_angle(matrix_to_quaternion(matrix), q).max() < 1e-6
    assert np.allclose(matrix_from_6d(quaternion_to_6d(q)), matrix)
    assert np.allclose(quaternion_multiply(q, quaternion_conjugate(q)), [1, 0, 0, 0])
    u = random.normal(size=(1000, 3))
    assert np.allclose(normalise(quaternion_rotate(quaternion_between(u, v), u)), normalise(v))


def test_shortest_turn_between_opposite_vectors() -> None:
    for axis in np.eye(3):
        turned = quaternion_rotate(quaternion_between(axis, -axis), axis)
        assert np.allclose(turned, -axis)
