# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: the posed bones of a rig in, joint positions of the skeleton out.

Rigs place joints differently inside the hips, spine, collars, neck, head and feet, or lack some of
them. There the skeleton's own T-pose is turned as the rig's bones have turned since rest, so that a
rig that stands at rest reads as a person who stands. Arms and legs take the directions between the
rig's own joints, so that it does not matter in which pose it rests. Every bone gets the skeleton's
length, and the root path is scaled by the length of the legs, above the height on which the feet
stand at rest: thick soles must not lift those who sit or lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engine.errors import InputError
from ..engine.kinematics import joints_from_directions
from ..engine.motion import Motion
from ..engine.rotations import (
    matrix_to_quaternion,
    normalise,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_rotate,
)
from ..engine.skeleton import HUMANML3D, Skeleton
from .bone_map import LIMBS, TORSO, BoneMap
from .calibration import rest_axes
from .rig import Array, Rig
from .solve import FIGURE_TO_MOTION

# Joints whose direction from their parent is that between two joints of the rig.
_BY_POSITION = ("knee", "ankle", "elbow", "wrist")
_FEET = ("left_ankle", "left_foot", "right_ankle", "right_foot")


@dataclass(frozen=True, eq=False)
class NamedMotion:
    """One clip of a file.

    Attributes:
        name: Of the clip, as the file has it.
        motion: In the place and the direction in which the file plays it.
        seconds: From the first key to the last; the motion's last frame is at most one frame before
            its end.
        caption: What the file says that it shows; None where it says nothing.
        fps: The file's own frame rate.
        preset: The rig family as which the armature was recognised.
    """

    name: str
    motion: Motion
    seconds: float
    caption: str | None
    fps: float
    preset: str


def read_motion(
    rig: Rig,
    bone_map: BoneMap,
    posed: Array,
    *,
    fps: float,
    world: Array | None = None,
    skeleton: Skeleton = HUMANML3D,
) -> Motion:
    """The motion that the posed bones show.

    Args:
        rig: N bones at rest.
        bone_map: Of this rig; see `bone_map.READ_JOINTS` for what it must hold.
        posed: [T, N, 4, 4] armature-space matrices of the bones, Blender's `PoseBone.matrix`.
        fps: Of these T poses; the skeleton's own for everything that is fed to a model.
        world: [4, 4] or [T, 4, 4] of the armature object; `rig.matrix_world` where None.
        skeleton: HumanML3D's 22 joints.

    Returns:
        T frames on the skeleton's bone lengths, where the rig is in Blender's world: the height is
        that over z = 0.

    Raises:
        InputError: The map lacks joints, or the matrices are not numbers.
    """
    posed = np.asarray(posed, dtype=np.float64)
    world = np.asarray(rig.matrix_world if world is None else world, dtype=np.float64)
    if posed.shape[1:] != (len(rig.bones), 4, 4) or not np.isfinite(posed).all():
        raise InputError(
            f"Poses of {rig.name!r} are finite matrices [T, {len(rig.bones)}, 4, 4]; these are "
            f"{list(posed.shape)}."
        )
    missing = [joint for joint in LIMBS if joint not in bone_map.bones]
    if missing:
        raise InputError(f"No bone of {rig.name!r} is mapped to {', '.join(missing)}.")
    names = skeleton.joint_names
    index = {bone.name: number for number, bone in enumerate(rig.bones)}
    bones = {joint: index[bone] for joint, bone in bone_map.bones.items()}
    to_motion = FIGURE_TO_MOTION @ world[..., :3, :3]

    heads = {joint: posed[:, bones[joint], :3, 3] for joint in LIMBS}
    rest = {joint: rig.bones[bones[joint]].head for joint in (*LIMBS, *_FEET) if joint in bones}
    axes = rest_axes(rest)  # armature space -> the T-pose's
    turns = _segment_turns(rig, bones, posed)
    object_turn = matrix_to_quaternion(_without_scale(to_motion) @ axes.T)
    turns = {  # of the T-pose, in the motion's axes
        joint: quaternion_multiply(object_turn, _seen_along(axes, turn))
        for joint, turn in turns.items()
    }

    directions = np.zeros((len(posed), len(names), 3))
    for number, (joint, parent) in enumerate(zip(names, skeleton.parents, strict=True)):
        if parent < 0:
            continue
        if joint.endswith(_BY_POSITION):
            bone = heads[joint] - heads[names[parent]]
            directions[:, number] = _turned(to_motion, bone)
        else:
            turn = turns[names[parent]]
            directions[:, number] = quaternion_rotate(turn, skeleton.t_pose[number])
    root = _root_path(heads, rest, axes, world, turns["pelvis"], skeleton)
    joints = joints_from_directions(root, directions, skeleton)
    return Motion(joints.astype(np.float32), fps, skeleton)


def _segment_turns(rig: Rig, bones: dict[str, int], posed: Array) -> dict[str, Array]:
    """Turns [T, 4] since rest, in armature space, of every joint that has a T-pose bone to turn.

    What the rig lacks stands between its neighbours along the spine; a collar is part of the chest
    and a neck halfway to the head.
    """

    def turn(joint: str) -> Array:
        number = bones[joint]
        rest = matrix_to_quaternion(_without_scale(rig.bones[number].matrix[:3, :3]))
        now = matrix_to_quaternion(_without_scale(posed[:, number, :3, :3]))
        return quaternion_multiply(now, quaternion_conjugate(rest))

    turns = {
        joint: turn(joint) for joint in (*TORSO, "left_ankle", "right_ankle") if joint in bones
    }
    known = [number for number, joint in enumerate(TORSO) if joint in bones]
    for number, joint in enumerate(TORSO):
        below = max((k for k in known if k <= number), default=known[0])
        above = min((k for k in known if k >= number), default=known[-1])
        share = (number - below) / max(above - below, 1)
        turns[joint] = _between(turns[TORSO[below]], turns[TORSO[above]], share)
    for side in ("left", "right"):
        collar = f"{side}_collar"
        turns[collar] = turn(collar) if collar in bones else turns["spine3"]
    return turns


def _between(first: Array, second: Array, share: float) -> Array:
    """Rotations [T, 4] at a share of the way; exact at 0, 1/2 and 1, and near enough elsewhere."""
    sign = np.where(np.sum(first * second, axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    return np.asarray(normalise((1.0 - share) * first + share * sign * second))


def _root_path(
    heads: dict[str, Array],
    rest: dict[str, Array],
    axes: Array,
    world: Array,
    pelvis: Array,
    skeleton: Skeleton,
) -> Array:
    """The pelvis [T, 3] from the rig's hip joints, which every rig has in about the same place."""
    at_rest = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (rest[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        at_rest += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))
    first = world if world.ndim == 2 else world[0]
    stretch = float(np.linalg.norm(first[:3, :3] @ axes[1]))
    at_rest *= stretch
    if at_rest < 1e-9:
        raise InputError("The rig's legs have no length at rest; check which bones are mapped.")
    names = skeleton.joint_names
    legs = ("left_knee", "left_ankle", "right_knee", "right_ankle")
    pose = skeleton.rest_pose
    offsets = pose - pose[list(skeleton.parents)]
    lengths = sum(float(np.linalg.norm(offsets[names.index(joint)])) for joint in legs)
    middle = (heads["left_hip"] + heads["right_hip"]) / 2
    middle = _turned(FIGURE_TO_MOTION @ world[..., :3, :3], middle)
    middle = middle + world[..., :3, 3] @ FIGURE_TO_MOTION.T
    to_hips = (pose[skeleton.left_hip] + pose[skeleton.right_hip]) / 2 - pose[0]
    scale = lengths / at_rest
    path = scale * middle - quaternion_rotate(pelvis, to_hips)
    if {"left_foot", "right_foot"} <= set(rest):
        ours = {joint: pose[names.index(joint)] for joint in _FEET}
        path[:, 1] += _ankle_height(ours, np.array([0.0, 1.0, 0.0]))
        path[:, 1] -= scale * _ankle_height(rest, axes[1]) * stretch
    return np.asarray(path)


def _ankle_height(joints: dict[str, Array], up: Array) -> float:
    """How high the ankles are above the ball joints of the feet, both sides' mean."""
    feet = [(joints[f"{side}_ankle"] - joints[f"{side}_foot"]) @ up for side in ("left", "right")]
    return float(np.mean(feet))


def _turned(matrices: Array, vectors: Array) -> Array:
    """Vectors [T, 3] by one matrix [3, 3] or one a frame [T, 3, 3]."""
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _seen_along(axes: Array, turns: Array) -> Array:
    """The same turns [T, 4] in a space whose axes are the rows of a matrix [3, 3]."""
    return np.concatenate((turns[..., :1], turns[..., 1:] @ axes.T), axis=-1)


def _without_scale(matrices: Array) -> Array:
    return np.asarray(
        matrices / np.maximum(np.linalg.norm(matrices, axis=-2, keepdims=True), 1e-12)
    )
