# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint positions to rotations that never flip, and back.

A rotation here is global: it turns a segment of the rest pose into the segment of the motion. The
hips and the chest are rigid bodies with several children and take the turn that fits them all;
every other joint swings its one bone into place from where its parent has carried it, with no more
twist than steadiness over time asks for. Nothing depends on where the character faces.
"""

from __future__ import annotations

import numpy as np

from .rotations import (
    Array,
    matrix_to_quaternion,
    normalise,
    quaternion_angle,
    quaternion_between,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)
from .skeleton import Skeleton

_STILL = np.array([1.0, 0.0, 0.0, 0.0])
_FREE_SPIN = 1.0  # radians a second that a bone may always spin, to come back to no twist


def recover_rotations(
    joints: Array, rest: Array, skeleton: Skeleton, *, fps: float = 20.0
) -> Array:
    """Global rotations of every joint's segment, continuous over time.

    Args:
        joints: [T, J, 3] positions of the motion.
        rest: [J, 3] positions of the same joints in the rest pose (T, A, arms down ...).
        skeleton: Whose parents say which bones there are.
        fps: Frames a second.

    Returns:
        [T, J, 4] unit quaternions; joint j's quaternion turns the rest bones (child - j) into the
        motion's. Leaf joints repeat their parent's.
    """
    parents = skeleton.parents
    children: list[list[int]] = [[] for _ in parents]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(joint)
    joints = np.asarray(joints, dtype=np.float64)
    rest = np.asarray(rest, dtype=np.float64)
    rotations = np.zeros((*joints.shape[:2], 4))
    for joint in skeleton.order:
        parent = parents[joint]
        mine = children[joint]
        if not mine:
            rotations[:, joint] = rotations[:, parent]
        elif len(mine) == 1:
            rest_bone = rest[mine[0]] - rest[joint]
            bone = joints[:, mine[0]] - joints[:, joint]
            seen = quaternion_rotate(quaternion_conjugate(rotations[:, parent]), bone)
            swing = _steady_swing(normalise(rest_bone), normalise(seen), fps)
            rotations[:, joint] = quaternion_multiply(rotations[:, parent], swing)
        else:
            bones = joints[:, mine] - joints[:, joint : joint + 1]
            rotations[:, joint] = fit_rotation(rest[mine] - rest[joint], bones)
    return quaternion_continuous(rotations)


def forward_kinematics(rotations: Array, root: Array, rest: Array, skeleton: Skeleton) -> Array:
    """Positions [T, J, 3] of global rotations [T, J, 4], root path [T, 3], rest pose [J, 3]."""
    parents = skeleton.parents
    joints = np.zeros((*rotations.shape[:2], 3), dtype=rotations.dtype)
    joints[:, 0] = root
    for joint in skeleton.order[1:]:
        parent = parents[joint]
        bone = quaternion_rotate(rotations[:, parent], rest[joint] - rest[parent])
        joints[:, joint] = joints[:, parent] + bone
    return joints


def joints_from_directions(root: Array, directions: Array, skeleton: Skeleton) -> Array:
    """Positions [T, J, 3] of bones with these directions and exactly the skeleton's bone lengths.

    Args:
        root: [T, 3] path of joint 0.
        directions: [T, J, 3] from each joint's parent to it, of any length; the root's is not used.
        skeleton: Whose lengths the bones get.
    """
    lengths = np.linalg.norm(skeleton.offsets, axis=-1).astype(directions.dtype)
    parents = skeleton.parents
    joints = np.empty_like(directions)
    joints[:, 0] = root
    for joint in skeleton.order[1:]:
        bone = lengths[joint] * normalise(directions[:, joint])
        joints[:, joint] = joints[:, parents[joint]] + bone
    return joints


def _steady_swing(rest: Array, directions: Array, fps: float) -> Array:
    """Rotations [T, 4] from one unit vector [3] to many [T, 3], as untwisted as steadiness allows.

    The shortest turn to each direction spins about it when the direction passes close to the rest
    bone's opposite (an arm behind the back). Where that spin is faster than the bone's own swing,
    it is held back to the swing's speed and made up for afterwards.
    """
    shortest = quaternion_between(rest, directions)
    step = quaternion_between(directions[:-1], directions[1:])  # carries the bone without spin
    change = quaternion_multiply(shortest[1:], quaternion_conjugate(shortest[:-1]))
    spin = quaternion_multiply(change, quaternion_conjugate(step))
    along = np.sum(spin[:, 1:] * directions[1:], axis=-1)
    spins = _wrapped(2.0 * np.arctan2(along, spin[:, 0]))
    limits = quaternion_angle(step, _STILL) + _FREE_SPIN / fps
    if np.all(np.abs(spins) <= limits):
        return shortest
    lag = [0.0]
    for wanted, limit in zip(spins.tolist(), limits.tolist(), strict=True):
        turn = (wanted - lag[-1] + np.pi) % (2.0 * np.pi) - np.pi
        lag.append(lag[-1] + min(max(turn, -limit), limit) - wanted)
    return quaternion_multiply(quaternion_from_axis_angle(directions, np.array(lag)), shortest)


def _wrapped(angle: Array) -> Array:
    """Angles in radians brought to -pi .. pi."""
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def fit_rotation(rest_bones: Array, bones: Array) -> Array:
    """The rotations [T, 4] that carry rest bones [C, 3] onto bones [T, C, 3] with least squares.

    Kabsch's algorithm on unit directions, so that long bones weigh no more than short ones.
    """
    unit_rest = rest_bones / np.linalg.norm(rest_bones, axis=-1, keepdims=True)
    unit = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-12)
    left, _, right = np.linalg.svd(np.einsum("tci,cj->tij", unit, unit_rest))
    handedness = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= handedness[:, None]
    return matrix_to_quaternion(left @ right)
