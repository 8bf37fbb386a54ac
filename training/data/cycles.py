# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips made for games: cycles to be repeated, and walks on the spot that are to travel."""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array

_GAP = 0.08  # metres, mean over joints, between the ends of a clip that may be repeated
_STANDING = 0.025  # metres above the lowest place of all in which a foot joint stands
_SLIP = 0.25  # of the speed, which standing feet may differ from it at the median
_FLOOR = np.array([1.0, 0.0, 1.0])


def repeated(joints: Array, times: int, skeleton: Skeleton) -> Array:
    """A cycle [T, J, 3], whose last pose is its first, so many times: [times (T - 1) + 1, J, 3].

    The way that the root has come in one cycle is gone again in the next, and what little the last
    pose differs from the first is spread over the cycle.

    Raises:
        InputError: the last pose is not the first.
    """
    if times == 1:
        return joints
    way = (joints[-1, 0] - joints[0, 0]) * _FLOOR
    gap = joints[-1] - joints[0] - way
    apart = float(np.linalg.norm(gap, axis=-1).mean())
    if apart > _GAP:
        raise InputError(
            f"it cannot be repeated: its last pose is {100 * apart:.0f} cm from its first"
        )
    length = len(joints) - 1
    share = np.linspace(0.0, 1.0, length + 1)[:, None, None]
    cycle = (joints - share * gap)[:length]
    rounds = [cycle + number * way for number in range(times)]
    return rigid_joints(np.concatenate([*rounds, cycle[:1] + times * way]), skeleton)


def travelling(joints: Array, skeleton: Skeleton, *, fps: float) -> Array:
    """A cycle on the spot [T, J, 3], moved steadily so that the standing feet rest on the floor.

    Raises:
        InputError: no foot stands for long enough, or the standing feet go several ways.
    """
    feet = joints[:, [*skeleton.left_feet, *skeleton.right_feet]]
    lowest = feet[..., 1].argmin(axis=1)
    standing = feet[..., 1].min(axis=1) < feet[..., 1].min() + _STANDING
    moments = np.flatnonzero(standing[:-1] & standing[1:] & (lowest[:-1] == lowest[1:]))
    if len(moments) < 4:
        raise InputError("it cannot travel: no foot stands for long enough")
    steps = feet[moments + 1, lowest[moments]] - feet[moments, lowest[moments]]
    velocities = steps * fps * _FLOOR
    velocity = -np.median(velocities, axis=0)
    slips = np.linalg.norm(velocities + velocity, axis=-1)
    if np.median(slips) > max(_SLIP * float(np.linalg.norm(velocity)), 0.3):
        raise InputError("it cannot travel: its standing feet do not go one way at one speed")
    time = np.arange(len(joints)) / fps
    return np.asarray(joints + (time[:, None] * velocity)[:, None])
