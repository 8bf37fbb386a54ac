# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the floor of a clip is, and features that stand on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import (
    Facing,
    feature_columns,
    features_to_joints,
    motion_to_features,
    placed_joints,
)
from t2m_blender.engine.skeleton import Skeleton

Array = NDArray[np.float64]

_NEAR = 0.04  # metres above the lowest moment in which a foot still counts as standing
_SOLE = 0.01  # metres from the floor to the lowest joint of someone who stands, as in HumanML3D


def floor_height(joints: Array) -> float:
    """The height of the floor under a clip [T, J, 3] in metres.

    The published code takes the lowest joint of the whole clip, so that one bad frame lifts the
    person. Here it is where the lowest joint usually is in the lowest moments: those within 4 cm of
    the first percentile. A clip in the air (climbing) stands on the lowest place that it touches.
    """
    lowest = joints[..., 1].min(axis=1)
    bottom = float(np.percentile(lowest, 1.0))
    return float(np.median(lowest[lowest <= bottom + _NEAR])) - _SOLE


def standing_features(
    joints: Array, skeleton: Skeleton, *, facing: Facing = "body"
) -> NDArray[np.float32]:
    """Features [T - 1, D] float32 of a uniform clip [T, J, 3], on its robust floor.

    They face as `motion_to_features` tells; datasets of our own face as the body does.

    Raises:
        InputError: NaN, or the features do not give the joints back within 1 mm.
    """
    features = motion_to_features(joints, skeleton, uniform=False, facing=facing)
    lift = float(joints[..., 1].min()) - floor_height(joints)
    columns = feature_columns(skeleton)
    features[:, columns["root_height"]] += lift
    features[:, columns["positions"]][:, 1::3] += lift
    stored = features.astype(np.float32)
    back = features_to_joints(stored.astype(np.float64), skeleton)
    placed = placed_joints(joints, skeleton, facing=facing)[:-1] + np.array([0.0, lift, 0.0])
    error = float(np.linalg.norm(back - placed, axis=-1).max())
    if not error < 1e-3:
        raise InputError(f"The features give the joints back only within {1000 * error:.1f} mm.")
    return stored
