# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "T2M" of the 3D viewport."""

from __future__ import annotations

import bpy

from .operators import T2M_OT_generate, computing
from .placement import selected_armatures


class T2M_PT_main(bpy.types.Panel):
    """Prompt, length, seed and the button."""

    bl_label = "Text to Motion"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "T2M"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.t2m
        layout.prop(settings, "prompt", text="", placeholder="A person ...")
        fields = layout.column()
        fields.use_property_split = True
        fields.use_property_decorate = False
        fields.prop(settings, "length")
        if settings.length == "SECONDS":
            fields.prop(settings, "seconds")
        fields.prop(settings, "seed")
        target = fields.split(factor=0.4)
        name = target.row()
        name.alignment = "RIGHT"
        name.label(text="Target")
        target.label(text=_target_text(context), icon="OUTLINER_OB_ARMATURE")
        info = layout.column(align=True)
        info.active = False
        for words in computing():
            info.label(text=words)
        button = layout.row()
        button.scale_y = 1.6
        button.operator(T2M_OT_generate.bl_idname, icon="ARMATURE_DATA")


def _target_text(context: bpy.types.Context) -> str:
    """Which armature will move."""
    armatures = selected_armatures(context)
    if not armatures:
        return "New figure"
    return armatures[0].name if len(armatures) == 1 else "Several armatures"
