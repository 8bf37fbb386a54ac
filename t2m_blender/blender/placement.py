# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated motion into a scene: onto the armature that is meant, or onto a new figure.

Everything that can fail is done before the scene is changed. Main thread only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import bpy

from .. import version
from ..engine.errors import InputError
from ..engine.feet import contact_spans, resampled_spans
from ..engine.skeleton import HUMANML3D
from ..retarget.closing import closed
from ..retarget.joint_for_joint import motion_to_own_pose
from ..retarget.rig import PoseTrack, Rig
from .action import check_writable, repeat_action, rewrite_curves, write_action
from .armature import (
    armature_to_rig,
    make_default_armature,
    new_figure,
    remove_armature,
    rig_to_armature,
)
from .channels import Channel, held_message, locked_message, pose_channels
from .contacts import read_contacts, write_contacts
from .rig_keys import (
    PlacementOptions,
    Target,
    free_pose,
    held_pose,
    keep_free_pose,
    kept_free_pose,
    rig_channels,
)
from .rig_map import bone_map_of

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion

LEG = ("hip", "knee", "ankle", "foot")
OnWarning = Callable[[str], None]


def scene_rate(scene: bpy.types.Scene) -> float:
    """Frames a second of the scene."""
    return float(scene.render.fps / scene.render.fps_base)


def lone_armature(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature that is selected, if it is only one."""
    armatures = selected_armatures(context)
    return armatures[0] if len(armatures) == 1 else None


def selected_armatures(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The armatures that are selected, or whose bodies are; the active one alone if it is one.

    An armature in Pose Mode counts as selected.
    """
    active = context.view_layer.objects.active
    if active is not None and (active.select_get() or active.mode == "POSE"):
        armature = _armature_of(active)
        if armature is not None:
            return [armature]
    found = [_armature_of(object) for object in context.view_layer.objects.selected]
    return list(dict.fromkeys(armature for armature in found if armature is not None))


def check_target(
    context: bpy.types.Context,
    armature: bpy.types.Object | None = None,
    *,
    options: PlacementOptions | None = None,
) -> tuple[bpy.types.Object | None, Target]:
    """The armature that will move (None for a new figure) and its bones, before anything is made.

    Args:
        context: With a scene and a view layer.
        armature: None for the selected one.
        options: How it is to be moved, where that is known.

    Raises:
        InputError: If it is not clear which one, if it is not one that can be moved (so), or if
            Blender is in a mode in which no figure can be made.
    """
    armature = chosen_armature(context, armature)
    rig = armature_to_rig(armature) if armature else new_figure(context.scene)
    target = _target(armature, rig)
    if options is not None:
        target.check(options)
    return armature, target


def chosen_armature(
    context: bpy.types.Context, armature: bpy.types.Object | None = None
) -> bpy.types.Object | None:
    """The armature that will move; None for a new figure.

    Raises:
        InputError: See `check_target`; whether its bones can be moved is not looked at.
    """
    armatures = [armature] if armature is not None else selected_armatures(context)
    if len(armatures) > 1:
        raise InputError("Several armatures are selected. Click the one that should move.")
    if armatures:
        check_writable(armatures[0])
        return armatures[0]
    if context.mode != "OBJECT":
        raise InputError("Switch to Object Mode first: a new figure cannot be made in this mode.")
    if not context.scene.is_editable:
        raise InputError("This scene is linked from another file; open a scene of this file.")
    return None


def _target(armature: bpy.types.Object | None, rig: Rig) -> Target:
    return Target.of(rig, bone_map_of(armature, rig))


def place_motion(
    context: bpy.types.Context,
    generated: GeneratedMotion,
    *,
    armature: bpy.types.Object | None = None,
    frame_start: int | None = None,
    frames: int | None = None,
    options: PlacementOptions | None = None,
    on_warning: OnWarning | None = None,
) -> bpy.types.Object:
    """The motion as a new Action on an armature, or on a new figure.

    The scene's last frame moves if the motion goes on longer.

    Args:
        context: With a scene and a view layer.
        generated: From `engine.generate`.
        armature: That is to move; None for the selected one, or a new figure where there is none.
        frame_start: Of the first key; None for the scene's first frame.
        frames: Exactly so many keyed frames; None takes the motion's length at the scene's rate.
        options: How it is put on the rig; None for the usual way.
        on_warning: Called with what the user should know though the motion is placed.

    Returns:
        The armature that moves.

    Raises:
        InputError: It cannot be placed; nothing is changed.
    """
    if generated.motion.skeleton.name != HUMANML3D.name:
        return _place_joint_for_joint(context, generated, armature, frame_start, frames, on_warning)
    options = options or PlacementOptions()
    armature, target = check_target(context, armature, options=options)
    scene = context.scene
    first = scene.frame_start if frame_start is None else frame_start
    free = free_pose(target, generated.motion, scene_rate(scene), frames, options)
    contacts = contact_spans(generated.motion) if options.foot_lock else ()
    contacts = resampled_spans(contacts, generated.motion.frames, free.frames)
    track = held_pose(target, free, contacts, options.travel)
    if generated.loop:
        track = closed(track)
    with _undone_on_error(context):
        if armature is None:
            armature = make_default_armature(context)
        made = rig_channels(armature, target, track, options)
        action = write_action(
            armature,
            made.channels,
            name=generated.prompt,
            frame_start=first,
            recipe={
                **recipe_of(generated),
                **({"switches_before": json.dumps(made.switches_before)} if target.family else {}),
            },
        )
        write_contacts(action, track.contacts, first)
        keep_free_pose(action, free, options)
        if generated.loop:
            repeat_action(armature, action)
    if on_warning is not None:
        for message in (locked_message(made.locked), held_message(armature, made.channels)):
            if message:
                on_warning(message)
    _show(scene, first, track)
    return armature


def _place_joint_for_joint(
    context: bpy.types.Context,
    generated: GeneratedMotion,
    armature: bpy.types.Object | None,
    frame_start: int | None,
    frames: int | None,
    on_warning: OnWarning | None,
) -> bpy.types.Object:
    """A motion of a skeleton that is no person's, on an armature that has its joints' bones."""
    scene, armature = context.scene, chosen_armature(context, armature)
    first = scene.frame_start if frame_start is None else frame_start
    rig = (
        armature_to_rig(armature)
        if armature
        else new_figure(scene, skeleton=generated.motion.skeleton)
    )
    track = motion_to_own_pose(generated.motion, rig, rate=scene_rate(scene), frames=frames)
    with _undone_on_error(context):
        if armature is None:
            armature = rig_to_armature(rig, context)
            armature.data.display_type = "OCTAHEDRAL"  # it has no body that would be seen
        channels, locked = pose_channels(armature, track)
        write_action(
            armature,
            channels,
            name=generated.prompt,
            frame_start=first,
            recipe=recipe_of(generated),
        )
    if locked and on_warning is not None:
        on_warning(locked_message(locked))
    _show(scene, first, track)
    return armature


def _show(scene: bpy.types.Scene, first: int, track: PoseTrack) -> None:
    scene.frame_end = max(scene.frame_end, first + track.frames - 1)
    scene.frame_set(scene.frame_current)


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
    action = armature.animation_data.action if armature.animation_data else None
    if action is None or not action.is_editable:
        raise InputError(f'"{armature.name}" has no Action of its own whose feet could be held.')
    free, options = kept_free_pose(action)
    target = _target(armature, armature_to_rig(armature))
    first = round(action.frame_range[0])
    contacts = read_contacts(action, first)
    track = held_pose(target, free, contacts, options.travel)
    made = rig_channels(armature, target, track, options)
    rewrite_curves(armature, _of_legs(made.channels, target), frame_start=first)
    context.scene.frame_set(context.scene.frame_current)
    return len(contacts)


def _of_legs(channels: list[Channel], target: Target) -> list[Channel]:
    """The channels of leg bones or controls, and of all that has a location."""
    joints = [f"{side}_{part}" for side in ("left", "right") for part in LEG]
    legs = {target.bone_map.bones[joint] for joint in joints if joint in target.bone_map.bones}
    if target.family is not None:
        legs = target.family.controls_of("feet")
    placed = {channel.bone for channel in channels if channel.path.endswith(".location")}
    return [channel for channel in channels if channel.bone in legs | placed]


def recipe_of(generated: GeneratedMotion) -> dict[str, Any]:
    """What is needed to make this motion again.

    `seconds` is how long the motion is; `length` tells whether that was asked for ("exact") or the
    model's own choice ("free").
    """
    return {
        "prompt": generated.prompt,
        "seed": int(generated.seed),
        "seconds": float(generated.motion.seconds),
        "length": "free" if generated.seconds is None else "exact",
        "guidance": float(generated.guidance),
        "temperature": float(generated.temperature),
        "model": generated.model_name,
        "model_sha256": generated.model_sha256,
        "parts": json.dumps([[part.prompt, part.seconds] for part in generated.parts]),
        "loop": generated.loop,
        "foot_lock": generated.foot_lock,
        "version": version(),
    }


@contextmanager
def _undone_on_error(context: bpy.types.Context) -> Iterator[None]:
    """Takes new armatures out again and selects what was selected, if anything goes wrong."""
    layer_objects, before = context.view_layer.objects, set(bpy.data.objects)
    active, selected = layer_objects.active, list(layer_objects.selected)
    try:
        yield
    except Exception:
        new = [object for object in bpy.data.objects if object not in before]
        for armature in [object for object in new if object.type == "ARMATURE"]:
            remove_armature(armature)
        for object in selected:
            object.select_set(True)
        layer_objects.active = active
        raise


def _armature_of(object: bpy.types.Object) -> bpy.types.Object | None:
    if object.type == "ARMATURE":
        return object
    return object.find_armature() if object.type == "MESH" else None
