# SPDX-License-Identifier: GPL-3.0-or-later
"""How an Action poses an armature at any moments: bone matrices over time. Main thread only.

Most armatures do nothing but what their F-curves say. Those are evaluated curve by curve and the
bones composed in NumPy, without touching the scene. Where constraints, drivers, parents or unusual
inheritance have a say, Blender plays the scene instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine.rotations import normalise, quaternion_from_axis_angle, quaternion_to_matrix
from ..retarget.rig import Rig
from .action import play_action

Array = NDArray[np.float64]
Curves = dict[tuple[str, int], bpy.types.FCurve]

_AXES = {name: np.eye(3)[index] for index, name in enumerate("XYZ")}


def pose_bones(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    rig: Rig,
    action: bpy.types.Action,
    slot: Any | None,
    curves: Sequence[bpy.types.FCurve],
    frames: Array,
) -> tuple[Array, Array]:
    """The bones of an armature while it plays an Action, what has no key being at rest.

    Args:
        scene: Holds the armature; played only where F-curves are not enough, and then the
            armature is left with the Action and in another pose.
        armature: The object.
        rig: The N bones that are wanted, with all above them.
        action, slot, curves: The Action, one slot of it, and that slot's F-curves.
        frames: [T] moments in scene frames, with fractions.

    Returns:
        [T, N, 4, 4] armature-space matrices, and [T, 4, 4] of the object in the world.
    """
    by_path = {(curve.data_path, curve.array_index): curve for curve in curves if not curve.mute}
    if is_plain(armature, rig):
        return _composed(armature, rig, by_path, frames)
    return _played(scene, armature, rig, action, slot, frames)


def is_plain(armature: bpy.types.Object, rig: Rig) -> bool:
    """Whether F-curves alone decide where the bones of the rig are."""
    for owner in (armature, armature.data):
        if owner.animation_data and len(owner.animation_data.drivers):
            return False
    if armature.parent is not None or len(armature.constraints) or _has_deltas(armature):
        return False
    return all(
        not len(bone.constraints)
        and bone.bone.inherit_scale == "FULL"
        and bone.bone.use_inherit_rotation
        and bone.bone.use_local_location
        for bone in (armature.pose.bones[wanted.name] for wanted in rig.bones)
    )


def _has_deltas(armature: bpy.types.Object) -> bool:
    moved = any((*armature.delta_location, *armature.delta_rotation_euler))
    turned = tuple(armature.delta_rotation_quaternion) != (1.0, 0.0, 0.0, 0.0)
    return moved or turned or tuple(armature.delta_scale) != (1.0, 1.0, 1.0)


def _composed(
    armature: bpy.types.Object, rig: Rig, curves: Curves, frames: Array
) -> tuple[Array, Array]:
    posed: dict[str, Array] = {}
    for bone in rig.bones:
        channels = armature.pose.bones[bone.name]
        prefix = channels.path_from_id("location").removesuffix("location")
        basis = _basis(curves, prefix, channels.rotation_mode, frames, at_rest=None)
        if bone.parent is None:
            posed[bone.name] = bone.matrix @ basis
        else:
            below = np.linalg.inv(rig.by_name[bone.parent].matrix) @ bone.matrix
            posed[bone.name] = posed[bone.parent] @ below @ basis
    world = _basis(curves, "", armature.rotation_mode, frames, at_rest=armature)
    return np.stack([posed[bone.name] for bone in rig.bones], axis=1), world


def _basis(
    curves: Curves, prefix: str, mode: str, frames: Array, *, at_rest: bpy.types.Object | None
) -> Array:
    """Matrices [T, 4, 4] of location, rotation and scale channels; what has no key is at rest."""

    def channel(name: str, rest: Sequence[float]) -> Array:
        values = np.tile(np.array(rest, dtype=np.float64), (len(frames), 1))
        for index in range(len(rest)):
            curve = curves.get((prefix + name, index))
            if curve is not None:
                values[:, index] = _curve_values(curve, frames)
        return values

    def rest_of(name: str, default: Sequence[float]) -> Sequence[float]:
        return default if at_rest is None else tuple(getattr(at_rest, name))

    location = channel("location", rest_of("location", (0.0, 0.0, 0.0)))
    scale = channel("scale", rest_of("scale", (1.0, 1.0, 1.0)))
    if mode == "QUATERNION":
        quaternions = channel("rotation_quaternion", rest_of("rotation_quaternion", (1, 0, 0, 0)))
        rotation = quaternion_to_matrix(normalise(quaternions))
    elif mode == "AXIS_ANGLE":
        turns = channel("rotation_axis_angle", rest_of("rotation_axis_angle", (0, 0, 1, 0)))
        axes = normalise(turns[:, 1:])
        rotation = quaternion_to_matrix(quaternion_from_axis_angle(axes, turns[:, 0]))
    else:
        angles = channel("rotation_euler", rest_of("rotation_euler", (0.0, 0.0, 0.0)))
        rotation = np.eye(3)
        for name in mode:  # the first named axis turns first
            turn = quaternion_from_axis_angle(_AXES[name], angles[:, "XYZ".index(name)])
            rotation = quaternion_to_matrix(turn) @ rotation
    basis = np.tile(np.eye(4), (len(frames), 1, 1))
    basis[:, :3, :3] = rotation * scale[:, None, :]
    basis[:, :3, 3] = location
    return basis


def _curve_values(curve: bpy.types.FCurve, frames: Array) -> Array:
    """The curve at the frames [T]; straight lines between keys are looked up in bulk."""
    points = curve.keyframe_points
    count = len(points)
    if count and curve.extrapolation == "CONSTANT" and not len(curve.modifiers):
        kinds = np.empty(count, dtype=np.int32)
        points.foreach_get("interpolation", kinds)
        if (kinds[:-1] == _LINEAR).all():
            keys = np.empty(2 * count, dtype=np.float32)
            points.foreach_get("co", keys)
            return np.interp(frames, keys[::2], keys[1::2])
    return np.array([curve.evaluate(frame) for frame in frames])


def _played(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    rig: Rig,
    action: bpy.types.Action,
    slot: Any | None,
    frames: Array,
) -> tuple[Array, Array]:
    play_action(armature, action, slot)
    armature.data.pose_position = "POSE"
    for bone in armature.pose.bones:
        bone.matrix_basis.identity()
    posed = np.empty((len(frames), len(rig.bones), 4, 4))
    world = np.empty((len(frames), 4, 4))
    for number, frame in enumerate(frames):
        whole = int(np.floor(frame))
        scene.frame_set(whole, subframe=float(frame) - whole)
        evaluated = armature.evaluated_get(scene.view_layers[0].depsgraph)
        bones = evaluated.pose.bones
        posed[number] = [bones[bone.name].matrix for bone in rig.bones]
        world[number] = evaluated.matrix_world
    return posed, world


_LINEAR = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
