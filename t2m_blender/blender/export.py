# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated motion as a file: .blend, .fbx, .glb or .bvh by the suffix. Main thread only.

On the bpy wheel every file begins empty. Inside a running Blender the figure is added to the scene
that is open, and taken out of it again after writing, so that the next file does not hold it too.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from mathutils import Matrix

from ..engine.errors import InputError, OutputError
from ..engine.files import new_path, unwritable
from .armature import remove_armature
from .placement import PlacementOptions, place_motion

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion


def write_motion(
    generated: GeneratedMotion,
    path: Path,
    *,
    frames: int | None = None,
    options: PlacementOptions | None = None,
) -> None:
    """Makes the add-on's figure move, and writes it.

    The file appears complete or not at all.

    Args:
        generated: From `engine.generate`.
        path: Where to; its suffix is one of `SUFFIXES` and its folder exists.
        frames: Exactly so many keyed frames; None takes the motion's length at the scene's rate.
        options: How it is put on the figure; None for the usual way.

    Raises:
        InputError: The suffix is not one of ours.
        OutputError: The file cannot be written there.
    """
    save = SUFFIXES.get(path.suffix.lower())
    if save is None:
        raise InputError(
            f"{path.name!r} has no suffix that can be written; use one of {' '.join(SUFFIXES)}."
        )
    with new_path(path) as temporary, quiet(), _own_figure() as context:
        armature = place_motion(context, generated, frames=frames, options=options)
        try:
            with _only_figure(context, armature):
                save(context, armature, temporary)
        except RuntimeError as error:
            raise unwritable(path, telling_line(error)) from error


def telling_line(error: Exception) -> str:
    """The line that matters of an operator's error, which may hold a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Location:")]
    return telling[-1].rstrip(".") if telling else type(error).__name__


def is_module() -> bool:
    """Whether this is the bpy wheel rather than a running Blender."""
    return not bpy.app.binary_path


@contextmanager
def _own_figure() -> Iterator[bpy.types.Context]:
    """A context in which nothing is selected, left as it was found."""
    if is_module():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.context.scene.frame_end = bpy.context.scene.frame_start  # grows to fit the motion
        yield bpy.context
        return
    context = bpy.context
    scene, view_layer = context.scene, context.view_layer
    active, selected = view_layer.objects.active, list(view_layer.objects.selected)
    mode = active.mode if active is not None else "OBJECT"
    in_mode = [object for object in view_layer.objects if object.mode == mode]
    objects, actions = set(bpy.data.objects), set(bpy.data.actions)
    frame_start, frame_end = scene.frame_start, scene.frame_end
    if mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    _select(view_layer, [])
    view_layer.objects.active = None
    try:
        yield context
    finally:
        new = [object for object in bpy.data.objects if object not in objects]
        for armature in [object for object in new if object.type == "ARMATURE"]:
            remove_armature(armature)
        for action in [action for action in bpy.data.actions if action not in actions]:
            bpy.data.actions.remove(action)
        scene.frame_start, scene.frame_end = frame_start, frame_end
        view_layer.objects.active = active
        if mode != "OBJECT":
            _select(view_layer, in_mode)  # Edit Mode and Pose Mode are entered by all selected
            bpy.ops.object.mode_set(mode=mode)
        _select(view_layer, selected)


def _select(view_layer: bpy.types.ViewLayer, objects: list[bpy.types.Object]) -> None:
    """Selects these objects and no other."""
    for object in view_layer.objects:
        object.select_set(object in objects)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what Blender and its exporters print away from standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        sys.stdout.flush()
        _flush_c_stdout()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _flush_c_stdout() -> None:
    """Empties the C library's own buffer, which would otherwise be printed later."""
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


def _save_blend(context: bpy.types.Context, armature: bpy.types.Object, path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, compress=True)


def _save_fbx(context: bpy.types.Context, armature: bpy.types.Object, path: Path) -> None:
    _last_as_long_as_motion(context.scene, armature)
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        object_types={"ARMATURE", "MESH"},
        add_leaf_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0.0,
    )


def _save_glb(context: bpy.types.Context, armature: bpy.types.Object, path: Path) -> None:
    _last_as_long_as_motion(context.scene, armature)
    bpy.ops.export_scene.gltf(
        filepath=str(path),
        export_format="GLB",
        use_selection=True,
        export_animation_mode="ACTIVE_ACTIONS",
        export_optimize_animation_size=False,
    )


def _save_bvh(context: bpy.types.Context, armature: bpy.types.Object, path: Path) -> None:
    _last_as_long_as_motion(context.scene, armature)
    # A BVH file is y-up, and Blender's exporter writes armature space as it is: turn the bones at
    # rest. Their keys are in their own axes, and stay right.
    armature.data.transform(Matrix.Rotation(-pi / 2, 4, "X"))
    armature.data.update_tag()
    with enabled("io_anim_bvh"):
        bpy.ops.export_anim.bvh(
            filepath=str(path),
            frame_start=context.scene.frame_start,
            frame_end=context.scene.frame_end,
            rotate_mode="NATIVE",
            root_transform_only=True,
        )


@contextmanager
def _only_figure(context: bpy.types.Context, armature: bpy.types.Object) -> Iterator[None]:
    """Selects the figure alone.

    A context without a window has no `selected_objects`, which exporters read: they are given it.
    """
    figure = [armature, *armature.children]
    for object in figure:
        object.select_set(True)
    context.view_layer.objects.active = armature
    with context.temp_override(selected_objects=figure, active_object=armature, object=armature):
        yield


def _last_as_long_as_motion(scene: bpy.types.Scene, armature: bpy.types.Object) -> None:
    """Exporters write the scene's frames: let those be the motion's."""
    first, last = armature.animation_data.action.frame_range
    scene.frame_start, scene.frame_end = round(first), round(last)


@contextmanager
def enabled(add_on: str) -> Iterator[None]:
    """One of Blender's own add-ons, enabled for the moment if it is not (the BVH one in 5.0)."""
    import addon_utils

    was_enabled = addon_utils.check(add_on)[1]
    if not was_enabled and addon_utils.enable(add_on) is None:
        raise OutputError(
            f'Blender\'s own add-on "{add_on}" cannot be enabled here; choose another format.'
        )
    try:
        yield
    finally:
        if not was_enabled:
            addon_utils.disable(add_on)


SUFFIXES: dict[str, Callable[[bpy.types.Context, bpy.types.Object, Path], None]] = {
    ".blend": _save_blend,
    ".fbx": _save_fbx,
    ".glb": _save_glb,
    ".bvh": _save_bvh,
}
