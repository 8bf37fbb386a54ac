# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "T2M" of the 3D viewport: what is asked for. Drawing looks nothing up that is not
at hand.
"""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

import bpy

from . import defaults, operators, task
from . import take_operators as on_takes
from .models import computing
from .preferences import preferences
from .rig_map import kept_family
from .rig_panel import T2M_OT_recognise_rig
from .selection import selected_armatures
from .translations import iface, translated

_EXAMPLES = (
    "a person walks forward and waves",
    "a person runs in a circle",
    "a person jumps twice",
    "a person sits down and stands up again",
    "a person kicks with the right leg",
    "a person dances",
)
_HISTORY = 12  # sentences in the menu


class InTab:
    """A panel of the tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "T2M"


class SubPanel(InTab):
    bl_parent_id = "T2M_PT_main"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}


class T2M_MT_prompts(bpy.types.Menu):
    """Sentences that were used in this file, and examples."""

    bl_label = "Prompts"

    def draw(self, context: bpy.types.Context) -> None:
        used = dict.fromkeys(
            str(action["t2m_prompt"]) for action in bpy.data.actions if "t2m_prompt" in action
        )
        for title, sentences in (
            (iface("Used"), list(used)[-_HISTORY:]),
            (iface("Examples"), _EXAMPLES),
        ):
            if sentences:
                self.layout.label(text=title, translate=False)
            for sentence in sentences:
                use = self.layout.operator(
                    operators.T2M_OT_set_prompt.bl_idname, text=sentence, translate=False
                )
                use.prompt = sentence


class T2M_PT_main(InTab, bpy.types.Panel):
    """Prompt, length, seed and the button."""

    bl_label = "Text to Motion"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.t2m
        _draw_prompts(layout, settings)
        fields = layout.column()
        fields.use_property_split = True
        fields.use_property_decorate = False
        fields.prop(settings, "length")
        if settings.length in ("SECONDS", "FRAMES"):
            fields.prop(settings, settings.length.lower())
        fields.prop(settings, "loop")
        row = fields.row(align=True)
        seed = row.row(align=True)
        seed.active = settings.seed_locked
        seed.prop(settings, "seed")
        icon = "LOCKED" if settings.seed_locked else "UNLOCKED"
        row.prop(settings, "seed_locked", text="", icon=icon)
        row.operator(operators.T2M_OT_new_seed.bl_idname, text="", icon="FILE_REFRESH")
        fields.prop(settings, "takes")
        _draw_target(fields, context)
        _draw_button(layout)


class T2M_PT_where(SubPanel, bpy.types.Panel):
    """Where the motion goes."""

    bl_label = "Where"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.t2m
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "where")
        armatures = selected_armatures(context)
        data = armatures[0].animation_data if len(armatures) == 1 else None
        strip = layout.column()
        strip.active = settings.where == "STRIP"
        if data is not None:
            strip.prop_search(settings, "track", data, "nla_tracks", icon="NLA")
        else:
            strip.prop(settings, "track", icon="NLA")
        blend = strip.column(align=True)
        blend.prop(settings, "blend_in")
        blend.prop(settings, "blend_out")
        layout.operator(on_takes.T2M_OT_push_down.bl_idname, icon="NLA_PUSHDOWN")


class T2M_PT_advanced(SubPanel, bpy.types.Panel):
    """How freely the model draws, and which model it is."""

    bl_label = "Advanced"
    bl_order = 5

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.t2m
        layout.use_property_split = True
        layout.use_property_decorate = False
        words = layout.column()
        words.active = not settings.use_numbers
        words.prop(settings, "closeness")
        words.prop(settings, "variety")
        layout.prop(settings, "use_numbers")
        if settings.use_numbers:
            layout.prop(settings, "guidance")
            layout.prop(settings, "temperature")
        layout.prop(settings, "model")
        machine = preferences()
        if machine is not None:
            layout.prop(machine, "device")
        row = layout.row(align=True)
        row.operator(defaults.T2M_OT_use_defaults.bl_idname, icon="LOOP_BACK")
        row.operator(defaults.T2M_OT_save_defaults.bl_idname, icon="PREFERENCES")
        info = layout.column(align=True)
        info.active = False
        for words in computing():
            info.label(text=translated(words), translate=False)


def _draw_prompts(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    row = layout.row(align=True)
    row.prop(settings, "prompt", text="", placeholder="A person ...")
    row.menu(T2M_MT_prompts.__name__, text="", icon="DOWNARROW_HLT")
    row.operator(operators.T2M_OT_add_prompt.bl_idname, text="", icon="ADD")
    rows = layout.column(align=True)
    for index, part in enumerate(settings.next_prompts):
        row = rows.row(align=True)
        row.prop(part, "prompt", text="", placeholder="Then ...")
        row.prop(part, "exact", text="", icon="TIME")
        if part.exact:
            seconds = row.row(align=True)
            seconds.ui_units_x = 3
            seconds.prop(part, "seconds", text="")
        remove = row.operator(operators.T2M_OT_remove_prompt.bl_idname, text="", icon="X")
        remove.index = index


def _draw_target(fields: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Which armature will move, and as what it was recognised."""
    armatures = selected_armatures(context)
    split = fields.split(factor=0.4)
    name = split.row()
    name.alignment = "RIGHT"
    name.label(text="Target")
    row = split.row(align=True)
    if not armatures:
        row.label(text="New figure", icon="ADD")
    elif len(armatures) > 1:
        row.label(text="Several armatures", icon="ERROR")
    else:
        family, score = kept_family(armatures[0])
        row.label(text=armatures[0].name, icon="OUTLINER_OB_ARMATURE", translate=False)
        row.operator(T2M_OT_recognise_rig.bl_idname, text="", icon="VIEWZOOM")
        if family:
            split = fields.split(factor=0.4)
            split.label()
            said = iface("{}, {} sure", family.replace("_", " ").title(), f"{score:.0%}")
            split.label(text=said, translate=False)


def _draw_button(layout: bpy.types.UILayout) -> None:
    """The button; while it works, how far that is; then what came of it."""
    running, notice = task.Session.running, task.Session.notice
    if running is not None:
        row = layout.row(align=True)
        row.scale_y = 1.6
        stopping = running.stopping.is_set()
        text = iface("{} of {}", running.done, running.most or "?")
        if stopping:
            text = iface("Stopping")
        row.progress(factor=running.share, text=text, translate=False)
        row.operator(operators.T2M_OT_cancel.bl_idname, text="", icon="CANCEL")
        return
    button = layout.row()
    button.scale_y = 1.6
    button.operator(operators.T2M_OT_generate.bl_idname, icon="ARMATURE_DATA")
    if notice is None:
        return
    box = layout.column(align=True)
    box.alert = bool(notice.details)
    for line in wrap(notice.text, 44):
        box.label(text=line, translate=False)
    if notice.details:
        layout.operator(operators.T2M_OT_copy_details.bl_idname, icon="COPYDOWN")
    if task.Session.waiting is not None:
        row = layout.row(align=True)
        row.operator(operators.T2M_OT_place_waiting.bl_idname, icon="FILE_REFRESH")
        row.operator(operators.T2M_OT_discard_waiting.bl_idname, icon="TRASH")


CLASSES = (T2M_MT_prompts, T2M_PT_main, T2M_PT_where, T2M_PT_advanced)
