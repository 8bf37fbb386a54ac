# SPDX-License-Identifier: GPL-3.0-or-later
"""The feature vector of Guo et al. (CVPR 2022), both ways, for any declared skeleton.

Columns for J joints, D = 12 J - 1:

    0            root yaw velocity: the half angle, radians a frame, that turns frame t to t + 1
    1:3          root velocity on the floor (x, z), in the facing frame of t + 1
    3            root height
    4:           positions of joints 1.. relative to the root's floor point, facing +z ("ric")
    then         6D rotations of joints 1.., from the published inverse kinematics
    then         velocities of all joints, in the facing frame of t
    last 4       foot contacts: left ankle, left toe, right ankle, right toe

T positions make T - 1 feature frames. Animate from the root and the positions; the 6D columns come
from an IK whose facing is weak, and are kept because the published statistics hold them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .rotations import (
    Array,
    matrix_from_6d,
    normalise,
    quaternion_between,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_6d,
)
from .skeleton import Skeleton

_UP = np.array([0.0, 1.0, 0.0])
_FORWARD = np.array([0.0, 0.0, 1.0])


def feature_columns(skeleton: Skeleton) -> dict[str, slice]:
    """Name -> columns of the feature vector, in order; together they cover all D."""
    j = skeleton.joint_count
    widths = {
        "root_yaw_velocity": 1,
        "root_velocity": 2,
        "root_height": 1,
        "positions": 3 * (j - 1),
        "rotations": 6 * (j - 1),
        "velocities": 3 * j,
        "contacts": 4,
    }
    columns, start = {}, 0
    for name, width in widths.items():
        columns[name] = slice(start, start + width)
        start += width
    return columns


def motion_to_features(
    joints: Array, skeleton: Skeleton, *, uniform: bool = True, published_yaw: bool = False
) -> NDArray[np.float64]:
    """Positions to features (HumanML3D's `process_file`).

    Args:
        joints: [T, J, 3] at the skeleton's frame rate, y-up, any scale and place; T >= 2.
        skeleton: Declares bones, feet and facing joints.
        uniform: Give the clip the skeleton's bone lengths first; False where it has them already.
        published_yaw: Keep the published code's sign flip of the yaw quaternion, which makes clips
            that turn past 180 degrees irrecoverable. Only for comparing with published features.

    Returns:
        [T - 1, D] float64, not normalised.

    Raises:
        InputError: Wrong shape, fewer than two frames, or NaN.
    """
    placed = placed_joints(joints_to_uniform(joints, skeleton) if uniform else joints, skeleton)
    facing, rotations = _published_rotations(placed, skeleton, smooth=True)
    if not published_yaw:
        facing = quaternion_continuous(facing)

    steps = placed[1:] - placed[:-1]
    root_velocity = quaternion_rotate(facing[1:], steps[:, 0])[:, [0, 2]]
    turn = quaternion_multiply(facing[1:], quaternion_conjugate(facing[:-1]))
    yaw_velocity = np.arcsin(np.clip(turn[:, 2:3], -1.0, 1.0))

    local = placed - placed[:, :1] * np.array([1.0, 0.0, 1.0])
    positions = quaternion_rotate(facing[:, None], local)
    velocities = quaternion_rotate(facing[:-1, None], steps)
    frames = len(steps)
    return np.concatenate(
        (
            yaw_velocity,
            root_velocity,
            positions[:-1, 0, 1:2],
            positions[:-1, 1:].reshape(frames, -1),
            quaternion_to_6d(rotations)[:-1, 1:].reshape(frames, -1),
            velocities.reshape(frames, -1),
            foot_contacts(placed, skeleton),
        ),
        axis=1,
    )


def features_to_joints(features: Array, skeleton: Skeleton) -> Array:
    """Positions [T, J, 3] from features [..., T, D]: root path and "ric" columns only."""
    facing, root = root_path(features, skeleton)
    columns = feature_columns(skeleton)["positions"]
    j = skeleton.joint_count
    local = features[..., columns].reshape(*features.shape[:-1], j - 1, 3)
    turned = quaternion_rotate(quaternion_conjugate(facing)[..., None, :], local)
    floor_point = root * np.array([1.0, 0.0, 1.0], dtype=root.dtype)
    return np.concatenate((root[..., None, :], turned + floor_point[..., None, :]), axis=-2)


def features_to_joints_by_rotations(features: Array, skeleton: Skeleton) -> Array:
    """Positions [T, J, 3] from features [T, D]: root path and 6D rotations (`recover_from_rot`).

    For comparison with the published code; `features_to_joints` is the one to animate from.
    """
    facing, root = root_path(features, skeleton)
    columns = feature_columns(skeleton)["rotations"]
    six = features[:, columns].reshape(len(features), skeleton.joint_count - 1, 6)
    matrices = matrix_from_6d(six)
    identity = matrix_from_6d(quaternion_to_6d(facing))
    offsets = skeleton.offsets
    joints = np.zeros((len(features), skeleton.joint_count, 3), dtype=features.dtype)
    joints[:, 0] = root
    for chain in skeleton.chains:
        turn = identity
        for parent, child in pairwise(chain):
            turn = turn @ matrices[:, child - 1]
            joints[:, child] = joints[:, parent] + turn @ offsets[child]
    return joints


def root_path(features: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """Facing quaternions [..., T, 4] (world to facing frame) and root positions [..., T, 3]."""
    if features.shape[-1] != skeleton.feature_size:
        raise InputError(
            f"Features of {skeleton.name} have {skeleton.feature_size} columns; "
            f"these have {features.shape[-1]}."
        )
    zero = np.zeros_like(features[..., :1, 0])
    yaw = np.concatenate((zero, np.cumsum(features[..., :-1, 0], axis=-1)), axis=-1)
    still = np.zeros_like(yaw)
    facing = np.stack((np.cos(yaw), still, np.sin(yaw), still), axis=-1)
    steps = np.zeros((*features.shape[:-1], 3), dtype=features.dtype)
    steps[..., 1:, 0] = features[..., :-1, 1]
    steps[..., 1:, 2] = features[..., :-1, 2]
    root = np.cumsum(quaternion_rotate(quaternion_conjugate(facing), steps), axis=-2)
    root[..., 1] = features[..., 3]
    return facing, root


def joints_to_uniform(joints: Array, skeleton: Skeleton) -> Array:
    """The motion [T, J, 3] on the skeleton's bone lengths, the root scaled by leg length."""
    joints = _checked(joints, skeleton)
    offsets = skeleton.offsets
    lengths = np.linalg.norm(offsets, axis=-1)
    legs = list(skeleton.leg_bones)
    parents = np.array(skeleton.parents)
    performer = np.linalg.norm(joints[0] - joints[0, parents], axis=-1)
    if performer[legs].sum() < 1e-9:
        raise InputError("The clip's legs have no length in frame 0; check the joint order.")
    result = np.empty_like(joints)
    result[:, 0] = joints[:, 0] * (lengths[legs].sum() / performer[legs].sum())
    for chain in skeleton.chains:
        for parent, child in pairwise(chain):
            bone = normalise(joints[:, child] - joints[:, parent])
            result[:, child] = result[:, parent] + lengths[child] * bone
    return result


def placed_joints(joints: Array, skeleton: Skeleton) -> NDArray[np.float64]:
    """The motion [T, J, 3] on the floor, its first root over the origin, facing +z at frame 0."""
    s, given = skeleton, _checked(joints, skeleton)
    origin = given[0, 0] * np.array([1.0, 0.0, 1.0]) + given[..., 1].min() * _UP
    across = _from_to(given[0], s.left_hip, s.right_hip) + _from_to(
        given[0], s.left_shoulder, s.right_shoulder
    )
    forward = np.cross(_UP, normalise(across))
    placed: NDArray[np.float64] = quaternion_rotate(
        quaternion_between(forward, _FORWARD), given - origin
    )
    return placed


def foot_contacts(joints: Array, skeleton: Skeleton) -> Array:
    """[T - 1, 4]: 1 where a foot joint moves less than the threshold to the next frame."""
    feet = [*skeleton.left_feet, *skeleton.right_feet]
    squared = np.sum((joints[1:, feet] - joints[:-1, feet]) ** 2, axis=-1)
    return (squared < skeleton.contact_threshold).astype(joints.dtype)


def _checked(joints: Array, skeleton: Skeleton) -> NDArray[np.float64]:
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (skeleton.joint_count, 3) or len(joints) < 2:
        raise InputError(
            f"Features of {skeleton.name} need joints [T >= 2, {skeleton.joint_count}, 3]; "
            f"these are {list(joints.shape)}."
        )
    if not np.isfinite(joints).all():
        raise InputError("The clip holds NaN or infinite positions; drop or repair those frames.")
    return joints


def _published_rotations(
    joints: NDArray[np.float64], skeleton: Skeleton, *, smooth: bool
) -> tuple[Array, Array]:
    """Facing [T, 4] and local rotations [T, J, 4] of the published inverse kinematics.

    Its facing adds shoulders to hips with opposite signs (hip names are swapped there); the first
    frame's facing is set to the identity. Both are part of the published features.
    """
    s = skeleton
    across = _from_to(joints, s.right_hip, s.left_hip) + _from_to(
        joints, s.left_shoulder, s.right_shoulder
    )
    forward = np.asarray(np.cross(_UP, normalise(across)), dtype=np.float64)
    if smooth:
        forward = _gaussian_smoothed(forward, sigma=20.0)
    facing = quaternion_between(normalise(forward), _FORWARD)
    facing[0] = [1.0, 0.0, 0.0, 0.0]
    rotations = np.zeros((*joints.shape[:2], 4))
    rotations[:, 0] = facing
    for chain in s.chains:
        turn = facing
        for parent, child in pairwise(chain):
            bone = normalise(joints[:, child] - joints[:, parent])
            whole = quaternion_between(np.broadcast_to(s.directions[child], bone.shape), bone)
            rotations[:, child] = quaternion_multiply(quaternion_conjugate(turn), whole)
            turn = quaternion_multiply(turn, rotations[:, child])
    return facing, rotations


def _from_to(joints: Array, start: int, end: int) -> Array:
    return joints[..., end, :] - joints[..., start, :]


def _gaussian_smoothed(values: Array, sigma: float) -> Array:
    """Gaussian filter over time [T, C], edges held, cut at 4 sigma (as SciPy's)."""
    radius = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    held = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(held[:, c], kernel, "valid") for c in range(values.shape[1])], 1)
