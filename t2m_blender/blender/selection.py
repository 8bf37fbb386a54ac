# SPDX-License-Identifier: GPL-3.0-or-later
"""Which armature is meant, and whether it can be moved now. Main thread only."""

from __future__ import annotations

import bpy

from ..engine.errors import InputError
from ..retarget.rig import Rig
from .action import check_writable
from .armature import armature_to_rig, new_figure
from .rig_keys import PlacementOptions, Target
from .rig_map import bone_map_of


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
    target = target_of(armature, rig)
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


def target_of(armature: bpy.types.Object | None, rig: Rig) -> Target:
    """The rig that moves, by the bones kept with its armature or recognised now.

    Raises:
        InputError: See `rig_map.bone_map_of`.
    """
    return Target.of(armature, rig, bone_map_of(armature, rig))


def _armature_of(object: bpy.types.Object) -> bpy.types.Object | None:
    if object.type == "ARMATURE":
        return object
    return object.find_armature() if object.type == "MESH" else None
