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
from typing import Literal

import numpy as np

from ..engine.feet import ContactSpan, resampled_spans
from ..engine.kinematics import recover_rotations
from ..engine.motion import Motion
from ..engine.rotations import (
    normalise,
    quaternion_between,
    quaternion_conjugate,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)
from ..engine.skeleton import Skeleton
from ..engine.twist import with_natural_twist
from .bone_map import TORSO, BoneMap
from .calibration import Calibration, calibrate, standing_ankle
from .foot_lock import lock_pose
from .joint_limits import limited_joints
from .posing import local_rotations, location_axes
from .rig import Array, PoseTrack, Rig
from .travel import Travel, put_travel

# Rows are the motion's left, up and ahead, seen in the axes of the add-on's own figure.
FIGURE_TO_MOTION: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

Root = Literal["pelvis", "hips"]
_WIDE = 0.6  # hips of people over a rig's, at the same length of leg: under this they are wide


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
    root: Root | None = None,
    joint_limits: bool = False,
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
        root: Whose path is exactly that of the motion: "pelvis", the hips bone; or "hips", the
            middle between the hip joints, from which the legs hang: right where feet are held, now
            or later. None takes "hips" if there are contacts, else "pelvis".
        joint_limits: Keep joints within what people can do.

    Raises:
        InputError: The map lacks a joint, or travel has no root bone to go to.
    """
    sampled = motion.resampled(frames or keyed_frames(motion, rate), rate)
    skeleton = motion.skeleton
    calibration = calibrate(rig, bone_map, skeleton)
    joints = np.asarray(sampled.joints, dtype=np.float64)
    if joint_limits:
        joints = limited_joints(joints, skeleton, rate)
    turns = _bone_turns(joints, bone_map, calibration, skeleton, rate)
    by_hips = (root or ("pelvis" if contacts is None else "hips")) == "hips"
    if by_hips:
        turns["pelvis"] = _calmer_hips(turns["pelvis"], calibration, skeleton)
    pelvis = _pelvis_path(joints, turns["pelvis"], calibration, skeleton, by_hips=by_hips)
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
    joints: Array, bone_map: BoneMap, calibration: Calibration, skeleton: Skeleton, rate: float
) -> dict[str, Array]:
    """Turns [T, 4] since rest of every mapped bone, along the motion's axes."""
    turns = recover_rotations(joints, skeleton.rest_pose, skeleton, fps=rate)
    turns = with_natural_twist(turns, joints, skeleton.rest_pose, skeleton, rate)
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


def _calmer_hips(turn: Array, calibration: Calibration, skeleton: Skeleton) -> Array:
    """The pelvis [T, 4] of a figure with wide hips, rolled less from side to side.

    Where the hip joints are much wider apart for the legs' length than a person's, the same roll
    lifts one leg so far that a planted foot cannot stay down. Who leans far over, leans as before.
    """
    hips = calibration.heads["left_hip"] - calibration.heads["right_hip"]
    rest = skeleton.rest_pose[skeleton.left_hip] - skeleton.rest_pose[skeleton.right_hip]
    share = calibration.scale * np.linalg.norm(rest) / np.linalg.norm(hips)
    if share > _WIDE:
        return turn
    across = normalise(quaternion_rotate(turn, hips))
    roll = np.arcsin(np.clip(across[:, 1], -1.0, 1.0))
    upright = np.clip((np.cos(roll) - 0.5) / 0.4, 0.0, 1.0)
    ahead = normalise(np.cross(across, [0.0, 1.0, 0.0]))
    less = quaternion_from_axis_angle(ahead, -(1.0 - share) * upright * roll)
    return np.asarray(quaternion_multiply(less, turn))


def _pelvis_path(
    joints: Array,
    turn: Array,
    calibration: Calibration,
    skeleton: Skeleton,
    *,
    by_hips: bool,
) -> Array:
    """Where [T, 3] the head of the hips bone goes, along the motion's axes in the rig's unit.

    Rigs place the hips bone above, below or behind the skeleton's pelvis. It follows the pelvis in
    steps scaled by leg length; or, where feet are held, the middle between the rig's hip joints
    follows that of the motion's, because the legs hang from there.
    """
    centre, start = pelvis_start(calibration, skeleton)
    ours = calibration.hip_centre - calibration.heads["pelvis"]
    if by_hips:
        # `turn` starts at the rig's rest, the skeleton's own pelvis at its T-pose
        from_rest = quaternion_multiply(turn, quaternion_conjugate(calibration.turns["pelvis"]))
        centre, ours = quaternion_rotate(from_rest, centre), quaternion_rotate(turn, ours)
    return np.asarray(calibration.scale * (joints[:, 0] + centre) - ours + start)


def pelvis_start(calibration: Calibration, skeleton: Skeleton) -> tuple[Array, Array]:
    """From the skeleton's pelvis to the middle between its hip joints [3] in the T-pose, and where
    [3] on the rig a motion's origin is: under its hips at rest, so high that who stands stands on
    the rig's soles."""
    rest = skeleton.rest_pose
    centre = (rest[skeleton.left_hip] + rest[skeleton.right_hip]) / 2.0 - rest[0]
    start = calibration.hip_centre - calibration.scale * centre
    start[1] = calibration.ankle_height - calibration.scale * standing_ankle(skeleton)
    return centre, start
