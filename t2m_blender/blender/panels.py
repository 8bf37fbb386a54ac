# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "T2M" of the 3D viewport. Drawing looks nothing up that is not at hand."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

import bpy

from . import edit_operators, operators, task
from . import take_operators as on_takes
from .action import current_action
from .assets import T2M_OT_mark_asset
from .models import computing
from .nla import chosen_strip
from .placement import lone_armature, selected_armatures
from .preferences import preferences
from .rig_map import kept_family
from .rig_panel import T2M_OT_recognise_rig

_EXAMPLES = (
    "a person walks forward and waves",
    "a person runs in a circle",
    "a person jumps twice",
    "a person sits down and stands up again",
    "a person kicks with the right leg",
    "a person dances",
)
_HISTORY = 12  # sentences in the menu


class _InTab:
    """A panel of the tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "T2M"


class _SubPanel(_InTab):
    bl_parent_id = "T2M_PT_main"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}


class T2M_MT_prompts(bpy.types.Menu):
    """Sentences that were used in this file, and examples."""

    bl_label = "Prompts"

    def draw(self, context: bpy.types.Context) -> None:
        used = dict.fromkeys(
            str(action["t2m_prompt"]) for action in bpy.data.actions if "t2m_prompt" in action
        )
        for title, sentences in (("Used", list(used)[-_HISTORY:]), ("Examples", _EXAMPLES)):
            if sentences:
                self.layout.label(text=title)
            for sentence in sentences:
                use = self.layout.operator(
                    operators.T2M_OT_set_prompt.bl_idname, text=sentence, translate=False
                )
                use.prompt = sentence


class T2M_PT_main(_InTab, bpy.types.Panel):
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


class T2M_PT_where(_SubPanel, bpy.types.Panel):
    """Where the motion goes."""

    bl_label = "Where"

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


class T2M_PT_takes(_SubPanel, bpy.types.Panel):
    """Variations to choose from."""

    bl_label = "Takes"
    bl_options: ClassVar[set[str]] = set()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = lone_armature(context)
        return armature is not None and len(armature.t2m_takes) > 0

    def draw(self, context: bpy.types.Context) -> None:
        (armature,) = selected_armatures(context)
        playing, _ = current_action(armature)
        rows = self.layout.column(align=True)
        for index, take in enumerate(armature.t2m_takes):
            row = rows.row(align=True)
            shown = take.action is not None and take.action == playing
            name = f"Seed {take.action.get('t2m_seed', '?')}" if take.action else "(deleted)"
            for operator, text, icon in (
                (on_takes.T2M_OT_show_take, name, "PLAY"),
                (on_takes.T2M_OT_keep_take, "", "CHECKMARK"),
                (on_takes.T2M_OT_discard_take, "", "TRASH"),
            ):
                idname = operator.bl_idname
                button = row.operator(idname, text=text, icon=icon, depress=shown and bool(text))
                button.index = index
            row.label(text=f"{100 * take.slide:.0f} cm/s")
        note = self.layout.row()
        note.active = False
        note.label(text="Best first: how fast planted feet slide")
        self.layout.operator(on_takes.T2M_OT_discard_takes.bl_idname, icon="TRASH")


class T2M_PT_edit(_SubPanel, bpy.types.Panel):
    """The motion goes on, or a part of it is made anew."""

    bl_label = "Continue and Repair"

    def draw(self, context: bpy.types.Context) -> None:
        scene, column = context.scene, self.layout.column(align=True)
        column.label(text="As the prompt above says:")
        column.operator(edit_operators.T2M_OT_continue.bl_idname, icon="FRAME_NEXT")
        column.operator(edit_operators.T2M_OT_repair.bl_idname, icon="TOOL_SETTINGS")
        note = column.column()
        note.active = False
        if scene.use_preview_range:
            first, last = scene.frame_preview_start, scene.frame_preview_end
            note.label(text=f"Repairs frames {first} to {last}")
        else:
            note.label(text="Repairs the selected keys' range")


class T2M_PT_recipe(_SubPanel, bpy.types.Panel):
    """What was generated, to be made again with another sentence."""

    bl_label = "Regenerate"

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


class T2M_PT_advanced(_SubPanel, bpy.types.Panel):
    """How freely the model draws, and which model it is."""

    bl_label = "Advanced"

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
        info = layout.column(align=True)
        info.active = False
        for words in computing():
            info.label(text=words)


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
            split.label(text=f"{family.replace('_', ' ').title()}, {score:.0%} sure")


def _draw_button(layout: bpy.types.UILayout) -> None:
    """The button; while it works, how far that is; then what came of it."""
    running, notice = task.Session.running, task.Session.notice
    if running is not None:
        row = layout.row(align=True)
        row.scale_y = 1.6
        stopping = running.stopping.is_set()
        text = "Stopping" if stopping else f"{running.done} of {running.most or '?'}"
        row.progress(factor=running.share, text=text)
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


CLASSES = (
    T2M_MT_prompts,
    T2M_PT_main,
    T2M_PT_takes,
    T2M_PT_where,
    T2M_PT_edit,
    T2M_PT_recipe,
    T2M_PT_advanced,
)
