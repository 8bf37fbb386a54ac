# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel's fields begin with, as the preferences say. Main thread only.

A scene keeps its own values. Fields that it has never set take those of the preferences when it is
loaded or made; where the preferences say nothing, nothing is written into the scene.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import bpy

from .properties import Habits
from .transfer_panel import PlacementHabits
from .translations import rpt

DEFAULTED = (*Habits.__annotations__, *PlacementHabits.__annotations__)
"""Names of the fields."""


class T2M_PG_defaults(Habits, PlacementHabits, bpy.types.PropertyGroup):
    """What new scenes begin with."""


def use_defaults(scene: bpy.types.Scene, *, everywhere: bool = False) -> None:
    """Gives a scene the defaults of the preferences.

    Args:
        scene: That is changed.
        everywhere: Also where the scene has values of its own, and where the preferences say
            nothing.
    """
    defaults = _defaults()
    if defaults is None:
        return
    for fields, name in _fields(scene):
        if everywhere or (defaults.is_property_set(name) and not fields.is_property_set(name)):
            setattr(fields, name, getattr(defaults, name))


def save_defaults(scene: bpy.types.Scene) -> None:
    """Makes the fields of a scene the defaults."""
    defaults = _defaults()
    for fields, name in _fields(scene):
        setattr(defaults, name, getattr(fields, name))
    bpy.context.preferences.is_dirty = True


def _fields(scene: bpy.types.Scene) -> Iterator[tuple[bpy.types.PropertyGroup, str]]:
    for fields, habits in ((scene.t2m, Habits), (scene.t2m_placement, PlacementHabits)):
        yield from ((fields, name) for name in habits.__annotations__)


def _defaults() -> T2M_PG_defaults | None:
    from .preferences import preferences

    chosen = preferences()
    return chosen.defaults if chosen is not None else None


class _WithDefaults:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _defaults() is not None and context.scene.is_editable


class T2M_OT_save_defaults(_WithDefaults, bpy.types.Operator):
    """Let other scenes begin with the fields as they are here: seed lock, transfer, freedom ..."""

    bl_idname = "t2m.save_defaults"
    bl_label = "Save as Defaults"

    def execute(self, context: bpy.types.Context) -> set[str]:
        save_defaults(context.scene)
        self.report({"INFO"}, rpt("Other scenes begin with these fields now"))
        return {"FINISHED"}


class T2M_OT_use_defaults(_WithDefaults, bpy.types.Operator):
    """Set the fields of this scene to your defaults"""

    bl_idname = "t2m.use_defaults"
    bl_label = "Use Defaults"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        use_defaults(context.scene, everywhere=True)
        return {"FINISHED"}


@bpy.app.handlers.persistent
def _use_in_file(*_: object) -> None:
    for scene in bpy.data.scenes:
        if scene.is_editable:
            use_defaults(scene)


def register() -> None:
    bpy.app.handlers.load_post.append(_use_in_file)
    if hasattr(bpy.data, "scenes"):  # not while Blender starts; then the file is loaded after us
        _use_in_file()


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_use_in_file)


CLASSES = (T2M_OT_save_defaults, T2M_OT_use_defaults)
