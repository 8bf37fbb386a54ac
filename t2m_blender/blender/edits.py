# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion that an armature plays is read back, and continued or repaired. Main thread only.

Both work on a copy of the armature's Action; the Action itself stays as it is, kept by a fake user.
What reading back and solving again leave between the old keys and the new ones is made up for on
the new keys alone.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import bpy
import numpy as np

from ..engine.errors import InputError
from ..engine.feet import contact_spans, resampled_spans
from ..engine.motion import Motion
from ..engine.skeleton import HUMANML3D
from ..retarget.calibration import calibrate
from ..retarget.read_back import read_motion
from ..retarget.solve import FIGURE_TO_MOTION
from .action import action_curves, copy_action, current_action, splice_curves, write_action
from .asked import recipe_in
from .channels import Channel
from .nla import put_on_strip, strips_of
from .placement import check_target, recipe_of, scene_rate
from .read_file import wanted_bones
from .rig_keys import FREE_POSE, PlacementOptions, Target, free_pose, held_pose, rig_channels

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion

_DECAY = 0.4  # seconds over which a continuation leaves the pose that it began with
_OF_ONE_MOTION = ("seed", "seconds", "length", "guidance", "temperature", "parts", "loop")


def motion_on_rig(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    target: Target,
    first: int,
    last: int,
    options: PlacementOptions,
) -> Motion:
    """What the armature plays from one frame to another, as Blender shows it, in its own space.

    Args:
        context: The scene is played, and put back where it was.
        armature, target: The rig.
        first, last: Frames of the scene, both read.
        options: That the motion was placed with.
    """
    rig, scene = wanted_bones(target.rig, target.bone_map), context.scene
    now, part = scene.frame_current, scene.frame_subframe
    posed = np.empty((last - first + 1, len(rig.bones), 4, 4))
    try:
        for number in range(len(posed)):
            scene.frame_set(first + number)
            bones = armature.evaluated_get(context.evaluated_depsgraph_get()).pose.bones
            posed[number] = [bones[bone.name].matrix for bone in rig.bones]
    finally:
        scene.frame_set(now, subframe=part)
    own = np.eye(4)  # the axes of a motion, as `motion_to_pose` takes it
    own[:3, :3] = FIGURE_TO_MOTION.T @ calibrate(rig, target.bone_map, HUMANML3D).axes
    root = "hips" if options.foot_lock else "pelvis"
    return read_motion(rig, target.bone_map, posed, fps=scene_rate(scene), world=own, root=root)


def motion_until(
    context: bpy.types.Context, armature: bpy.types.Object, now: int, options: PlacementOptions
) -> Motion:
    """The last seconds before a frame.

    Raises:
        InputError: Nothing moves the armature before it.
    """
    from ..engine.continuing import READ_SECONDS

    first, _ = animated_range(armature)
    if first >= now:
        raise InputError(
            f'Nothing moves "{armature.name}" before frame {now}. Move the playhead into the '
            "motion that is to go on."
        )
    _, target = check_target(context, armature)
    first = max(first, now - math.ceil(READ_SECONDS * scene_rate(context.scene)))
    return motion_on_rig(context, armature, target, first, now, options)


def animated_range(armature: bpy.types.Object) -> tuple[int, int]:
    """First and last frame of the armature's Action and strips.

    Raises:
        InputError: There are none.
    """
    action, _ = current_action(armature)
    ranges = [tuple(action.curve_frame_range)] if action is not None else []
    ranges += [(strip.frame_start, strip.frame_end) for strip in strips_of(armature)]
    if not ranges:
        raise InputError(f'"{armature.name}" has no motion yet. Generate one first.')
    return round(min(first for first, _ in ranges)), round(max(last for _, last in ranges))


def repair_range(context: bpy.types.Context, armature: bpy.types.Object) -> tuple[int, int]:
    """The first frame to make anew and the first to keep again: the preview range, or the range of
    the selected keys.

    Raises:
        InputError: Neither is there.
    """
    scene = context.scene
    if scene.use_preview_range:
        return scene.frame_preview_start, scene.frame_preview_end + 1
    frames = [
        point.co[0]
        for curve in action_curves(armature)
        for point in curve.keyframe_points
        if point.select_control_point
    ]
    if not frames or min(frames) == max(frames):
        raise InputError(
            "Choose the frames: set a preview range (P in the timeline), or select their keys."
        )
    return math.ceil(min(frames)), math.floor(max(frames)) + 1


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
    rate, new = scene_rate(context.scene), generated.motion
    joints = np.concatenate((generated.lead.joints[-1:], new.joints))
    contacts = new.contacts
    if contacts is not None:
        contacts = np.concatenate((contacts[:1], contacts))
    whole = Motion(joints, new.fps, new.skeleton, contacts)
    count = frames or max(1, round(new.seconds * rate))
    channels = _channels(armature, target, whole, rate, count + 1, options)
    context.scene.frame_set(now)
    decay = np.maximum(1.0 - np.arange(1, count + 1) / max(1.0, _DECAY * rate), 0.0)
    shown = armature.evaluated_get(context.evaluated_depsgraph_get())
    joined = []
    for channel in channels:
        value = shown.path_resolve(channel.path)[channel.index]
        rest = decay * decay * (3.0 - 2.0 * decay) * (value - channel.values[0])
        joined.append(replace(channel, values=channel.values[1:] + rest))
    action, _ = current_action(armature)
    if action is None:
        made = write_action(
            armature,
            joined,
            name=generated.prompt,
            frame_start=now + 1,
            recipe=_without_seed(recipe_of(generated)),
        )
        armature.animation_data.action = None
        put_on_strip(armature, made)
    else:
        made = copy_action(armature)
        splice_curves(armature, joined, frame_start=now + 1, stop=math.inf)
        _tell_edit(made, {**recipe_of(generated), "continued_from": now})
    scene = context.scene
    scene.frame_end = max(scene.frame_end, now + count)
    return f'"{made.name}" goes on for {count} frames after frame {now}'


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
    if current_action(armature)[0] is None:
        raise InputError(
            f'"{armature.name}" has no Action any more; undo until it has, or discard.'
        )
    rate = scene_rate(context.scene)
    channels = _channels(armature, target, motion, rate, motion.frames, options)
    curves = {(curve.data_path, curve.array_index): curve for curve in action_curves(armature)}
    first, end = start - read_from, stop - read_from
    spliced = []
    for channel in channels:
        curve = curves.get((channel.path, channel.index))
        if curve is None:
            continue  # what had no key gets none
        edges = [
            (place, curve.evaluate(read_from + place) - channel.values[place])
            for place in (first - 1, end)
            if 0 <= place < motion.frames
        ]
        rest = np.interp(np.arange(first, end), *zip(*edges, strict=True))
        spliced.append(replace(channel, values=channel.values[first:end] + rest))
    made = copy_action(armature)
    splice_curves(armature, spliced, frame_start=start, stop=stop)
    _tell_edit(made, {**recipe, "repaired": [start, stop]})
    context.scene.frame_set(context.scene.frame_current)
    return f'Frames {start} to {stop - 1} of "{made.name}" are new'


def _channels(
    armature: bpy.types.Object,
    target: Target,
    motion: Motion,
    rate: float,
    frames: int,
    options: PlacementOptions,
) -> list[Channel]:
    """Every frame keyed, with quaternions on the side on which the Action's are at their first."""
    options = replace(options, key_error=None)
    free = free_pose(target, motion, rate, frames, options)
    spans = contact_spans(motion) if options.foot_lock else ()
    track = held_pose(
        target, free, resampled_spans(spans, motion.frames, free.frames), options.travel
    )
    made = rig_channels(armature, target, track, options).channels
    return [channel for channel in _on_their_side(armature, made) if len(channel.values) > 1]


def _on_their_side(armature: bpy.types.Object, channels: list[Channel]) -> list[Channel]:
    """A turn has two quaternions: the one nearer to the bone's present one."""
    turned: dict[str, list[Channel]] = {}
    for channel in channels:
        if channel.path.endswith("rotation_quaternion"):
            turned.setdefault(channel.path, []).append(channel)
    flipped = {
        path
        for path, parts in turned.items()
        if sum(armature.path_resolve(path)[part.index] * part.values[0] for part in parts) < 0.0
    }
    return [
        replace(channel, values=-channel.values) if channel.path in flipped else channel
        for channel in channels
    ]


def _without_seed(recipe: dict[str, object]) -> dict[str, object]:
    """Of a recipe only what tells of a motion that others are needed for."""
    return {key: value for key, value in recipe.items() if key not in _OF_ONE_MOTION}


def _tell_edit(action: bpy.types.Action, recipe: dict[str, object]) -> None:
    """The copy's recipe: what it was, and what was done to it; no seed alone makes it again."""
    edits = json.loads(action.get("t2m_edits", "[]")) or [dict(recipe_in(action))]
    for key in (*(f"t2m_{name}" for name in _OF_ONE_MOTION), FREE_POSE, "t2m_edited_prompt"):
        if key in action:
            del action[key]
    action["t2m_edits"] = json.dumps([*edits, recipe])
    before = action.get("t2m_prompt")
    action["t2m_prompt"] = f"{before}, then {recipe['prompt']}" if before else recipe["prompt"]
