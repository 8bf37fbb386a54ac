# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion goes on, or a part of it is made anew. Main thread only.

Both work on a copy of the armature's Action; the Action itself stays as it is, kept by a fake user.
What reading back and solving again leave between the old keys and the new ones is made up for on
the new keys alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine.errors import InputError
from ..engine.feet import ContactSpan, contact_spans, resampled_spans
from ..engine.motion import Motion
from ..retarget.rig import PoseTrack
from .action import (
    action_curves,
    copy_action,
    current_action,
    splice_curves,
    stop_repeating,
    write_action,
)
from .asked import recipe_in
from .channels import Channel, with_fewer_keys
from .contacts import write_contacts
from .nla import put_on_strip
from .placement import recipe_of
from .relocking import Meeting, NewPart, first_frame, keep_new_part, options_of
from .rig_keys import (
    PlacementOptions,
    Target,
    free_pose,
    held_pose,
    keep_free_pose,
    leg_length,
    rig_channels,
)
from .selection import check_target, scene_rate
from .translations import rpt

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion

_DECAY = 0.4  # seconds over which a continuation leaves the pose that it began with
_OF_ONE_MOTION = ("seed", "seconds", "length", "guidance", "temperature", "parts")
_ValueAt = Callable[[Channel], "float | None"]  # what a channel is now; None where it has no key


def put_continuation(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    generated: GeneratedMotion,
    now: int,
    frames: int | None,
    options: PlacementOptions,
) -> str:
    """What comes after frame `now`: in a copy of the Action, or as a strip where there is none.

    Raises:
        T2MError: It cannot be placed; nothing is changed.
    """
    _, target = check_target(context, armature)
    scene, rate, new = context.scene, scene_rate(context.scene), generated.motion
    joints = np.concatenate((generated.lead.joints[-1:], new.joints))
    contacts = new.contacts
    if contacts is not None:
        contacts = np.concatenate((contacts[:1], contacts))
    whole = Motion(joints, new.fps, new.skeleton, contacts)
    count = frames or max(1, round(new.seconds * rate))
    action, _ = current_action(armature)
    options, free = options_of(action, options)
    scene.frame_set(now)
    shown = armature.evaluated_get(context.evaluated_depsgraph_get())

    def value_now(channel: Channel) -> float:
        return float(shown.path_resolve(channel.path)[channel.index])

    pose, spans, channels = _solved(armature, target, whole, count + 1, options, rate, value_now)
    decay = np.maximum(1.0 - np.arange(1, count + 1) / max(1.0, _DECAY * rate), 0.0)
    decay = decay * decay * (3.0 - 2.0 * decay)
    joined = [
        replace(
            channel,
            values=channel.values[1:] + decay * (value_now(channel) - channel.values[0]),
        )
        for channel in channels
    ]
    joined = _to_next_keys(armature, joined, now + 1, math.inf)
    joined = _thinned(joined, target, options)
    if action is None:
        made = write_action(
            armature,
            joined,
            name=generated.prompt,
            frame_start=now + 1,
            recipe=_without_seed(recipe_of(generated)),
        )
        later = [replace(c, start=max(c.start - 1, 0), stop=c.stop - 1) for c in spans]
        write_contacts(made, [c for c in later if c.stop > c.start], now + 1)
        keep_free_pose(made, _from_second(pose), options)
        armature.animation_data.action = None
        put_on_strip(armature, made)
    else:
        first = first_frame(action)
        repeats = bool(action.get("t2m_loop")) and now > action.curve_frame_range[1]
        made = copy_action(armature)
        splice_curves(armature, joined, frame_start=now + 1, stop=math.inf)
        stop_repeating(armature, made)
        part = NewPart(pose, spans, now, now + 1, now + 1 + count, [Meeting(0, now - first, decay)])
        keep_new_part(made, None if repeats else free, first, part)
        _tell_edit(made, {**recipe_of(generated), "continued_from": now})
        if "t2m_loop" in made:
            del made["t2m_loop"]
    scene.frame_end = max(scene.frame_end, now + count)
    return rpt('"{}" goes on for {} frames after frame {}', made.name, count, now)


def put_repair(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    motion: Motion,
    read_from: int,
    start: int,
    stop: int,
    recipe: dict[str, object],
    options: PlacementOptions,
) -> str:
    """The frames [start, stop) of a motion into a copy of the armature's Action.

    Args:
        context, armature: Where.
        motion: At the scene's rate; its first frame is the scene's frame `read_from`.
        read_from, start, stop: Frames of the scene.
        recipe: What made it.
        options: How it is put on the rig.

    Raises:
        InputError: The Action is gone, or the rig cannot be moved.
    """
    _, target = check_target(context, armature)
    action, _ = current_action(armature)
    if action is None:
        raise InputError(
            f'"{armature.name}" has no Action any more; undo until it has, or discard.'
        )
    options, free = options_of(action, options)
    curves = {(curve.data_path, curve.array_index): curve for curve in action_curves(armature)}

    def value_at(channel: Channel, frame: int = read_from) -> float | None:
        curve = curves.get((channel.path, channel.index))
        return None if curve is None else curve.evaluate(frame)

    rate = scene_rate(context.scene)
    pose, spans, channels = _solved(
        armature, target, motion, motion.frames, options, rate, value_at
    )
    edges = [place for place in (start - 1, stop) if read_from <= place < read_from + motion.frames]
    shares = [np.interp(np.arange(start, stop), edges, row) for row in np.eye(len(edges))]
    spliced = []
    for channel in channels:
        values = channel.values[start - read_from : stop - read_from].copy()
        if value_at(channel) is None:
            continue  # what had no key gets none
        for edge, share in zip(edges, shares, strict=True):
            values += share * (value_at(channel, edge) - channel.values[edge - read_from])
        spliced.append(replace(channel, values=values))
    spliced = _to_next_keys(armature, spliced, start, stop)
    spliced = _thinned(spliced, target, options)
    first = first_frame(action)
    made = copy_action(armature)
    splice_curves(armature, spliced, frame_start=start, stop=stop)
    meetings = [
        Meeting(edge - read_from, edge - first, share)
        for edge, share in zip(edges, shares, strict=True)
    ]
    keep_new_part(made, free, first, NewPart(pose, spans, read_from, start, stop, meetings))
    _tell_edit(made, {**recipe, "repaired": [start, stop]})
    context.scene.frame_set(context.scene.frame_current)
    return rpt('Frames {} to {} of "{}" are new', start, stop - 1, made.name)


def _solved(
    armature: bpy.types.Object,
    target: Target,
    motion: Motion,
    frames: int,
    options: PlacementOptions,
    rate: float,
    value_at_first: _ValueAt,
) -> tuple[PoseTrack, tuple[ContactSpan, ...], list[Channel]]:
    """The free pose, where its feet are held, and every frame keyed, with quaternions on the side
    on which the Action's are at the first frame.
    """
    free = free_pose(target, motion, rate, frames, options)
    spans = contact_spans(motion) if options.foot_lock else ()
    track = held_pose(
        target, free, resampled_spans(spans, motion.frames, free.frames), options.travel
    )
    made = rig_channels(armature, target, track, replace(options, key_error=None)).channels
    moving = [channel for channel in made if len(channel.values) > 1]
    return free, track.contacts, _on_their_side(moving, value_at_first)


def _on_their_side(channels: list[Channel], value_at_first: _ValueAt) -> list[Channel]:
    """A turn has two quaternions: the one nearer to the bone's own."""
    alike: dict[str, float] = {}
    for channel in channels:
        if channel.path.endswith("rotation_quaternion"):
            own = value_at_first(channel) or 0.0
            alike[channel.path] = alike.get(channel.path, 0.0) + own * channel.values[0]
    return [
        replace(channel, values=-channel.values) if alike.get(channel.path, 0.0) < 0.0 else channel
        for channel in channels
    ]


def _to_next_keys(
    armature: bpy.types.Object, channels: list[Channel], start: int, stop: float
) -> list[Channel]:
    """The channels, from `start` on, with what the Action's curves do between the range and their
    nearest keys on either side: without those keys these stretches would change too.
    """
    curves = {(curve.data_path, curve.array_index): curve for curve in action_curves(armature)}
    keys: dict[str, NDArray[np.float32]] = {}
    for channel in channels:
        curve = curves.get((channel.path, channel.index))
        if curve is not None:
            frames = np.array([point.co[0] for point in curve.keyframe_points])
            keys[channel.path] = np.append(keys.get(channel.path, []), frames)
    filled = []
    for channel in channels:
        curve = curves.get((channel.path, channel.index))
        frames = keys.get(channel.path, np.empty(0))
        before, after = frames[frames < start], frames[frames >= stop]
        left = np.arange(math.floor(before.max()) + 1 if len(before) else start, start)
        right = np.arange(stop, math.ceil(after.min())) if len(after) else np.empty(0)
        if curve is None or not len(left) + len(right):
            filled.append(channel)
            continue
        ends = [[curve.evaluate(frame) for frame in side] for side in (left, right)]
        values = np.concatenate((ends[0], channel.values, ends[1]))
        filled.append(replace(channel, values=values, frames=np.arange(len(values)) - len(left)))
    return filled


def _thinned(channels: list[Channel], target: Target, options: PlacementOptions) -> list[Channel]:
    """The channels with fewer keys, if that is asked for."""
    if options.key_error is None:
        return channels
    begin = {c.path: 0 if c.frames is None else int(c.frames[0]) for c in channels}
    length = options.key_error * leg_length(target)
    return [
        replace(channel, frames=channel.frames + begin[channel.path])
        for channel in with_fewer_keys(channels, options.key_error, length)
    ]


def _from_second(pose: PoseTrack) -> PoseTrack:
    """The pose without its first frame."""
    translations = {name: values[1:] for name, values in pose.translations.items()}
    return replace(pose, rotations=pose.rotations[1:], translations=translations)


def _without_seed(recipe: dict[str, object]) -> dict[str, object]:
    """Of a recipe only what tells of a motion that others are needed for."""
    return {key: value for key, value in recipe.items() if key not in _OF_ONE_MOTION}


def _tell_edit(action: bpy.types.Action, recipe: dict[str, object]) -> None:
    """The copy's recipe: what it was, and what was done to it; no seed alone makes it again."""
    edits = json.loads(action.get("t2m_edits", "[]")) or [dict(recipe_in(action))]
    for key in (*(f"t2m_{name}" for name in _OF_ONE_MOTION), "t2m_edited_prompt"):
        if key in action:
            del action[key]
    action["t2m_edits"] = json.dumps([*edits, recipe])
    before = action.get("t2m_prompt")
    action["t2m_prompt"] = f"{before}, then {recipe['prompt']}" if before else recipe["prompt"]
