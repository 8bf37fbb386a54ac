# SPDX-License-Identifier: GPL-3.0-or-later
"""Straight walks and runs bent into curves and circles, and turned around in time.

Bending maps the floor, not the figure: the straight line of travel becomes an arc, and every point
beside it goes along at its distance, so that a foot that stands keeps standing. What the bend does
to bone lengths is taken back, and the standing feet are put back in their places.
"""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array
from training.data.legs import planted, standing_feet

_FINE = 0.01  # metres between points of the curve
_TIGHTEST = 0.55  # metres of radius


def bent(
    joints: Array, turn: float, skeleton: Skeleton, *, start: float = 0.0, end: float = 1.0
) -> Array | None:
    """A straight motion [T, J, 3] whose path turns by `turn` radians, to the left where positive.

    Args:
        joints: metres; the way from the first to the last root place is the straight line.
        turn: in all.
        skeleton: of the joints.
        start, end: shares of the way between which the path curves.

    Returns:
        The new joints; None where the curve would be too tight.
    """
    way = (joints[-1, 0] - joints[0, 0])[[0, 2]]
    length = float(np.linalg.norm(way))
    if length * (end - start) < _TIGHTEST * abs(turn):
        return None
    ahead = way / length
    left = np.array([ahead[1], -ahead[0]])
    flat = joints[..., [0, 2]] - joints[0, 0, [0, 2]]
    along, beside = flat @ ahead, flat @ left

    margin = 1.5
    at = np.arange(-margin, length + margin, _FINE)
    share = np.clip((at / length - start) / (end - start), 0.0, 1.0)
    ease = 0.12  # of the curve at either end, in which its curvature grows and falls
    rate = np.clip(np.minimum(share, 1.0 - share) / ease, 0.0, 1.0)
    heading = np.cumsum(rate)
    heading = turn * heading / heading[-1]
    direction = np.stack([np.sin(heading), np.cos(heading)], axis=1)  # x and z
    places = np.cumsum(direction, axis=0) * _FINE
    places -= places[np.searchsorted(at, 0.0)]

    x, z, yaw = (np.interp(along, at, v) for v in (places[:, 0], places[:, 1], heading))
    result = joints.copy()
    result[..., 0] = x + beside * np.cos(yaw)
    result[..., 2] = z - beside * np.sin(yaw)
    return planted(rigid_joints(result, skeleton), standing_feet(joints, skeleton), skeleton)


def backward(joints: Array) -> Array:
    """The motion from its end to its beginning: of a walk forward, one backward."""
    return np.ascontiguousarray(joints[::-1])
