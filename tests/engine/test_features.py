# SPDX-License-Identifier: GPL-3.0-or-later
"""The feature vector against the published code's numbers, column by column."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import (
    feature_columns,
    features_to_joints,
    features_to_joints_by_rotations,
    motion_to_features,
    placed_joints,
    root_path,
)
from t2m_blender.engine.rotations import (
    quaternion_conjugate,
    quaternion_from_axis_angle,
    quaternion_rotate,
)
from t2m_blender.engine.skeleton import HUMANML3D, KIT, Skeleton

CASES = [("features_humanml3d", HUMANML3D), ("features_kit", KIT)]


def load(parity: Path, name: str, skeleton: Skeleton) -> tuple[dict[str, np.ndarray], Skeleton]:
    with np.load(parity / f"{name}.npz") as file:
        data = {key: np.asarray(file[key], dtype=np.float64) for key in file.files}
    lengths = np.linalg.norm(data["target_offsets"], axis=1)
    return data, replace(skeleton, bone_lengths=lengths)


def assert_columns_close(ours: np.ndarray, reference: np.ndarray, skeleton: Skeleton) -> None:
    """Within 1e-4 of each column group's own size (KIT counts in millimetres)."""
    for name, columns in feature_columns(skeleton).items():
        size = max(1.0, np.abs(reference[:, columns]).max())
        worst = np.abs(ours[:, columns] - reference[:, columns]).max() / size
        assert worst < 1e-4, f"columns '{name}' are off by {worst:.2e} of {size:.3g}"


@pytest.mark.parametrize(("name", "skeleton"), CASES)
def test_features_equal_the_published_code(parity: Path, name: str, skeleton: Skeleton) -> None:
    data, skeleton = load(parity, name, skeleton)
    ours = motion_to_features(data["joints_in"], skeleton, facing="published")
    assert ours.shape == data["features"].shape
    assert_columns_close(ours, data["features"], skeleton)


@pytest.mark.parametrize(("name", "skeleton"), CASES)
def test_way_back_equals_the_published_code(parity: Path, name: str, skeleton: Skeleton) -> None:
    data, skeleton = load(parity, name, skeleton)
    size = max(1.0, np.abs(data["joints_from_ric"]).max())
    from_ric = features_to_joints(data["features"], skeleton)
    from_rotations = features_to_joints_by_rotations(data["features"], skeleton)
    assert np.abs(from_ric - data["joints_from_ric"]).max() < 1e-5 * size
    assert np.abs(from_rotations - data["joints_from_rot"]).max() < 1e-5 * size


def test_published_clip(parity: Path) -> None:
    with np.load(parity / "humanml3d_012314.npz") as file:
        features, joints = file["features"].astype(float), file["joints"].astype(float)
    assert np.abs(features_to_joints(features, HUMANML3D) - joints).max() < 1e-5
    # 170 rows of features come from 171 frames: the last one is in the last row's velocities.
    heading, _ = root_path(features, HUMANML3D)
    velocity = features[-1, feature_columns(HUMANML3D)["velocities"]].reshape(22, 3)
    after = joints[-1] + quaternion_rotate(quaternion_conjugate(heading[-1]), velocity)
    ours = motion_to_features(np.concatenate((joints, after[None])), HUMANML3D)
    assert ours.shape == features.shape
    assert_columns_close(ours, features, HUMANML3D)


@pytest.mark.parametrize("turns", [0.0, 1.5, -3.0])
def test_a_clip_that_turns_past_half_a_circle_comes_back(parity: Path, turns: float) -> None:
    """The published yaw flips its sign there; ours is continuous, and the switch shows the flip."""
    with np.load(parity / "humanml3d_012314.npz") as file:
        joints = file["joints"].astype(float)
    angle = np.linspace(0.0, 2.0 * np.pi * turns, len(joints))
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), angle)
    turning = quaternion_rotate(turn[:, None], joints)
    back = features_to_joints(motion_to_features(turning, HUMANML3D), HUMANML3D)
    start = turning[:-1] - turning[0, 0] * np.array([1.0, 0.0, 1.0])
    start[..., 1] -= turning[..., 1].min()
    across = turning[0, 1] - turning[0, 2] + turning[0, 16] - turning[0, 17]
    heading = np.arctan2(-across[2], across[0])
    unturn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(-heading))
    assert np.abs(back - quaternion_rotate(unturn, start)).max() < 1e-3
    published = motion_to_features(turning, HUMANML3D, facing="published")
    lost = np.abs(features_to_joints(published, HUMANML3D) - back).max()
    assert (lost > 0.01) == (abs(turns) > 0.5)


def test_body_facing_comes_back_and_has_no_outliers(parity: Path) -> None:
    with np.load(parity / "humanml3d_012314.npz") as file:
        joints = file["joints"].astype(float)
    features = motion_to_features(joints, HUMANML3D, uniform=False, facing="body")
    placed = placed_joints(joints, HUMANML3D, facing="body")
    assert np.abs(features_to_joints(features, HUMANML3D) - placed[:-1]).max() < 1e-5
    turning = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(2.0))
    turned = motion_to_features(
        quaternion_rotate(turning, joints), HUMANML3D, uniform=False, facing="body"
    )
    assert np.abs(turned - features).max() < 1e-9
    published = motion_to_features(joints, HUMANML3D, uniform=False, facing="published")
    assert np.abs(np.diff(features[:, 0])).max() < 0.5 * np.abs(np.diff(published[:, 0])).max()


def test_sizes() -> None:
    assert HUMANML3D.feature_size == 263
    assert KIT.feature_size == 251
    columns = list(feature_columns(HUMANML3D).values())
    assert columns[-1].stop == 263
    assert all(a.stop == b.start for a, b in pairwise(columns))


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        (np.zeros((1, 22, 3)), "T >= 2"),
        (np.zeros((5, 21, 3)), "22, 3"),
        (np.full((5, 22, 3), np.nan), "NaN"),
        (np.zeros((5, 22, 3)), "legs"),
    ],
)
def test_unusable_clips_are_refused(joints: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        motion_to_features(joints, HUMANML3D)
    with pytest.raises(InputError, match="263"):
        features_to_joints(np.zeros((4, 251)), HUMANML3D)
