# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated motion as a file: .blend, .fbx, .glb, .bvh or .usdc by the suffix. Main thread only.

On the bpy wheel every file begins empty. Inside a running Blender the figure is added to the scene
that is open, and taken out of it again after writing, so that the next file does not hold it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from mathutils import Matrix

from ..engine.errors import InputError, RuntimeMissingError
from ..engine.files import new_path, unwritable
from .armature import remove_armature
from .placement import PlacementOptions, place_motion
from .rig_scene import armature_in_scene, body_of, opened
from .surroundings import enabled, is_module, quiet, telling_line

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion
    from ..recipe import RigFile


def check_format(suffix: str) -> None:
    """Whether this Blender writes such files.

    Raises:
        RuntimeMissingError: It was built without.
    """
    if suffix == ".usdc" and not bpy.app.build_options.usd:
        raise RuntimeMissingError(
            "This Blender was built without USD: choose another format, or take the Blender of "
            "blender.org."
        )


def write_motion(
    generated: GeneratedMotion,
    path: Path,
    *,
    frames: int | None = None,
    options: PlacementOptions | None = None,
    rig: RigFile | None = None,
) -> None:
    """Makes the add-on's figure move, or a rig of the user's, and writes it.

    The file appears complete or not at all.

    Args:
        generated: From `engine.generate`.
        path: Where to; its suffix is one of `SUFFIXES` and its folder exists.
        frames: Exactly so many keyed frames; None takes the motion's length at the scene's rate.
        options: How it is put on the figure; None does what the motion's recipe says.
        rig: Whose file is opened for as long as this takes; a file that it was opened in place of
            is opened again, as it was saved.

    Raises:
        InputError: The suffix is not one of ours, or the rig cannot be found, read or moved.
        OutputError: The file cannot be written there.
    """
    save = SUFFIXES.get(path.suffix.lower())
    if save is None:
        raise InputError(
            f"{path.name!r} has no suffix that can be written; use one of {' '.join(SUFFIXES)}."
        )
    if options is None:
        travel = "none" if generated.in_place else "hips"
        options = PlacementOptions(foot_lock=generated.foot_lock, travel=travel)
    figure = _own_figure() if rig is None or rig.file is None else opened(rig.file)
    with new_path(path) as temporary, quiet(), figure as context:
        if rig is not None:
            chosen = armature_in_scene(context.scene, rig)
            _select(context.view_layer, [chosen])
            context.view_layer.objects.active = chosen
        armature = place_motion(context, generated, frames=frames, options=options)
        try:
            with _only_figure(context, armature):
                save(context, armature, temporary)
        except RuntimeError as error:
            raise unwritable(path, telling_line(error)) from error


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


def _save_usd(context: bpy.types.Context, armature: bpy.types.Object, path: Path) -> None:
    _last_as_long_as_motion(context.scene, armature)
    bpy.ops.wm.usd_export(
        filepath=str(path),
        selected_objects_only=True,
        export_animation=True,
        export_armatures=True,
        export_materials=False,
    )


@contextmanager
def _only_figure(context: bpy.types.Context, armature: bpy.types.Object) -> Iterator[None]:
    """Selects the figure alone.

    A context without a window has no `selected_objects`, which exporters read: they are given it.
    """
    figure = [armature, *body_of(armature)]
    for object in figure:
        object.select_set(True)
    context.view_layer.objects.active = armature
    with context.temp_override(selected_objects=figure, active_object=armature, object=armature):
        yield


def _last_as_long_as_motion(scene: bpy.types.Scene, armature: bpy.types.Object) -> None:
    """Exporters write the scene's frames: let those be the motion's."""
    first, last = armature.animation_data.action.frame_range
    scene.frame_start, scene.frame_end = round(first), round(last)


SUFFIXES: dict[str, Callable[[bpy.types.Context, bpy.types.Object, Path], None]] = {
    ".blend": _save_blend,
    ".fbx": _save_fbx,
    ".glb": _save_glb,
    ".bvh": _save_bvh,
    ".usdc": _save_usd,
}
