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
from ..engine.feet import contact_spans, resampled_spans
from ..engine.skeleton import HUMANML3D
from ..retarget.closing import closed
from ..retarget.joint_for_joint import motion_to_own_pose
from ..retarget.rig import PoseTrack
from .action import repeat_action, write_action
from .armature import (
    armature_to_rig,
    make_default_armature,
    new_figure,
    remove_armature,
    rig_to_armature,
)
from .channels import locked_message, pose_channels
from .contacts import write_contacts
from .rig_keys import (
    PlacementOptions,
    free_pose,
    held_pose,
    keep_free_pose,
    rig_channels,
)
from .rig_warnings import warnings_of
from .selection import check_target, chosen_armature, scene_rate

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion

OnWarning = Callable[[str], None]


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
    _show(scene, first, track)
    if on_warning is not None:
        for message in warnings_of(context, armature, target, track, made, first):
            on_warning(message)
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
