# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion on a rig: joint positions in, turns of the rig's own bones out.

The only place where axes change. A motion is y-up and begins facing +z; a rig's armature space has
whatever axes its maker chose, which its own rest pose tells (for ours z is up and -y is ahead, so
that (x, y, z) of a motion is (x, -z, y) of the figure). What the armature object does in the world
(turned upright, scaled by a hundredth, mirrored) is not looked at: the left bones do what the left
side of the motion does, and all lengths are relative to the rig's own legs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..engine.feet import ContactSpan, resampled_spans
from ..engine.kinematics import recover_rotations
from ..engine.motion import Motion
from ..engine.rotations import (
    normalise,
    quaternion_between,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_rotate,
)
from ..engine.skeleton import Skeleton
from .bone_map import TORSO, BoneMap
from .calibration import Calibration, calibrate, standing_ankle
from .foot_lock import lock_pose
from .posing import local_rotations, location_axes
from .rig import Array, PoseTrack, Rig
from .travel import Travel, put_travel

# Rows are the motion's left, up and ahead, seen in the axes of the add-on's own figure.
FIGURE_TO_MOTION: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def keyed_frames(motion: Motion, rate: float) -> int:
    """How many frames of a scene at `rate` frames a second the motion fills."""
    return max(1, round(motion.seconds * rate))


def motion_to_pose(
    motion: Motion,
    rig: Rig,
    bone_map: BoneMap,
    *,
    rate: float,
    frames: int | None = None,
    contacts: Sequence[ContactSpan] | None = None,
    travel: Travel = "hips",
) -> PoseTrack:
    """The pose channels that make the rig's bones do what the motion's joints do.

    The motion's first frame is the first key and its last frame the last; the keys between are
    spread evenly.

    Args:
        motion: T frames at its own rate.
        rig: At rest in any pose.
        bone_map: A bone for the pelvis and every joint of arms and legs, and for others as it has.
        rate: Keyed frames a second.
        frames: Exactly so many keys; None takes what the motion's length asks for at `rate`.
        contacts: Where the feet are held, in frames of the motion (`engine.feet.contact_spans`);
            None holds no foot.
        travel: Where the way over the floor goes: with the hips, to the root bone above them, or
            nowhere ("none": the figure stays in place).

    Raises:
        InputError: The map lacks a joint, or travel has no root bone to go to.
    """
    sampled = motion.resampled(frames or keyed_frames(motion, rate), rate)
    skeleton = motion.skeleton
    calibration = calibrate(rig, bone_map, skeleton)
    joints = np.asarray(sampled.joints, dtype=np.float64)
    turns = _bone_turns(joints, bone_map, calibration, skeleton)
    pelvis = _pelvis_path(joints, turns["pelvis"], calibration, skeleton)
    # The same turns seen in armature space: the angle stays, the axis moves over.
    axes = calibration.axes
    seen = {
        bone_map.bones[joint]: np.concatenate((turn[:, :1], turn[:, 1:] @ axes), axis=-1)
        for joint, turn in turns.items()
    }
    rotations = local_rotations(rig, seen)
    hips = rig.by_name[bone_map.bones["pelvis"]]
    carrier = translated_bone(rig, bone_map)
    offset = pelvis @ axes - hips.head
    track = PoseTrack(
        bone_names=tuple(rotations),
        rotations=np.stack(list(rotations.values()), axis=1),
        translations={carrier: offset @ location_axes(rig, rig.by_name[carrier])},
        rate=rate,
    )
    if contacts is not None:
        spans = resampled_spans(contacts, motion.frames, track.frames)
        track = lock_pose(track, rig, bone_map, spans, skeleton=skeleton)
    return put_travel(track, rig, bone_map, carrier, travel, axes)


def translated_bone(rig: Rig, bone_map: BoneMap) -> str:
    """The bone whose location moves the whole figure: the hips, or the first above them that all
    mapped bones hang from and that does not stick to its parent."""
    chains = [_with_parents(rig, name) for name in bone_map.bones.values()]
    for name in _with_parents(rig, bone_map.bones["pelvis"]):
        if not rig.by_name[name].connected and all(name in chain for chain in chains):
            return name
    return bone_map.bones["pelvis"]


def _with_parents(rig: Rig, name: str | None) -> list[str]:
    chain = []
    while name is not None:
        chain.append(name)
        name = rig.by_name[name].parent
    return chain


def _bone_turns(
    joints: Array, bone_map: BoneMap, calibration: Calibration, skeleton: Skeleton
) -> dict[str, Array]:
    """Turns [T, 4] since rest of every mapped bone, along the motion's axes."""
    turns = recover_rotations(joints, skeleton.rest_pose, skeleton)
    number = {joint: k for k, joint in enumerate(skeleton.joint_names)}
    segment = {joint: turns[:, number[joint]] for joint in bone_map.bones if joint in number}
    spine = [number[joint] for joint in TORSO]
    mapped = [k for k, joint in enumerate(TORSO) if joint in bone_map.bones]
    for low, high in pairwise(mapped[1:]):
        if high > low + 1:
            segment[TORSO[low]] = _spanning_turn(turns, joints, spine[low : high + 1], skeleton)
    return {
        joint: quaternion_multiply(turn, calibration.turns[joint])
        for joint, turn in segment.items()
    }


def _spanning_turn(turns: Array, joints: Array, chain: list[int], skeleton: Skeleton) -> Array:
    """The turn [T, 4] of one bone in place of several, from the first joint of them to the last."""
    parts = turns[:, chain[:-1]]
    signs = np.sign(np.sum(parts * parts[:, :1], axis=-1, keepdims=True))
    mean = normalise(np.sum(np.where(signs < 0.0, -1.0, 1.0) * parts, axis=1))
    rest = skeleton.rest_pose[chain[-1]] - skeleton.rest_pose[chain[0]]
    bone = joints[:, chain[-1]] - joints[:, chain[0]]
    return np.asarray(
        quaternion_multiply(quaternion_between(quaternion_rotate(mean, rest), bone), mean)
    )


def _pelvis_path(joints: Array, turn: Array, calibration: Calibration, skeleton: Skeleton) -> Array:
    """Where [T, 3] the head of the hips bone goes, along the motion's axes in the rig's unit.

    The middle between the hip joints follows the motion's, in steps scaled by leg length: rigs
    place the pelvis itself above, below or behind it. Standing people stand on the rig's soles.
    """
    scale, rest = calibration.scale, skeleton.rest_pose
    centre = (rest[skeleton.left_hip] + rest[skeleton.right_hip]) / 2.0 - rest[0]
    ours = calibration.hip_centre - calibration.heads["pelvis"]
    # `turn` starts at the rig's rest, the skeleton's own pelvis at its T-pose
    from_rest = quaternion_multiply(turn, quaternion_conjugate(calibration.turns["pelvis"]))
    path = scale * (joints[:, 0] + quaternion_rotate(from_rest, centre))
    path = path - quaternion_rotate(turn, ours)
    start = calibration.hip_centre - scale * centre
    start[1] = calibration.ankle_height - scale * standing_ankle(skeleton)
    return np.asarray(path + start)
