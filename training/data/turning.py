# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns on the spot: a standing figure turned about the vertical, its feet stepping round after it.

The trunk turns evenly from rest to rest. One foot after the other is lifted and put down where the
trunk will face when the other one is lifted, as people do; the legs reach for these places.
"""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array
from training.data.legs import reaching_legs

_UP = np.array([0.0, 1.0, 0.0])
_SWAY = 0.035  # metres to the standing foot's side
_PIVOT = 0.05  # metres from the root back to the point about which people turn


def turned_on_the_spot(
    joints: Array,
    turn: float,
    skeleton: Skeleton,
    *,
    begin: int,
    end: int,
    steps: int,
    lift: float = 0.08,
) -> Array:
    """A figure that stands still [T, J, 3] turned by `turn` radians, to the left where positive.

    Args:
        joints: metres, on the floor at height 0; the arms and the breath stay as they are.
        turn: in all.
        skeleton: of the joints.
        begin, end: frames between which the trunk turns.
        steps: how many times a foot is lifted, the one on the side of the turn first.
        lift: metres that a foot rises.
    """
    count = len(joints)
    time = np.arange(count, dtype=float)
    share = np.clip((time - begin) / (end - begin), 0.0, 1.0)
    yaw = turn * share * share * (3.0 - 2.0 * share)
    pivot = joints[:, :1] * [1.0, 0.0, 1.0]
    spin = quaternion_from_axis_angle(_UP, yaw)
    result = quaternion_rotate(spin[:, None], joints - pivot) + pivot

    ankles = [skeleton.left_feet[0], skeleton.right_feet[0]]
    toes = [skeleton.left_feet[1], skeleton.right_feet[1]]
    foot_yaw, height = _steps(turn, time, begin, end, steps, lift)
    spins = quaternion_from_axis_angle(_UP, foot_yaw)  # [T, 2, 4]
    places = quaternion_rotate(spins, joints[:1, ankles] - pivot) + pivot
    feet = quaternion_rotate(spins, joints[:1, toes] - joints[:1, ankles])
    feet = np.broadcast_to(feet, places.shape).copy()
    places[..., 1] += height
    feet[..., 1] -= 0.35 * height  # the heel comes off first
    loads = height[:, ::-1] / lift  # a foot carries while the other one is lifted
    side = places - places[:, ::-1]
    lean = (loads[..., None] * side * [1.0, 0.0, 1.0]).sum(axis=1)
    length = np.maximum(np.linalg.norm(side[:, :1], axis=-1), 1e-6)
    result += (_SWAY * lean / length)[:, None]
    result[..., 1] -= 0.006 * np.clip(height.sum(axis=1) / lift, 0.0, 1.0)[:, None]
    return reaching_legs(result, places, feet, skeleton)


def _steps(
    turn: float, time: Array, begin: int, end: int, steps: int, lift: float
) -> tuple[Array, Array]:
    """Yaw in radians and height in metres [T, 2] of the left and the right foot."""
    yaw = np.zeros((len(time), 2))
    height = np.zeros((len(time), 2))
    span = (end - begin) / steps
    order = (0, 1) if turn > 0 else (1, 0)
    for number in range(steps):
        foot = order[number % 2]
        start = begin + number * span
        reached = min((number + 1.5) / steps, 1.0) if number + 2 < steps else 1.0
        target = turn * reached * reached * (3.0 - 2.0 * reached)
        share = np.clip((time - start) / span, 0.0, 1.0)
        before = yaw[:, foot].copy()
        going = share > 0.0
        eased = share * share * (3.0 - 2.0 * share)
        base = float(before[int(start)]) if int(start) < len(before) else 0.0
        yaw[going, foot] = base + (target - base) * eased[going]
        height[:, foot] += lift * np.sin(np.pi * share) ** 2
    return yaw, height
