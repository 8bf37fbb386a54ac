# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated motion into a scene: onto the armature that is meant, or onto a new figure.

Everything that can fail is done before the scene is changed. Main thread only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bpy

from .. import version
from ..engine.errors import InputError
from ..engine.feet import contact_spans
from ..engine.motion import Motion
from ..retarget.bone_map import BoneMap, map_bones
from ..retarget.control_rig import ControlRig, control_poses, control_rig_of, joint_rig
from ..retarget.rig import PoseTrack, Rig
from ..retarget.solve import motion_to_pose
from ..retarget.travel import Travel
from .action import check_writable, write_action
from .armature import armature_to_rig, make_default_armature, new_figure, remove_armature
from .channels import Channel, locked_message, pose_channels
from .contacts import write_contacts
from .control_keys import control_track, switch_channels

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion

OnWarning = Callable[[str], None]


@dataclass(frozen=True)
class PlacementOptions:
    """How a motion is put on a rig.

    Attributes:
        foot_lock: Planted feet stand still.
        travel: Where the way over the floor goes: "hips", "root" (the root bone) or "none".
        ik: Limbs of a control rig that are keyed by IK: "hands", "feet".
    """

    foot_lock: bool = True
    travel: Travel = "hips"
    ik: frozenset[str] = frozenset()


def scene_rate(scene: bpy.types.Scene) -> float:
    """Frames a second of the scene."""
    return float(scene.render.fps / scene.render.fps_base)


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


def check_target(context: bpy.types.Context) -> tuple[bpy.types.Object | None, Rig]:
    """The armature that will move (None for a new figure) and its rig, before anything is made.

    Raises:
        InputError: If it is not clear which one, if it is not one that can be moved, or if Blender
            is in a mode in which no figure can be made.
    """
    armatures = selected_armatures(context)
    if len(armatures) > 1:
        raise InputError("Several armatures are selected. Click the one that should move.")
    if armatures:
        armature = armatures[0]
        check_writable(armature)
        rig = armature_to_rig(armature)
        map_bones(rig)
        return armature, rig
    if context.mode != "OBJECT":
        raise InputError("Switch to Object Mode first: a new figure cannot be made in this mode.")
    if not context.scene.is_editable:
        raise InputError("This scene is linked from another file; open a scene of this file.")
    return None, new_figure(context.scene)


def place_motion(
    context: bpy.types.Context,
    generated: GeneratedMotion,
    *,
    frames: int | None = None,
    options: PlacementOptions | None = None,
    on_warning: OnWarning | None = None,
) -> bpy.types.Object:
    """The motion as a new Action on the chosen armature, or on a new figure.

    Keys begin at the scene's first frame; its last frame moves if the motion is longer.

    Args:
        context: With a scene and a view layer.
        generated: From `engine.generate`.
        frames: Exactly so many keyed frames; None takes the motion's length at the scene's rate.
        options: How it is put on the rig; None for the usual way.
        on_warning: Called with what the user should know though the motion is placed.

    Returns:
        The armature that moves.

    Raises:
        InputError: It cannot be placed; nothing is changed.
    """
    options = options or PlacementOptions()
    armature, rig = check_target(context)
    scene = context.scene
    bone_map = map_bones(rig)
    family = control_rig_of(rig)
    track = _solved(generated.motion, rig, bone_map, family, scene_rate(scene), frames, options)
    with _undone_on_error(context):
        if armature is None:
            armature = make_default_armature(context)
        recipe = recipe_of(generated)
        switched: list[Channel] = []
        moving = track
        if family is not None:
            poses = control_poses(
                family, rig, bone_map, track, ik=options.ik, root_motion=options.travel == "root"
            )
            moving = control_track(armature, poses, track.rate)
            switched, before = switch_channels(armature, poses.switches)
            recipe["switches_before"] = json.dumps(before)
        channels, locked = pose_channels(armature, moving)
        action = write_action(
            armature,
            [*channels, *switched],
            name=generated.prompt,
            frame_start=scene.frame_start,
            recipe=recipe,
        )
        write_contacts(action, track.contacts, scene.frame_start)
    if locked and on_warning is not None:
        on_warning(locked_message(locked))
    scene.frame_end = max(scene.frame_end, scene.frame_start + track.frames - 1)
    scene.frame_set(scene.frame_current)
    return armature


def _solved(
    motion: Motion,
    rig: Rig,
    bone_map: BoneMap,
    family: ControlRig | None,
    rate: float,
    frames: int | None,
    options: PlacementOptions,
) -> PoseTrack:
    """The motion on the rig's bones, or on the joints that the controls of a control rig drive.

    A control rig's root control stands above its joints: `control_poses` gives it the way.
    """
    solved_on = rig if family is None else joint_rig(rig, bone_map)
    travel = "hips" if family is not None and options.travel == "root" else options.travel
    return motion_to_pose(
        motion,
        solved_on,
        bone_map,
        rate=rate,
        frames=frames,
        contacts=contact_spans(motion) if options.foot_lock else None,
        travel=travel,
    )


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
