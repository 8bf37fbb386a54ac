# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Rig": which bone is which joint.

Nothing is recognised while drawing: the panel shows the map that is kept with the armature, and a
button makes one.
"""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import PointerProperty, StringProperty

from ..engine.errors import T2MError
from ..engine.skeleton import HUMANML3D
from ..retarget.bone_map import READ_JOINTS, bone_map_from_json
from .armature import armature_to_rig
from .rig_map import (
    bone_map_of,
    forget_map,
    kept_bones,
    kept_text,
    recognise,
    set_bone,
    write_preset,
)
from .selection import selected_armatures
from .task import report_error
from .translations import iface, rpt, translated

# Rows of the panel: a label and the joint, sides below each other.
_ROWS = (
    ("Hips", "pelvis"),
    *((f"Spine {number}", f"spine{number}") for number in (1, 2, 3)),
    ("Neck", "neck"),
    ("Head", "head"),
    *(
        (f"{label} {side[0].upper()}", f"{side}_{joint}")
        for label, joint in (
            ("Collar", "collar"),
            ("Arm", "shoulder"),
            ("Forearm", "elbow"),
            ("Hand", "wrist"),
            ("Thigh", "hip"),
            ("Shin", "knee"),
            ("Foot", "ankle"),
            ("Toes", "foot"),
        )
        for side in ("left", "right")
    ),
)
_SURE = 0.8


def _joint_property(joint: str) -> object:
    """A bone's name that is read from the armature's map and written into it."""

    def read(self: bpy.types.PropertyGroup) -> str:
        return kept_bones(self.id_data).get(joint, ("", 0.0))[0]

    def write(self: bpy.types.PropertyGroup, bone: str) -> None:
        armature = self.id_data
        set_bone(armature, armature_to_rig(armature), joint, bone)

    return StringProperty(
        name=joint.replace("_", " ").title(),
        description="The bone that moves as this joint does; empty if the rig has none",
        get=read,
        set=write,
    )


class T2M_PG_rig(bpy.types.PropertyGroup):
    """A field for every joint; the values are in the map that is kept with the armature."""


T2M_PG_rig.__annotations__ = {joint: _joint_property(joint) for joint in HUMANML3D.joint_names}


class OnArmature:
    """Operators that work on the armature which would move."""

    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(selected_armatures(context)) == 1

    def execute(self, context: bpy.types.Context) -> set[str]:
        (armature,) = selected_armatures(context)
        try:
            self.report({"INFO"}, self.work(context, armature))
        except T2MError as error:
            return report_error(self, error)
        return {"FINISHED"}


class T2M_OT_recognise_rig(OnArmature, bpy.types.Operator):
    """Find out which bone is which joint, and keep it with the armature"""

    bl_idname = "t2m.recognise_rig"
    bl_label = "Recognise"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> str:
        found = recognise(armature, armature_to_rig(armature))
        for note in found.notes:
            self.report({"WARNING"}, translated(note))
        return rpt('"{}": {}, {} joints', armature.name, found.family, len(found.bones))


class T2M_OT_forget_rig(OnArmature, bpy.types.Operator):
    """Take the kept bones away; the armature is recognised whenever a motion is put on it"""

    bl_idname = "t2m.forget_rig"
    bl_label = "Forget Bones"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> str:
        forget_map(armature)
        return rpt('"{}" is recognised anew at each press', armature.name)


class T2M_OT_save_rig_preset(OnArmature, bpy.types.Operator):
    """Save these bone names as a preset, so that rigs like this one are recognised by them"""

    bl_idname = "t2m.save_rig_preset"
    bl_label = "Save as Preset"
    bl_options: ClassVar[set[str]] = set()

    title: StringProperty(name="Name", description="What the preset is called")  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.title = self.title or selected_armatures(context)[0].name
        return context.window_manager.invoke_props_dialog(self)

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> str:
        rig = armature_to_rig(armature)
        text = kept_text(armature)
        known = bone_map_from_json(text, rig) if text else bone_map_of(armature, rig)
        return rpt("Saved as {}", write_preset(known, self.title))


class T2M_PT_rig(bpy.types.Panel):
    """Joint by joint, the bone that plays it."""

    bl_label = "Rig"
    bl_order = 6
    bl_parent_id = "T2M_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "T2M"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        armatures = selected_armatures(context)
        if len(armatures) != 1:
            layout.label(text="Select an armature" if not armatures else "Select one armature")
            return
        (armature,) = armatures
        kept = kept_bones(armature)
        if not kept_text(armature):
            layout.operator(T2M_OT_recognise_rig.bl_idname, icon="ARMATURE_DATA")
            return
        _draw_bones(layout, armature, kept)
        row = layout.row(align=True)
        row.operator(T2M_OT_recognise_rig.bl_idname, text="Recognise Again", icon="FILE_REFRESH")
        row.operator(T2M_OT_save_rig_preset.bl_idname, text="", icon="PRESET_NEW")
        row.operator(T2M_OT_forget_rig.bl_idname, text="", icon="X")


def _draw_bones(
    layout: bpy.types.UILayout,
    armature: bpy.types.Object,
    kept: dict[str, tuple[str, float]],
) -> None:
    column = layout.column(align=True)
    for label, joint in _ROWS:
        bone, confidence = kept.get(joint, ("", 0.0))
        row = column.split(factor=0.26, align=True)
        row.label(text=label)
        parts = row.split(factor=0.74, align=True)
        field = parts.row(align=True)
        field.alert = joint in READ_JOINTS and bone not in armature.data.bones
        field.prop_search(armature.t2m_rig, joint, armature.data, "bones", text="", icon="NONE")
        sure = parts.row()
        sure.alignment = "RIGHT"
        sure.active = confidence < _SURE
        sure.label(text=f"{confidence:.0%}" if bone else "", translate=False)
    unsure = [joint for joint, (_, confidence) in kept.items() if confidence < _SURE]
    if unsure:
        said = iface("Look at the {} bones below {}", len(unsure), f"{_SURE:.0%}")
        layout.label(text=said, translate=False, icon="QUESTION")


def register() -> None:
    bpy.types.Object.t2m_rig = PointerProperty(type=T2M_PG_rig)


def unregister() -> None:
    del bpy.types.Object.t2m_rig
