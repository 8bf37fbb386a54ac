# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene in which a rig of the user's stands, opened to move it. Main thread only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ..engine.errors import InputError
from ..retarget.bone_map import map_bones
from .armature import armature_to_rig
from .surroundings import enabled, is_module, telling_line

if TYPE_CHECKING:
    from ..recipe import RigFile

__all__ = ["armature_in_scene", "body_of", "opened"]


@contextmanager
def opened(file: Path) -> Iterator[bpy.types.Context]:
    """The rig's file, in place of what was open.

    Raises:
        InputError: It is damaged, or of another kind.
    """
    was_open = bpy.data.filepath
    try:
        if file.suffix.lower() == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(file.resolve()), load_ui=False)
        else:
            _empty()
            _import(file)
    except (RuntimeError, OSError, ValueError, LookupError, TypeError, struct.error) as error:
        raise InputError(
            f"{file.name} cannot be read ({telling_line(error)}); it may be damaged or of a newer "
            "version."
        ) from error
    context = bpy.context
    windows = context.window_manager.windows
    try:
        # what comes with a file has a window, but not in the context; exporters need one
        with context.temp_override(window=windows[0]) if windows else nullcontext():
            yield context
    finally:
        if not is_module():
            if was_open:
                bpy.ops.wm.open_mainfile(filepath=was_open, load_ui=False)
            else:
                bpy.ops.wm.read_homefile(load_ui=False)


def armature_in_scene(scene: bpy.types.Scene, rig: RigFile) -> bpy.types.Object:
    """The armature that a rig names, or the only one that is a person.

    Raises:
        InputError: There is none, or several.
    """
    armatures = [item for item in scene.objects if item.type == "ARMATURE"]
    names = ", ".join(item.name for item in armatures)
    if rig.object is not None:
        named = [item for item in armatures if item.name == rig.object]
        if not named:
            has = f"its armatures are {names}" if names else "it has no armature"
            raise InputError(
                f"There is no armature {rig.object} in {rig.file or 'the scene'}: {has}."
            )
        return named[0]
    if not armatures:
        raise InputError(f"{rig} has no armature, so there is nothing in it to move.")
    people = [item for item in armatures if len(armatures) == 1 or _is_person(item)]
    if len(people) != 1:
        raise InputError(f"{rig} has several armatures: name one, as {rig}:{armatures[0].name}.")
    return people[0]


def body_of(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """What belongs to an armature: its children, and the meshes that it deforms."""
    deformed = [
        item
        for item in armature.users_scene[0].objects
        if any(getattr(modifier, "object", None) == armature for modifier in item.modifiers)
    ]
    return list(dict.fromkeys([*armature.children_recursive, *deformed]))


def _is_person(armature: bpy.types.Object) -> bool:
    try:
        map_bones(armature_to_rig(armature))
    except InputError:
        return False
    return True


def _empty() -> None:
    """An empty file; in a running Blender the add-ons stay."""
    if is_module():
        bpy.ops.wm.read_factory_settings(use_empty=True)
    else:
        bpy.ops.wm.read_homefile(use_empty=True, load_ui=False)
    bpy.context.scene.frame_end = bpy.context.scene.frame_start  # grows to fit the motion


def _import(file: Path) -> None:
    if file.suffix.lower() == ".fbx":
        with enabled("io_scene_fbx"):
            bpy.ops.import_scene.fbx(filepath=str(file))
    else:
        bpy.ops.import_scene.gltf(filepath=str(file))
