# SPDX-License-Identifier: GPL-3.0-or-later
"""Sub-panels of the tab "T2M" on motion that is there: takes, going on and repairing, recipes."""

from __future__ import annotations

from typing import ClassVar

import bpy

from . import edit_operators
from . import take_operators as on_takes
from .action import current_action
from .assets import T2M_OT_mark_asset
from .nla import chosen_strip
from .panels import SubPanel
from .selection import lone_armature, selected_armatures
from .take_pictures import icon_of
from .translations import iface

_PICTURE = 3.4  # of a button's height


class T2M_PT_takes(SubPanel, bpy.types.Panel):
    """Variations to choose from."""

    bl_label = "Takes"
    bl_order = 1
    bl_options: ClassVar[set[str]] = set()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = lone_armature(context)
        return armature is not None and len(armature.t2m_takes) > 0

    def draw(self, context: bpy.types.Context) -> None:
        (armature,) = selected_armatures(context)
        playing, _ = current_action(armature)
        for index, take in enumerate(armature.t2m_takes):
            box = self.layout.box().row()
            icon = icon_of(take.picture)
            if icon:
                picture = box.row()
                picture.ui_units_x = _PICTURE
                picture.template_icon(icon_value=icon, scale=_PICTURE)
            shown = take.action is not None and take.action == playing
            _draw_take(box.column(), index, take, shown=shown)
        note = self.layout.row()
        note.active = False
        note.label(text="Cleanest first")
        self.layout.operator(on_takes.T2M_OT_discard_takes.bl_idname, icon="TRASH")


class T2M_PT_edit(SubPanel, bpy.types.Panel):
    """The motion goes on, or a part of it is made anew."""

    bl_label = "Continue and Repair"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        scene, column = context.scene, self.layout.column(align=True)
        column.label(text="As the prompt above says:")
        column.operator(edit_operators.T2M_OT_continue.bl_idname, icon="FRAME_NEXT")
        column.operator(edit_operators.T2M_OT_repair.bl_idname, icon="TOOL_SETTINGS")
        note = column.column()
        note.active = False
        if scene.use_preview_range:
            first, last = scene.frame_preview_start, scene.frame_preview_end
            note.label(text=iface("Repairs frames {} to {}", first, last), translate=False)
        else:
            note.label(text="Repairs the selected keys' range")


class T2M_PT_recipe(SubPanel, bpy.types.Panel):
    """What was generated, to be made again with another sentence."""

    bl_label = "Regenerate"
    bl_order = 4

    def draw(self, context: bpy.types.Context) -> None:
        armatures = selected_armatures(context)
        strip = chosen_strip(armatures[0]) if len(armatures) == 1 else None
        found = [(current_action(armature)[0], False) for armature in armatures[:1]]
        found += [(strip.action, True)] if strip is not None else []
        shown = False
        for action, of_strip in found:
            if action is not None and "t2m_prompt" in action:
                _draw_recipe(self.layout, action, of_strip=of_strip)
                shown = True
        if not shown:
            self.layout.label(text="Select what was generated", icon="INFO")


def _draw_take(
    column: bpy.types.UILayout, index: int, take: bpy.types.PropertyGroup, *, shown: bool
) -> None:
    seed = take.action.get("t2m_seed", "?") if take.action else None
    name = iface("Seed {}", seed) if take.action else iface("(deleted)")
    row = column.row(align=True)
    for operator, text, icon in (
        (on_takes.T2M_OT_show_take, name, "PLAY"),
        (on_takes.T2M_OT_keep_take, "", "CHECKMARK"),
        (on_takes.T2M_OT_discard_take, "", "TRASH"),
    ):
        lit = shown and bool(text)
        row.operator(
            operator.bl_idname, text=text, icon=icon, depress=lit, translate=False
        ).index = index
    label = column.row()
    label.active = False
    clean, slide = f"{take.cleanness:.0%}", f"{100.0 * take.slide:.0f}"
    label.label(text=iface("{} clean, slides {} cm/s", clean, slide), translate=False)


def _draw_recipe(layout: bpy.types.UILayout, action: bpy.types.Action, *, of_strip: bool) -> None:
    box = layout.box()
    icon = "NLA" if of_strip else "ACTION"
    box.label(text=action.name, icon=icon, translate=False)
    box.prop(action, "t2m_prompt_edit", text="")
    row = box.row(align=True)
    for operator, icon in (
        (on_takes.T2M_OT_regenerate, "FILE_REFRESH"),
        (on_takes.T2M_OT_copy_recipe, "COPYDOWN"),
    ):
        row.operator(operator.bl_idname, icon=icon).strip = of_strip
    if not of_strip:
        box.operator(T2M_OT_mark_asset.bl_idname, icon="ASSET_MANAGER")


CLASSES = (T2M_PT_takes, T2M_PT_edit, T2M_PT_recipe)
