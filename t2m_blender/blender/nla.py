# SPDX-License-Identifier: GPL-3.0-or-later
"""Strips of the NLA: an Action onto a track, another Action into a strip. Main thread only."""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from ..engine.errors import InputError
from .action import current_action, set_action


def put_on_strip(
    armature: bpy.types.Object,
    action: bpy.types.Action,
    *,
    track: str = "",
    blend: tuple[float, float] = (0.0, 0.0),
) -> bpy.types.NlaStrip:
    """A strip that plays an Action where its keys are.

    Args:
        armature: Whose NLA it joins.
        action: What it plays, by its first slot.
        track: Name of one; made if there is none of that name, or no room on it.
        blend: Frames over which it fades in and out.

    Returns:
        The strip, selected alone.
    """
    data = armature.animation_data or armature.animation_data_create()
    first, last = action.curve_frame_range
    chosen = data.nla_tracks.get(track) if track else None
    if chosen is None or not _has_room(chosen, first, last):
        chosen = data.nla_tracks.new()
        chosen.name = track or action.name
    strip = chosen.strips.new(action.name, round(first), action)
    _use_slot(strip)
    strip.blend_in = min(blend[0], last - first)
    strip.blend_out = min(blend[1], last - first - strip.blend_in)
    strip.use_sync_length = False
    for other in strips_of(armature):
        other.select = other == strip
    return strip


def push_down(armature: bpy.types.Object, *, track: str, blend: tuple[float, float]) -> str:
    """The armature's Action becomes a strip, so that the NLA plays it.

    Raises:
        InputError: It has none, or a strip is being edited.
    """
    action, _ = current_action(armature)
    if action is None:
        raise InputError(f'"{armature.name}" has no Action to push down.')
    if armature.animation_data.use_tweak_mode:
        raise InputError("Leave tweak mode of the NLA first (Tab in the NLA editor).")
    set_action(armature, None)
    strip = put_on_strip(armature, action, track=track, blend=blend)
    return strip.name


def replace_action(strip: bpy.types.NlaStrip, action: bpy.types.Action) -> None:
    """Gives one strip another Action: it begins where it did, at the same speed."""
    strip.action = action
    _use_slot(strip)
    strip.action_frame_start, strip.action_frame_end = action.curve_frame_range


def chosen_strip(armature: bpy.types.Object) -> bpy.types.NlaStrip | None:
    """The only selected strip of the armature, or the active one of several."""
    selected = [strip for strip in strips_of(armature) if strip.select]
    if len(selected) == 1:
        return selected[0]
    return next((strip for strip in selected if strip.active), None)


def strips_of(armature: bpy.types.Object) -> Iterator[bpy.types.NlaStrip]:
    """Every strip with an Action of the armature's own NLA."""
    data = armature.animation_data
    for track in data.nla_tracks if data else ():
        yield from (strip for strip in track.strips if strip.action is not None)


def _has_room(track: bpy.types.NlaTrack, first: float, last: float) -> bool:
    if track.lock:
        return False
    return all(strip.frame_end <= first or strip.frame_start >= last for strip in track.strips)


def _use_slot(strip: bpy.types.NlaStrip) -> None:
    if hasattr(strip, "action_slot") and len(strip.action.slots):
        strip.action_slot = strip.action.slots[0]
