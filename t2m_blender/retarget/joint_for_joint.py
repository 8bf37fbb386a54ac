# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion of any skeleton, joint for joint, on a rig whose bones have its joints' names.

For models of dogs and bicycles (docs/custom-skeleton.md): the figure that `default_rig` makes of
their skeleton, or an armature of the user's own with such bones. It faces -y and z is up.
"""

from __future__ import annotations

import numpy as np

from ..engine.errors import InputError
from ..engine.kinematics import recover_rotations
from ..engine.motion import Motion
from ..engine.skeleton import Skeleton
from .posing import local_rotations, location_axes
from .rig import Array, PoseTrack, Rig
from .solve import FIGURE_TO_MOTION, keyed_frames

_NAMED = 3  # in a message


def check_joints(rig: Rig, skeleton: Skeleton) -> None:
    """Makes sure that every joint has its bone.

    Raises:
        InputError: Names the joints that have none.
    """
    missing = [joint for joint in skeleton.joint_names if joint not in rig.by_name]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f'This model moves a skeleton of its own, "{skeleton.name}", and "{rig.name}" has no '
            f"bone for {', '.join(missing[:_NAMED])}{more}. Deselect it to get a figure of that "
            "skeleton."
        )


def motion_to_own_pose(
    motion: Motion, rig: Rig, *, rate: float, frames: int | None = None
) -> PoseTrack:
    """The pose channels that make the bones do what the joints of the same names do.

    The motion's first frame is the first key and its last frame the last. The way over the floor is
    as long as the rig's legs are; the floor is at the rig's lowest joint.

    Args:
        motion: T frames at its own rate.
        rig: At rest as the skeleton is, or nearly so: what differs is turned away.
        rate: Keyed frames a second.
        frames: Exactly so many keys; None takes what the motion's length asks for at `rate`.

    Raises:
        InputError: A joint has no bone.
    """
    skeleton, names = motion.skeleton, motion.skeleton.joint_names
    check_joints(rig, skeleton)
    sampled = motion.resampled(frames or keyed_frames(motion, rate), rate)
    joints = np.asarray(sampled.joints, dtype=np.float64)
    rest = np.array([rig.by_name[name].head for name in names]) @ FIGURE_TO_MOTION.T
    turns = recover_rotations(joints, rest, skeleton)
    # The same turns seen in armature space: the angle stays, the axis moves over.
    turns = np.concatenate((turns[..., :1], turns[..., 1:] @ FIGURE_TO_MOTION), axis=-1)
    rotations = local_rotations(rig, {name: turns[:, k] for k, name in enumerate(names)})
    floor = np.array([rest[0, 0], rest[:, 1].min(), rest[0, 2]])
    scale = _leg_length(rest, skeleton) / _leg_length(skeleton.rest_pose, skeleton)
    offset = (scale * joints[:, 0] + floor - rest[0]) @ FIGURE_TO_MOTION
    root = rig.by_name[names[0]]
    return PoseTrack(
        bone_names=tuple(rotations),
        rotations=np.stack(list(rotations.values()), axis=1),
        translations={root.name: offset @ location_axes(rig, root)},
        rate=rate,
    )


def _leg_length(joints: Array, skeleton: Skeleton) -> float:
    parents = skeleton.parents
    bones = [joints[joint] - joints[parents[joint]] for joint in skeleton.leg_bones]
    return float(np.linalg.norm(bones, axis=-1).sum())
