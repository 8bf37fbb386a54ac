# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels become an Action, and which Action an armature plays.

The only place that knows how Actions differ between versions: before 4.4 an Action holds F-curves
itself; from 4.4 they live in the channel bag of a slot; from 5.0 nowhere else. Main thread only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bpy

from ..engine.errors import InputError
from .channels import Channel
from .keys import splice_keys, write_keys

_NAME_BYTES = 60  # a data-block's name holds 63 bytes; Blender may append ".001"
RECIPE_PREFIX = "t2m_"


def write_action(
    armature: bpy.types.Object,
    channels: Sequence[Channel],
    *,
    name: str,
    frame_start: int,
    recipe: Mapping[str, Any],
) -> bpy.types.Action:
    """A new Action with the keys, made the armature's current one.

    The Action that was current before keeps its keys and gets a fake user, so that saving the file
    does not drop it.

    Args:
        armature: Whose channels they are.
        channels: From `channels.pose_channels`.
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
        for channel in channels:
            _write_curve(curves, groups, channel, frame_start)
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
        InputError: It is linked or a library override that is not editable, it is in Edit Mode, or
            one of its NLA strips is being edited.
    """
    name, override = armature.name, armature.override_library
    if not armature.is_editable:
        raise InputError(
            f'The armature "{name}" is linked from another file. Make it local or make a '
            "library override first."
        )
    if override is not None and override.is_system_override:
        raise InputError(
            f'The library override of "{name}" is not editable. Choose Object > Library Override '
            "> Make Editable first."
        )
    if armature.mode == "EDIT":
        raise InputError(f'Leave Edit Mode of "{name}" first (Tab).')
    if armature.animation_data and armature.animation_data.use_tweak_mode:
        raise InputError(
            f'An NLA strip of "{name}" is being edited. Leave tweak mode first (Tab in the NLA '
            "editor)."
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


def repeat_action(armature: bpy.types.Object, action: bpy.types.Action) -> None:
    """Makes an Action whose last pose is its first one play over and over, the way going on."""
    action.use_frame_range = True
    action.frame_start, action.frame_end = action.curve_frame_range
    action.use_cyclic = True
    for curve in action_curves(armature, action):
        if len(curve.keyframe_points) > 1:
            again = curve.modifiers.new("CYCLES")
            way = "REPEAT_OFFSET" if curve.data_path.endswith(".location") else "REPEAT"
            again.mode_before = again.mode_after = way


def stop_repeating(armature: bpy.types.Object, action: bpy.types.Action) -> None:
    """Takes back what `repeat_action` did."""
    action.use_cyclic = action.use_frame_range = False
    for curve in action_curves(armature, action):
        for again in [one for one in curve.modifiers if one.type == "CYCLES"]:
            curve.modifiers.remove(again)


def set_action(
    armature: bpy.types.Object, action: bpy.types.Action | None, slot: Any | None = None
) -> None:
    """Makes an Action (none for None) the armature's current one.

    Args:
        armature: Whose.
        action: That it plays.
        slot: Of the Action; None for its first one.
    """
    data = armature.animation_data or armature.animation_data_create()
    data.action = action
    if action is not None and hasattr(action, "slots"):
        data.action_slot = slot or next(iter(action.slots), None)


def current_action(armature: bpy.types.Object) -> tuple[bpy.types.Action | None, Any | None]:
    """The armature's Action and the slot of it that it plays."""
    data = armature.animation_data
    return (data.action, getattr(data, "action_slot", None)) if data else (None, None)


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


def rewrite_curves(
    armature: bpy.types.Object, channels: Sequence[Channel], *, frame_start: int
) -> None:
    """Gives F-curves of the armature's current Action new keys; channels without one are left out.

    Args:
        armature: Whose current Action it is.
        channels: With a value for each frame; those of a single value stay as they are.
        frame_start: Scene frame of the first.
    """
    curves = {(curve.data_path, curve.array_index): curve for curve in action_curves(armature)}
    for channel in channels:
        curve = curves.get((channel.path, channel.index))
        if curve is not None and len(channel.values) > 1:
            curve.keyframe_points.clear()
            write_keys(curve, channel, frame_start)


def copy_action(armature: bpy.types.Object) -> bpy.types.Action:
    """A copy of the armature's Action in its place; the Action itself is kept by a fake user."""
    action, slot = current_action(armature)
    action.use_fake_user = True
    copied = action.copy()
    copied.use_fake_user = True
    same = copied.slots.get(slot.identifier) if slot is not None else None
    set_action(armature, copied, same)
    return copied


def splice_curves(
    armature: bpy.types.Object, channels: Sequence[Channel], *, frame_start: int, stop: float
) -> None:
    """Puts keys into the armature's current Action in place of those of a range of frames.

    Keys before `frame_start`, and from `stop` on, keep every byte.

    Args:
        armature: Whose Action it is.
        channels: Whose frame 0 is the scene's `frame_start`.
        frame_start: The first frame that is made anew.
        stop: The first frame that is kept again; may be infinite.
    """
    action, slot = current_action(armature)
    curves = {(curve.data_path, curve.array_index): curve for curve in action_curves(armature)}
    made, groups = _curves_of(action, slot)
    for channel in channels:
        curve = curves.get((channel.path, channel.index))
        if curve is None:
            _write_curve(made, groups, channel, frame_start)
        else:
            splice_keys(curve, channel, frame_start, stop)


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


def _curves_of(action: bpy.types.Action, slot: Any | None) -> tuple[Any, Any]:
    """Where F-curves and groups of an Action that has a layer are made."""
    if slot is None:
        return action.fcurves, action.groups
    bag = action.layers[0].strips[0].channelbag(slot, ensure=True)
    return bag.fcurves, bag.groups


def _write_curve(curves: Any, groups: Any, channel: Channel, frame_start: int) -> None:
    curve = curves.new(channel.path, index=channel.index)
    curve.group = groups.get(channel.bone) or groups.new(channel.bone)
    write_keys(curve, channel, frame_start)


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
