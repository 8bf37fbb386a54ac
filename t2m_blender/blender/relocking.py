# SPDX-License-Identifier: GPL-3.0-or-later
"""Feet held anew where the markers of an Action say.

An Action keeps the pose that its feet were free in (`rig_keys.keep_free_pose`). Where a part of it
is made anew, so are that pose and the markers. Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine.errors import InputError
from ..engine.feet import ContactSpan, held_to_spans, spans_to_held
from ..engine.rotations import (
    normalise,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
)
from ..retarget.closing import closed
from ..retarget.rig import PoseTrack
from .action import check_writable, current_action, rewrite_curves
from .armature import armature_to_rig
from .channels import Channel
from .contacts import read_contacts, write_contacts
from .rig_keys import (
    FREE_POSE,
    PlacementOptions,
    Target,
    held_pose,
    keep_free_pose,
    kept_free_pose,
    rig_channels,
)
from .selection import target_of

_LEG = ("hip", "knee", "ankle", "foot")


def relock_feet(context: bpy.types.Context, armature: bpy.types.Object) -> int:
    """Holds the feet where the markers of the armature's Action say, and nowhere else.

    The legs, and what moves the whole figure, are keyed anew from the motion as it was generated;
    keys of all other bones stay as they are.

    Returns:
        How many contacts are held.

    Raises:
        InputError: The armature has no Action of ours, or it cannot be changed; nothing is.
    """
    check_writable(armature)
    action, _ = current_action(armature)
    if action is None or not action.is_editable:
        raise InputError(f'"{armature.name}" has no Action of its own whose feet could be held.')
    free, options = kept_free_pose(action)
    target = target_of(armature, armature_to_rig(armature))
    first = first_frame(action)
    contacts = read_contacts(action, first)
    track = held_pose(target, free, contacts, options.travel)
    if action.get("t2m_loop"):
        track = closed(track)
    made = rig_channels(armature, target, track, options)
    rewrite_curves(armature, _of_legs(made.channels, target), frame_start=first)
    context.scene.frame_set(context.scene.frame_current)
    return len(contacts)


def first_frame(action: bpy.types.Action) -> int:
    """Scene frame of the first key."""
    return round(action.curve_frame_range[0])


def options_of(
    action: bpy.types.Action | None, options: PlacementOptions
) -> tuple[PlacementOptions, PoseTrack | None]:
    """How an Action was put on its rig, where it keeps that, and its free pose.

    Args:
        action: None for none.
        options: For all that it does not keep.
    """
    try:
        if action is None or FREE_POSE not in action:
            return options, None
        free, kept = kept_free_pose(action)
    except InputError:  # damaged: as if there were none
        return options, None
    return replace(options, travel=kept.travel, ik=kept.ik), free


@dataclass(frozen=True, eq=False)
class Meeting:
    """Where a new part of a pose meets the pose that it becomes a part of.

    Attributes:
        new, old: Frames of the two that must be alike.
        shares: [n] how much of what lies between them each new frame makes up for.
    """

    new: int
    old: int
    shares: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NewPart:
    """What of an Action is made anew.

    Attributes:
        pose: Before feet were held; its frame 0 is the scene's frame `begin`.
        contacts: Of the pose, counted from its frame 0.
        begin: Frame of the scene.
        start, stop: Frames of the scene that become it.
        meetings: With what is there; `old` counts from the Action's first key.
    """

    pose: PoseTrack
    contacts: Sequence[ContactSpan]
    begin: int
    start: int
    stop: int
    meetings: Sequence[Meeting]


def keep_new_part(
    action: bpy.types.Action, free: PoseTrack | None, first: int, part: NewPart
) -> None:
    """Makes markers and kept pose of an Action those of its new part; the rest of them stays.

    Where the two poses cannot be joined, because the rig's bones or the scene's rate are others now
    or the Action's own pose is not known, none is kept.

    Args:
        action: With its keys as they are now.
        free: Its own pose, as it was.
        first: Scene frame of its first key, as it was.
        part: Ends where the Action does, or before.
    """
    now_first = first_frame(action)
    frames = round(action.curve_frame_range[1]) + 1 - now_first
    held = spans_to_held(read_contacts(action, now_first), frames)
    shift = part.begin - now_first
    moved = [replace(c, start=c.start + shift, stop=c.stop + shift) for c in part.contacts]
    rows = slice(part.start - now_first, part.stop - now_first)
    held[rows] = spans_to_held(moved, frames)[rows]
    write_contacts(action, held_to_spans(held), now_first)
    if free is None or now_first != first or not _alike(free, part.pose):
        if FREE_POSE in action:
            del action[FREE_POSE]
        return
    _, options = kept_free_pose(action)
    keep_free_pose(action, _joined(free, part, rows, frames), options)


def _alike(one: PoseTrack, other: PoseTrack) -> bool:
    return (
        one.bone_names == other.bone_names
        and one.translations.keys() == other.translations.keys()
        and abs(one.rate - other.rate) < 1e-6
    )


def _joined(old: PoseTrack, part: NewPart, rows: slice, frames: int) -> PoseTrack:
    """The old pose with its frames `rows` new, in so many frames; it stands still after its end."""
    new = part.pose
    taken = np.arange(part.start, part.stop) - part.begin
    place = np.minimum(np.arange(frames), old.frames - 1)
    rest = np.zeros((len(taken), len(new.bone_names), 4))
    rest[..., 0] = 1.0
    places = {name: values[taken].copy() for name, values in new.translations.items()}
    for meeting in part.meetings:
        at, shares = place[meeting.old], meeting.shares[:, None, None]
        turn = quaternion_multiply(
            quaternion_conjugate(new.rotations[meeting.new]), old.rotations[at]
        )
        turn = np.where(turn[..., :1] < 0.0, -turn, turn)
        rest += shares * (turn - np.array([1.0, 0.0, 0.0, 0.0]))
        for name, values in new.translations.items():
            apart = old.translations[name][at] - values[meeting.new]
            places[name] += meeting.shares[:, None] * apart
    rotations = old.rotations[place]
    rotations[rows] = quaternion_multiply(new.rotations[taken], normalise(rest))
    translations = {name: values[place] for name, values in old.translations.items()}
    for name, values in places.items():
        translations[name][rows] = values
    return PoseTrack(old.bone_names, quaternion_continuous(rotations), translations, old.rate)


def _of_legs(channels: list[Channel], target: Target) -> list[Channel]:
    """The channels of leg bones or controls, and of all that has a location."""
    joints = [f"{side}_{part}" for side in ("left", "right") for part in _LEG]
    legs = {target.bone_map.bones[joint] for joint in joints if joint in target.bone_map.bones}
    if target.family is not None:
        legs = target.family.controls_of("feet")
    placed = {channel.bone for channel in channels if channel.path.endswith(".location")}
    return [channel for channel in channels if channel.bone in legs | placed]
