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
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .kinematics import fit_rotation, joints_from_directions
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

Facing = Literal["continuous", "published", "body"]

_BODY_SIGMA = 10.0  # frames
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
    joints: Array, skeleton: Skeleton, *, uniform: bool = True, facing: Facing = "continuous"
) -> NDArray[np.float64]:
    """Positions to features (HumanML3D's `process_file`).

    Args:
        joints: [T, J, 3] at the skeleton's frame rate, y-up, any scale and place; T >= 2.
        skeleton: Declares bones, feet and facing joints.
        uniform: Give the clip the skeleton's bone lengths first; False where it has them already.
        facing: Whose heading the features turn with. "published" is HumanML3D's code to the letter:
            shoulders against hips, smoothed over seconds, the identity forced on frame 0, and a
            sign that flips where a clip turns past 180 degrees, so that such clips are lost.
            "continuous" is the same with the sign mended; equal wherever the sign does not flip.
            "body" is the torso's own turn about the vertical, smoothed over a second, with nothing
            forced: no outliers at frame 0, in twists or in cartwheels. Features of one dataset,
            and the model trained on it, share one of these; all of them come back the same way.

    Returns:
        [T - 1, D] float64, not normalised.

    Raises:
        InputError: Wrong shape, fewer than two frames, or NaN.
    """
    posed = joints_to_uniform(joints, skeleton) if uniform else joints
    placed = placed_joints(posed, skeleton, facing=facing)
    heading = _heading(placed, skeleton, facing)
    rotations = _local_rotations(placed, heading, skeleton)

    steps = placed[1:] - placed[:-1]
    root_velocity = quaternion_rotate(heading[1:], steps[:, 0])[:, [0, 2]]
    turn = quaternion_multiply(heading[1:], quaternion_conjugate(heading[:-1]))
    yaw_velocity = np.arcsin(np.clip(turn[:, 2:3], -1.0, 1.0))

    local = placed - placed[:, :1] * np.array([1.0, 0.0, 1.0])
    positions = quaternion_rotate(heading[:, None], local)
    velocities = quaternion_rotate(heading[:-1, None], steps)
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
    legs = list(skeleton.leg_bones)
    parents = np.array(skeleton.parents)
    performer = np.linalg.norm(joints[0] - joints[0, parents], axis=-1)[legs].sum()
    if performer < 1e-9:
        raise InputError("The clip's legs have no length in frame 0; check the joint order.")
    scale = np.linalg.norm(skeleton.offsets, axis=-1)[legs].sum() / performer
    return rigid_joints(joints * scale, skeleton)


def rigid_joints(joints: Array, skeleton: Skeleton) -> Array:
    """The same root path and bone directions [T, J, 3] with exactly the skeleton's bone lengths."""
    bones = joints - joints[:, list(skeleton.parents)]
    return joints_from_directions(joints[:, 0], bones, skeleton)


def placed_joints(
    joints: Array, skeleton: Skeleton, *, facing: Facing = "continuous"
) -> NDArray[np.float64]:
    """The motion [T, J, 3] on the floor, its first root over the origin, facing +z at frame 0.

    With `facing="body"` it is the smoothed heading that is +z there.
    """
    given = _checked(joints, skeleton)
    origin = given[0, 0] * np.array([1.0, 0.0, 1.0]) + given[..., 1].min() * _UP
    if facing == "body":
        turn = _body_heading(given, skeleton)[0]
    else:
        s = skeleton
        across = _from_to(given[0], s.left_hip, s.right_hip) + _from_to(
            given[0], s.left_shoulder, s.right_shoulder
        )
        turn = quaternion_between(np.cross(_UP, across), _FORWARD)
    placed: NDArray[np.float64] = quaternion_rotate(turn, given - origin)
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


def _heading(joints: NDArray[np.float64], skeleton: Skeleton, facing: Facing) -> Array:
    """Quaternions [T, 4] that turn the heading of every frame to +z."""
    if facing == "body":
        return _body_heading(joints, skeleton)
    # the published inverse kinematics has its hips the other way round
    s = skeleton
    across = _from_to(joints, s.right_hip, s.left_hip) + _from_to(
        joints, s.left_shoulder, s.right_shoulder
    )
    forward = _gaussian_smoothed(np.cross(_UP, normalise(across)), sigma=20.0)
    heading = quaternion_between(forward, _FORWARD)
    heading[0] = [1.0, 0.0, 0.0, 0.0]
    return heading if facing == "published" else quaternion_continuous(heading)


def _body_heading(joints: NDArray[np.float64], skeleton: Skeleton) -> Array:
    """Quaternions [T, 4] that undo the torso's turning about the vertical, smoothed.

    The torso's rotation is split into tilt and turn (swing and twist), so that leaning, rolling
    and cartwheels do not read as turning. The turn's quaternion (w, 0, y, 0) is short where the
    torso is upside down and its heading undefined: such moments weigh little in the smoothing.
    """
    s = skeleton
    torso = [s.left_hip, s.right_hip, s.left_shoulder, s.right_shoulder]
    rest = s.with_bone_lengths(joints[0]).rest_pose
    rotation = fit_rotation(rest[torso] - rest[0], joints[:, torso] - joints[:, :1])
    twist = quaternion_continuous(rotation[:, [0, 2]])
    certain = np.linalg.norm(twist, axis=-1, keepdims=True)
    half = np.unwrap(np.arctan2(twist[:, 1:], twist[:, :1]), axis=0)
    half = _gaussian_smoothed(certain * half, _BODY_SIGMA) / np.maximum(
        _gaussian_smoothed(certain, _BODY_SIGMA), 1e-9
    )
    still = np.zeros(len(half))
    return np.stack((np.cos(half[:, 0]), still, -np.sin(half[:, 0]), still), axis=-1)


def _local_rotations(joints: Array, heading: Array, skeleton: Skeleton) -> Array:
    """[T, J, 4] of the published inverse kinematics, below a root that has the heading."""
    rotations = np.zeros((*joints.shape[:2], 4))
    rotations[:, 0] = heading
    for chain in skeleton.chains:
        turn = heading
        for parent, child in pairwise(chain):
            bone = normalise(joints[:, child] - joints[:, parent])
            whole = quaternion_between(skeleton.directions[child], bone)
            rotations[:, child] = quaternion_multiply(quaternion_conjugate(turn), whole)
            turn = quaternion_multiply(turn, rotations[:, child])
    return rotations


def _from_to(joints: Array, start: int, end: int) -> Array:
    return joints[..., end, :] - joints[..., start, :]


def _gaussian_smoothed(values: Array, sigma: float) -> Array:
    """Gaussian filter over time [T, C], edges held, cut at 4 sigma (as SciPy's)."""
    radius = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    held = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(held[:, c], kernel, "valid") for c in range(values.shape[1])], 1)
