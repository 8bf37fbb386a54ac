# SPDX-License-Identifier: GPL-3.0-or-later
"""Two motions one after the other, with a step between: a walk that stops, a stand that starts.

Where two motions do not pass through a like pose (`training.data.joining`), people take a step: the
foot that stands in front stays, the other one is put beside it, and the body comes to rest over
them. The second motion is laid so that its foot is where that foot stands; between the two, joints
go on smoothly with the speeds of both ends. A start from standing is a stop played backward.
"""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.facts import facing
from training.data.floor import Array
from training.data.joining import Joined
from training.data.legs import reaching_legs

_SEARCH = 14  # frames from the ends, in which the step may begin
_REST = 0.6  # metres a second of the root of somebody who stands
_FAST = 1.9  # metres a second of the root, faster than which one does not stop in a step
_LONGEST_STEP = 1.2  # metres
_LIFT = 0.07  # metres
_LOW, _STANDS = 0.06, 0.6  # metres over the floor and metres a second of a toe that stands


def stepped_motion(first: Array, second: Array, skeleton: Skeleton) -> Joined | None:
    """The second motion [T2, J, 3] after the first [T1, J, 3]; None where a step does not do.

    One of the ends that meet must be at rest; both on the floor, which is at height 0.
    """
    resting_first = _speed(first[-4:], skeleton) < _REST
    resting_second = _speed(second[:4], skeleton) < _REST
    if resting_second:
        return _stopped(first, second, skeleton)
    if not resting_first:
        return None
    turned = _stopped(second[::-1], first[::-1], skeleton)
    if turned is None:
        return None
    count = len(turned.joints)
    return Joined(
        np.ascontiguousarray(turned.joints[::-1]),
        len(first) - turned.second_start,
        len(second) - turned.first_end,
        (count - turned.seam[1], count - turned.seam[0]),
        turned.misfit,
        0.0,
    )


def _stopped(first: Array, second: Array, skeleton: Skeleton) -> Joined | None:
    """The second motion, which begins at rest, after the first."""
    toes = [skeleton.left_feet[1], skeleton.right_feet[1]]
    ankles = [skeleton.left_feet[0], skeleton.right_feet[0]]
    velocity = np.gradient(first, axis=0)
    found = _moment(first, velocity, toes, skeleton)
    if found is None or second[0, toes, 1].max() > 2 * _LOW:
        return None
    a, front = found
    speed = float(np.linalg.norm(velocity[a, 0, [0, 2]])) * skeleton.fps
    if speed > _FAST:
        return None

    yaw = facing(first[: a + 1], skeleton)[-1] - facing(second[:2], skeleton)[0]
    spin = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), np.asarray(yaw))
    laid = quaternion_rotate(spin, second)
    laid = laid + (first[a, toes[front]] - laid[0, toes[front]]) * [1.0, 0.0, 1.0]
    back = 1 - front
    step = laid[0, toes[back]] - first[a, toes[back]]
    length = float(np.linalg.norm(step[[0, 2]]))
    if length > _LONGEST_STEP:
        return None
    frames = int(np.clip(round((0.4 + 0.3 * length) * skeleton.fps), 8, 15))

    share = (np.arange(1, frames + 1) / (frames + 1))[:, None, None]
    arriving = np.gradient(laid[:3], axis=0)[0]
    between = _hermite(first[a], velocity[a], laid[0], arriving, share, frames + 1)
    between = rigid_joints(between, skeleton)
    flat = share[:, 0]
    eased = flat * flat * (3.0 - 2.0 * flat)
    places = np.empty((frames, 2, 3))
    for side in (front, back):
        places[:, side] = (1.0 - eased) * first[a, ankles[side]] + eased * laid[0, ankles[side]]
    rise = _LIFT * min(1.0, length / 0.2)
    places[:, back, 1] += rise * np.sin(np.pi * flat[:, 0]) ** 2
    feet = between[:, toes] - between[:, ankles]
    between = reaching_legs(between, places, feet, skeleton)
    joints = np.concatenate((first[: a + 1], between, laid))
    return Joined(joints, a + 1, 0, (a + 1, a + 1 + frames), length, 0.0)


def _moment(
    first: Array, velocity: Array, toes: list[int], skeleton: Skeleton
) -> tuple[int, int] | None:
    """The frame near the end with a standing foot furthest ahead of the body, and which it is."""
    begin = len(first) - 2 - min(_SEARCH, len(first) // 3)
    way = velocity[begin:, 0].mean(axis=0) * [1.0, 0.0, 1.0]
    way /= max(float(np.linalg.norm(way)), 1e-6)
    best, found = -np.inf, None
    for a in range(begin, len(first) - 1):
        speed = np.linalg.norm(velocity[a, toes][:, [0, 2]], axis=-1) * skeleton.fps
        stands = (speed < _STANDS) & (first[a, toes, 1] < _LOW)
        ahead = (first[a, toes] - first[a, 0]) @ way
        for side in np.flatnonzero(stands):
            merit = float(ahead[side]) + 0.004 * (a - begin)  # later where it is as good
            if merit > best:
                best, found = merit, (a, int(side))
    return found


def _hermite(
    start: Array, leaving: Array, end: Array, arriving: Array, share: Array, frames: int
) -> Array:
    """Cubic paths with given places and steps a frame at both ends; share [T, 1, 1] of the time."""
    s2, s3 = share * share, share**3
    return np.asarray(
        (2 * s3 - 3 * s2 + 1) * start
        + (s3 - 2 * s2 + share) * frames * leaving
        + (3 * s2 - 2 * s3) * end
        + (s3 - s2) * frames * arriving
    )


def _speed(joints: Array, skeleton: Skeleton) -> float:
    """Metres a second of the root over the floor."""
    path = joints[:, 0][:, [0, 2]]
    return float(np.linalg.norm(path[-1] - path[0])) / (len(path) - 1) * skeleton.fps
