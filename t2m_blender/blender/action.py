# SPDX-License-Identifier: GPL-3.0-or-later
"""A PoseTrack becomes an Action, written in bulk.

The only place that knows how Actions differ between versions: before 4.4 an Action holds F-curves
itself; from 4.4 they live in the channel bag of a slot; from 5.0 nowhere else. Main thread only.

Keys are linear: there is one on every frame, so each is a sample of the motion and straight lines
between samples neither overshoot nor let a foot drift, as in Blender's own BVH and glTF importers.
Handles are auto-clamped, so that after thinning the keys, T > Bezier gives smooth curves at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import bpy
import numpy as np
from mathutils import Quaternion
from numpy.typing import NDArray

from ..engine.errors import InputError
from ..retarget.rig import PoseTrack

_NAME_BYTES = 60  # a data-block's name holds 63 bytes; Blender may append ".001"
RECIPE_PREFIX = "t2m_"


def write_action(
    armature: bpy.types.Object,
    track: PoseTrack,
    *,
    name: str,
    frame_start: int,
    recipe: Mapping[str, Any],
) -> bpy.types.Action:
    """A new Action with the track's keys, made the armature's current one.

    The Action that was current before keeps its keys and gets a fake user, so that saving the file
    does not drop it.

    Args:
        armature: With a bone for every name in the track.
        track: T frames.
        name: What the Action is called; cut to what a data-block's name holds.
        frame_start: Scene frame of the first key; the others follow frame by frame.
        recipe: What made the motion; kept as custom properties named `t2m_...`.

    Raises:
        InputError: If the armature's Action cannot be replaced now.
    """
    check_writable(armature)
    action = bpy.data.actions.new(_shortened(name))
    try:
        action.use_fake_user = True
        for key, value in recipe.items():
            action[RECIPE_PREFIX + key] = _property_value(value)
        curves, groups, slot = _new_channels(action, armature)
        frames = np.arange(frame_start, frame_start + track.frames, dtype=np.float32)
        for bone, path, index, values in _channels(armature, track):
            _write_curve(curves, groups, bone, path, index, frames, values)
    except Exception:
        bpy.data.actions.remove(action)
        raise
    data = armature.animation_data or armature.animation_data_create()
    if data.action is not None and data.action.is_editable:
        data.action.use_fake_user = True
    data.action = action
    if slot is not None:
        data.action_slot = slot
    return action


def check_writable(armature: bpy.types.Object) -> None:
    """Makes sure that the armature can be given another Action now.

    Raises:
        InputError: It is linked, or one of its NLA strips is being edited.
    """
    if not armature.is_editable:
        raise InputError(
            f'The armature "{armature.name}" is linked from another file. Make it local or make a '
            "library override first."
        )
    if armature.animation_data and armature.animation_data.use_tweak_mode:
        raise InputError(
            f'An NLA strip of "{armature.name}" is being edited. Leave tweak mode first (Tab in '
            "the NLA editor)."
        )


def action_curves(
    armature: bpy.types.Object, action: bpy.types.Action | None = None
) -> list[bpy.types.FCurve]:
    """The F-curves that an Action (the current one, if none is named) plays on the armature."""
    data = armature.animation_data
    action = action or (data.action if data else None)
    if action is None:
        return []
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    slot = data.action_slot if data and data.action == action else next(iter(action.slots), None)
    return [
        curve
        for layer in action.layers
        for strip in layer.strips
        for bag in [strip.channelbag(slot) if slot else None]
        if bag is not None
        for curve in bag.fcurves
    ]


def action_parts(action: bpy.types.Action) -> list[tuple[Any | None, list[bpy.types.FCurve]]]:
    """The slots of an Action, each with its F-curves; before 4.4 there is one, None."""
    if not hasattr(action, "slots"):
        return [(None, list(action.fcurves))]
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    return [
        (slot, [curve for bag in bags if bag.slot == slot for curve in bag.fcurves])
        for slot in action.slots
    ]


def play_action(armature: bpy.types.Object, action: bpy.types.Action, slot: Any | None) -> None:
    """Makes one slot of an Action what the armature plays, alone: the NLA is off."""
    data = armature.animation_data or armature.animation_data_create()
    data.use_nla = False
    data.action = action
    if slot is not None:
        data.action_slot = slot


def _new_channels(
    action: bpy.types.Action, armature: bpy.types.Object
) -> tuple[Any, Any, Any | None]:
    """Where F-curves and groups of a new Action are made, and the slot that they belong to."""
    if not hasattr(action, "slots"):
        return action.fcurves, action.groups, None
    slot = action.slots.new("OBJECT", armature.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    bag = strip.channelbag(slot, ensure=True)
    return bag.fcurves, bag.groups, slot


def _channels(
    armature: bpy.types.Object, track: PoseTrack
) -> Iterator[tuple[str, str, int, NDArray[np.float64]]]:
    """Bone, data path, index and values [T] of every F-curve."""
    for number, name in enumerate(track.bone_names):
        bone = armature.pose.bones[name]
        if name == track.root:
            for index in range(3):
                yield name, bone.path_from_id("location"), index, track.translation[:, index]
        channel, values = _in_rotation_mode(track.rotations[:, number], bone.rotation_mode)
        for index in range(values.shape[1]):
            yield name, bone.path_from_id(channel), index, values[:, index]


def _in_rotation_mode(rotations: NDArray[np.float64], mode: str) -> tuple[str, NDArray[np.float64]]:
    """The property that a bone of this rotation mode reads, and its values [T, 3 or 4]."""
    if mode == "QUATERNION":
        return "rotation_quaternion", rotations
    if mode == "AXIS_ANGLE":
        pairs = [Quaternion(rotation).to_axis_angle() for rotation in rotations]
        return "rotation_axis_angle", np.array([(angle, *axis) for axis, angle in pairs])
    eulers = [Quaternion(rotations[0]).to_euler(mode)]
    for rotation in rotations[1:]:
        eulers.append(Quaternion(rotation).to_euler(mode, eulers[-1]))
    return "rotation_euler", np.array(eulers)


def _write_curve(
    curves: Any,
    groups: Any,
    bone: str,
    path: str,
    index: int,
    frames: NDArray[np.float32],
    values: NDArray[np.float64],
) -> None:
    curve = curves.new(path, index=index)
    curve.group = groups.get(bone) or groups.new(bone)
    points = curve.keyframe_points
    points.add(len(frames))
    coordinates = np.stack((frames, values.astype(np.float32)), axis=-1)
    points.foreach_set("co", coordinates.ravel())
    for setting, value in _LINEAR.items():
        points.foreach_set(setting, np.full(len(frames), value, dtype=np.int32))
    curve.update()


def _enum_number(setting: str, item: str) -> int:
    return bpy.types.Keyframe.bl_rna.properties[setting].enum_items[item].value


_LINEAR = {
    "interpolation": _enum_number("interpolation", "LINEAR"),
    "handle_left_type": _enum_number("handle_left_type", "AUTO_CLAMPED"),
    "handle_right_type": _enum_number("handle_right_type", "AUTO_CLAMPED"),
}


def _property_value(value: Any) -> Any:
    """A custom property holds 32-bit integers: a larger seed is kept as text."""
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        return str(value)
    return "" if value is None else value


def _shortened(name: str) -> str:
    """One line that a data-block's name can hold, cut between words where that is possible."""
    line = " ".join(name.split()) or "Motion"
    if len(line.encode()) <= _NAME_BYTES:
        return line
    cut = line.encode()[:_NAME_BYTES].decode(errors="ignore")
    return cut.rsplit(" ", 1)[0] if " " in cut else cut
