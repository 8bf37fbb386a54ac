# SPDX-License-Identifier: GPL-3.0-or-later
"""What positions do not say: how segments are turned about themselves.

Directions of bones stay exactly as they are. A spine shares the chest's twist among its joints;
upper arms and thighs turn so that elbows and knees bend like hinges, as far as they are bent enough
to tell and no further than joints go; feet stand flat under shins that stand.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .rotations import (
    Array,
    cross,
    normalise,
    quaternion_between,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)
from .skeleton import Skeleton

_SMOOTH_SECONDS = 0.1
_STRAIGHT = 0.03  # squared sine of a bend that says nothing
_FOOT_TELLS = 0.15
_FREE_TURN = np.radians(50.0)  # a second that a limb may always turn about itself
_MOST_ROLL = np.radians(40.0)  # of a foot
_UP = np.array([0.0, 1.0, 0.0])
_LEFT = np.array([1.0, 0.0, 0.0])

HINGES = {
    "left_knee": _LEFT,
    "right_knee": _LEFT,
    "left_elbow": -_UP,
    "right_elbow": _UP,
}
"""The axes [3] in the T-pose about which knees and elbows bend, by the right-hand rule."""


def with_natural_twist(
    rotations: Array, joints: Array, rest: Array, skeleton: Skeleton, fps: float
) -> Array:
    """Rotations of `kinematics.recover_rotations` with plausible twists, continuous over time.

    Args:
        rotations: [T, J, 4] global, from the rest pose.
        joints: [T, J, 3] positions of the motion.
        rest: [J, 3] the T-pose, y-up, facing +z.
        skeleton: Whose joints they are.
        fps: Frames a second.
    """
    turns = rotations.copy()
    parents = skeleton.parents
    children = {j: [k for k, p in enumerate(parents) if p == j] for j in range(len(parents))}
    _share_twist(turns, rest, children)
    feet = (skeleton.left_feet, skeleton.right_feet)
    for ankle, toe in feet:
        knee = parents[ankle]
        _bend_as_hinge(
            turns, joints, rest, (parents[knee], knee, ankle, toe), HINGES["left_knee"], fps
        )
        _carry(turns, joints, rest, knee, ankle, toe)
        _level_foot(turns, joints, knee, ankle, toe)
        _copy_to_leaves(turns, ankle, children)
    shoulders = (skeleton.left_shoulder, skeleton.right_shoulder)
    for shoulder, hinge in zip(shoulders, ("left_elbow", "right_elbow"), strict=True):
        elbow = children[shoulder][0]
        wrist = children[elbow][0]
        _bend_as_hinge(turns, joints, rest, (shoulder, elbow, wrist), HINGES[hinge], fps)
        _copy_to_leaves(turns, elbow, children)
    return quaternion_continuous(turns)


def _share_twist(turns: Array, rest: Array, children: dict[int, list[int]]) -> None:
    """Twist of the chest against the pelvis, in equal parts for the joints between."""
    chain = [0]
    trunk = [k for k in children[0] if len(children[k]) == 1 and not _is_leg(k, rest)]
    if len(trunk) != 1:
        return
    joint = trunk[0]
    while len(children[joint]) == 1:
        chain.append(joint)
        joint = children[joint][0]
    if len(children[joint]) < 2 or len(chain) < 2:
        return
    last = chain[-1]
    axis = normalise(rest[joint] - rest[last])
    local = quaternion_multiply(quaternion_conjugate(turns[:, last]), turns[:, joint])
    local = quaternion_continuous(local)
    twist = np.unwrap(2.0 * np.arctan2(local[:, 1:] @ axis, local[:, 0]))
    twist -= 2.0 * np.pi * np.rint(np.median(twist) / (2.0 * np.pi))
    for number, (inner, after) in enumerate(pairwise([*chain[1:], joint]), start=1):
        along = normalise(rest[after] - rest[inner])
        share = quaternion_from_axis_angle(along, twist * number / len(chain))
        turns[:, inner] = quaternion_multiply(turns[:, inner], share)


def _is_leg(joint: int, rest: Array) -> bool:
    return bool(rest[joint, 1] < rest[0, 1])


def _bend_as_hinge(
    turns: Array,
    joints: Array,
    rest: Array,
    limb: tuple[int, ...],
    hinge: Array,
    fps: float,
) -> None:
    """Turns an upper limb about itself so that the lower one bends about the hinge at rest [3].

    A fourth joint (the toes) is a weaker witness: where the foot points, the knee points.
    """
    top, middle, end = limb[:3]
    upper = normalise(joints[:, middle] - joints[:, top])
    lower = normalise(joints[:, end] - joints[:, middle])
    evidence = _witness(turns[:, top], upper, hinge, cross(upper, lower))
    if len(limb) > 3:
        foot = normalise(joints[:, limb[3]] - joints[:, end])
        at_rest = cross(rest[end] - rest[limb[3]], rest[end] - rest[middle])
        across = cross(foot, lower)
        evidence += _FOOT_TELLS * _witness(turns[:, top], upper, -normalise(at_rest), across)
    wanted = np.angle(_smoothed(evidence, _SMOOTH_SECONDS * fps) + _STRAIGHT)
    most = 0.5 * (_steps(upper) + _steps(lower)) + _FREE_TURN / fps
    turned = quaternion_from_axis_angle(upper, _no_faster(wanted, most))
    turns[:, top] = quaternion_multiply(turned, turns[:, top])
    _carry(turns, joints, rest, top, middle, end)


def _witness(turn: Array, along: Array, at_rest: Array, now: Array) -> NDArray[np.complex128]:
    """The angle about a segment [T, 3] that brings a direction at rest [3] to where it is now
    [T, 3], as a complex number of the length of its certainty: squared length of the direction,
    less for angles that joints do not go to, nothing for half a turn."""
    carried = quaternion_rotate(turn, at_rest)
    angle = np.arctan2(np.sum(cross(carried, now) * along, -1), np.sum(carried * now, -1))
    certain = np.sum(now**2, axis=-1) * (0.5 + 0.5 * np.cos(angle))
    return np.asarray(certain * np.exp(1j * angle))


def _steps(directions: Array) -> Array:
    """The angles [T - 1] between unit vectors [T, 3] and their followers."""
    return 2.0 * np.arcsin(np.clip(np.linalg.norm(np.diff(directions, axis=0), axis=-1) / 2, 0, 1))


def _carry(turns: Array, joints: Array, rest: Array, above: int, joint: int, child: int) -> None:
    """The shortest turn of a segment into place from where the one above has carried it."""
    carried = quaternion_rotate(turns[:, above], rest[child] - rest[joint])
    swing = quaternion_between(carried, joints[:, child] - joints[:, joint])
    turns[:, joint] = quaternion_multiply(swing, turns[:, above])


def _level_foot(turns: Array, joints: Array, knee: int, ankle: int, toe: int) -> None:
    """Rolls a foot about itself so that its sole is level, the more the shin stands upright."""
    foot = normalise(joints[:, toe] - joints[:, ankle])
    shin = normalise(joints[:, ankle] - joints[:, knee])
    over = quaternion_rotate(turns[:, ankle], _UP)
    flat_over = over - foot * np.sum(over * foot, -1, keepdims=True)
    flat_up = _UP - foot * np.sum(_UP * foot, -1, keepdims=True)
    roll = np.arctan2(np.sum(cross(flat_over, flat_up) * foot, -1), np.sum(flat_over * flat_up, -1))
    standing = np.clip((-shin[:, 1] - 0.2) / 0.5, 0.0, 1.0)
    standing = standing * np.clip((0.9 - np.abs(foot[:, 1])) / 0.4, 0.0, 1.0)
    standing = standing * (0.5 + 0.5 * np.cos(roll))  # a foot upside down does not know which way
    roll = standing * _MOST_ROLL * np.tanh(roll / _MOST_ROLL)
    turned = quaternion_from_axis_angle(foot, roll)
    turns[:, ankle] = quaternion_multiply(turned, turns[:, ankle])


def _copy_to_leaves(turns: Array, joint: int, children: dict[int, list[int]]) -> None:
    for child in children[joint]:
        if not children[child]:
            turns[:, child] = turns[:, joint]


def _no_faster(angles: Array, most: Array) -> Array:
    """Angles [T] that follow others with at most so much change [T - 1] from frame to frame."""
    followed = [float(angles[0])]
    for angle, limit in zip(angles[1:].tolist(), most.tolist(), strict=True):
        followed.append(followed[-1] + min(max(angle - followed[-1], -limit), limit))
    return np.array(followed)


def _smoothed(values: NDArray[np.complex128], sigma: float) -> NDArray[np.complex128]:
    """A Gaussian over time [T], in frames, the ends held."""
    radius = max(int(3.0 * sigma + 0.5), 1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    held = np.pad(values, radius, mode="edge")
    return np.convolve(held, kernel / kernel.sum(), "valid")
