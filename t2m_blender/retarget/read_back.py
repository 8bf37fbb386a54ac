# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: the posed bones of a rig in, joint positions of the skeleton out.

The inverse of `solve.py`, by the same calibration. Arms and legs take the directions between the
rig's own joints. Hips, spine, collars, neck, head and feet, which rigs shape differently or lack in
part, are the skeleton's own T-pose turned as the rig's bones have turned since rest, so that a rig
that stands at rest reads as a person who stands. Every bone gets the skeleton's length, and the
root path is scaled by the length of the legs.
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
from .calibration import SIDES, Calibration, calibrate
from .posing import rotation_part
from .rig import Array, Rig
from .solve import FIGURE_TO_MOTION, Root, pelvis_start

# Joints whose direction from their parent is that between two joints of the rig.
_BY_POSITION = ("knee", "ankle", "elbow", "wrist")
_MIRROR = np.diag([-1.0, 1.0, 1.0])


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
    root: Root = "pelvis",
    skeleton: Skeleton = HUMANML3D,
) -> Motion:
    """The motion that the posed bones show.

    Args:
        rig: N bones at rest.
        bone_map: Of this rig; see `bone_map.READ_JOINTS` for what it must hold.
        posed: [T, N, 4, 4] armature-space matrices of the bones, Blender's `PoseBone.matrix`.
        fps: Of these T poses; the skeleton's own for everything that is fed to a model.
        world: [4, 4] or [T, 4, 4] of the armature object; `rig.matrix_world` where None.
        root: What tells where the pelvis is. "pelvis", the hips bone: the inverse of
            `motion_to_pose` without foot lock. "hips", the middle between the hip joints: right for
            feet on the floor, so for locked feet and for what others have animated, on rigs whose
            hips bone is in another place than the skeleton's.
        skeleton: HumanML3D's 22 joints.

    Returns:
        T frames on the skeleton's bone lengths, where the rig is in Blender's world as seen from
        its place at rest: the height is that over z = 0.

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
    calibration = calibrate(rig, bone_map, skeleton)
    names = skeleton.joint_names
    index = {bone.name: number for number, bone in enumerate(rig.bones)}
    bones = {joint: index[bone] for joint, bone in bone_map.bones.items() if joint in names}
    heads = {
        joint: posed[:, bones[joint], :3, 3] @ calibration.axes.T for joint in ("pelvis", *LIMBS)
    }
    turns = _segment_turns(rig, bones, posed, calibration)

    directions = np.zeros((len(posed), len(names), 3))
    for number, (joint, parent) in enumerate(zip(names, skeleton.parents, strict=True)):
        if parent < 0:
            continue
        if joint.endswith(_BY_POSITION):
            directions[:, number] = heads[joint] - heads[names[parent]]
        else:
            turn = turns[names[parent]]
            directions[:, number] = quaternion_rotate(turn, skeleton.t_pose[number])
    path = _root_path(heads, turns["pelvis"], calibration, skeleton, root)
    joints = joints_from_directions(path, directions, skeleton)
    turn, stretch = _object_turn(world, calibration)
    place = world[..., None, :3, 3] @ FIGURE_TO_MOTION.T / (calibration.scale * stretch)
    joints = joints @ np.swapaxes(turn, -1, -2) + place
    return Motion(joints.astype(np.float32), fps, skeleton)


def _segment_turns(
    rig: Rig, bones: dict[str, int], posed: Array, calibration: Calibration
) -> dict[str, Array]:
    """Turns [T, 4] of the T-pose, for every joint that has a bone of it to turn.

    What the rig lacks stands between its neighbours along the spine; a collar is part of the chest
    and a neck halfway to the head.
    """
    axes = calibration.axes

    def turn(joint: str) -> Array:
        number = bones[joint]
        since_rest = rotation_part(posed[:, number]) @ rotation_part(rig.bones[number].matrix).T
        seen = matrix_to_quaternion(axes @ since_rest @ axes.T)
        return quaternion_multiply(seen, quaternion_conjugate(calibration.turns[joint]))

    turns = {
        joint: turn(joint) for joint in (*TORSO, "left_ankle", "right_ankle") if joint in bones
    }
    known = [number for number, joint in enumerate(TORSO) if joint in bones]
    for number, joint in enumerate(TORSO):
        below = max((k for k in known if k <= number), default=known[0])
        above = min((k for k in known if k >= number), default=known[-1])
        share = (number - below) / max(above - below, 1)
        turns[joint] = _between(turns[TORSO[below]], turns[TORSO[above]], share)
    for side in SIDES:
        collar = f"{side}_collar"
        turns[collar] = turn(collar) if collar in bones else turns["spine3"]
    return turns


def _between(first: Array, second: Array, share: float) -> Array:
    """Rotations [T, 4] at a share of the way; exact at 0, 1/2 and 1, and near enough elsewhere."""
    sign = np.where(np.sum(first * second, axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    return np.asarray(normalise((1.0 - share) * first + share * sign * second))


def _root_path(
    heads: dict[str, Array],
    pelvis: Array,
    calibration: Calibration,
    skeleton: Skeleton,
    root: Root,
) -> Array:
    """The skeleton's pelvis [T, 3], the inverse of `solve.pelvis_path`."""
    centre, start = pelvis_start(calibration, skeleton)
    if root == "pelvis":
        ours = calibration.hip_centre - calibration.heads["pelvis"]
        return np.asarray((heads["pelvis"] + ours - start) / calibration.scale - centre)
    middle = (heads["left_hip"] + heads["right_hip"]) / 2.0
    return np.asarray((middle - start) / calibration.scale - quaternion_rotate(pelvis, centre))


def _object_turn(world: Array, calibration: Calibration) -> tuple[Array, float]:
    """The turn [..., 3, 3] of an armature object and how much it stretches heights.

    A mirrored object shows the figure's left on its right; the motion keeps its left.
    """
    matrix = FIGURE_TO_MOTION @ world[..., :3, :3] @ calibration.axes.T
    stretch = float(np.linalg.norm(matrix.reshape(-1, 3, 3)[0, :, 1]))
    matrix = rotation_part(matrix)
    mirrored = np.linalg.det(matrix)[..., None, None] < 0.0
    return np.where(mirrored, matrix @ _MIRROR, matrix), stretch
