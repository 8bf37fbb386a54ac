# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion on a rig: joint positions in, turns of the rig's own bones out.

The only place where axes change. A motion is y-up and begins facing +z; a rig's armature space has
whatever axes its maker chose, which its own rest pose tells (for ours z is up and -y is ahead, so
that (x, y, z) of a motion is (x, -z, y) of the figure).
"""

from __future__ import annotations

import numpy as np

from ..engine.errors import InputError
from ..engine.kinematics import recover_rotations
from ..engine.motion import Motion
from ..engine.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
)
from ..engine.skeleton import Skeleton
from .bone_map import BoneMap
from .rig import Array, PoseTrack, Rig

# Rows are the motion's left, up and ahead, seen in the axes of the add-on's own figure.
FIGURE_TO_MOTION: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def keyed_frames(motion: Motion, rate: float) -> int:
    """How many frames of a scene at `rate` frames a second the motion fills."""
    return max(1, round(motion.seconds * rate))


def motion_to_pose(
    motion: Motion, rig: Rig, bone_map: BoneMap, *, rate: float, frames: int | None = None
) -> PoseTrack:
    """The pose channels that make the rig's bones do what the motion's joints do.

    The motion's first frame is the first key and its last frame the last; the keys between are
    spread evenly.

    Args:
        motion: T frames at its own rate.
        rig: At rest in any pose.
        bone_map: A bone for every joint.
        rate: Keyed frames a second.
        frames: Exactly so many keys; None takes what the motion's length asks for at `rate`.
    """
    skeleton = motion.skeleton
    rest = _rest_joints(rig, bone_map, skeleton)
    axes = rest_axes(rest, skeleton)  # armature space -> motion space
    sampled = motion.resampled(frames or keyed_frames(motion, rate), rate)
    joints = np.asarray(sampled.joints, dtype=np.float64)
    turns = recover_rotations(joints, rest @ axes.T, skeleton)
    # The same turns seen in armature space: the angle stays, the axis moves over.
    turns = np.concatenate((turns[..., :1], turns[..., 1:] @ axes), axis=-1)
    bones = [bone_map.bones[joint] for joint in skeleton.joint_names]
    rotations = _local_rotations(rig, dict(zip(bones, np.moveaxis(turns, 1, 0), strict=True)))
    translation = _root_path(joints[:, 0], rest, axes, skeleton)
    root = rig.by_name[bones[0]]
    return PoseTrack(
        bone_names=tuple(rotations),
        rotations=np.stack(list(rotations.values()), axis=1),
        root=root.name,
        translation=translation @ root.matrix[:3, :3],
        rate=rate,
    )


def rest_axes(rest: Array, skeleton: Skeleton) -> Array:
    """[3, 3] armature space -> motion space, from the rest joints [J, 3] of an upright figure.

    Rigs are modelled along the axes of their own space, so the nearest ones are taken.
    """
    left = rest[skeleton.left_hip] - rest[skeleton.right_hip]
    left = left + rest[skeleton.left_shoulder] - rest[skeleton.right_shoulder]
    hips = rest[skeleton.left_hip] + rest[skeleton.right_hip]
    up = rest[skeleton.left_shoulder] + rest[skeleton.right_shoulder] - hips
    up = _nearest_axis(up)
    left = _nearest_axis(left * (up == 0.0))
    return np.stack((left, up, np.cross(left, up)))


def _nearest_axis(vector: Array) -> Array:
    axis = np.zeros(3)
    largest = int(np.argmax(np.abs(vector)))
    axis[largest] = np.sign(vector[largest])
    return axis


def _rest_joints(rig: Rig, bone_map: BoneMap, skeleton: Skeleton) -> Array:
    missing = [joint for joint in skeleton.joint_names if joint not in bone_map.bones]
    if missing:
        raise InputError(
            f"No bone of {rig.name!r} is mapped to {', '.join(missing)}; map a bone to every joint."
        )
    return np.array([rig.by_name[bone_map.bones[joint]].head for joint in skeleton.joint_names])


def _local_rotations(rig: Rig, turns: dict[str, Array]) -> dict[str, Array]:
    """Rotations [T, 4] of each turned bone in its own rest axes, from turns in armature space.

    A bone between two turned ones is carried along by the upper.
    """
    frames = len(next(iter(turns.values())))
    still = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 1))
    carried: dict[str | None, Array] = {None: still}
    local = {}
    for bone in rig.bones:
        parent = carried[bone.parent]
        carried[bone.name] = turns.get(bone.name, parent)
        if bone.name in turns:
            basis = matrix_to_quaternion(_rotation_part(bone.matrix))
            relative = quaternion_multiply(quaternion_conjugate(parent), turns[bone.name])
            relative = quaternion_multiply(quaternion_conjugate(basis), relative)
            local[bone.name] = quaternion_continuous(quaternion_multiply(relative, basis))
    return local


def _rotation_part(matrix: Array) -> Array:
    return matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)


def _root_path(root: Array, rest: Array, axes: Array, skeleton: Skeleton) -> Array:
    """Offsets [T, 3] of the root bone from its rest place, in armature space.

    Steps are scaled by leg length. The motion's floor becomes the height of the lowest rest joint.
    """
    scale = _leg_length(rest, skeleton) / _leg_length(skeleton.rest_pose, skeleton)
    rest_path = rest @ axes.T
    start = np.array([rest_path[0, 0], rest_path[:, 1].min(), rest_path[0, 2]])
    return np.asarray((root * scale + start - rest_path[0]) @ axes)


def _leg_length(joints: Array, skeleton: Skeleton) -> float:
    parents = skeleton.parents
    bones = [joints[joint] - joints[parents[joint]] for joint in skeleton.leg_bones]
    return float(np.linalg.norm(bones, axis=-1).sum())
