# SPDX-License-Identifier: GPL-3.0-or-later
"""The menus Object > Text to Motion and Pose > Text to Motion: F3 searches menus, not panels."""

from __future__ import annotations

import bpy

from . import assets, defaults, edit_operators, operators, rig_panel, take_operators, transfer_panel

_GROUPS = (
    (
        operators.T2M_OT_generate,
        operators.T2M_OT_cancel,
        operators.T2M_OT_new_seed,
        operators.T2M_OT_add_prompt,
        operators.T2M_OT_place_waiting,
        operators.T2M_OT_discard_waiting,
        operators.T2M_OT_copy_details,
    ),
    (
        edit_operators.T2M_OT_continue,
        edit_operators.T2M_OT_repair,
        take_operators.T2M_OT_regenerate,
        take_operators.T2M_OT_copy_recipe,
        take_operators.T2M_OT_discard_takes,
        take_operators.T2M_OT_push_down,
        assets.T2M_OT_mark_asset,
    ),
    (
        rig_panel.T2M_OT_recognise_rig,
        rig_panel.T2M_OT_forget_rig,
        rig_panel.T2M_OT_save_rig_preset,
        transfer_panel.T2M_OT_relock_feet,
    ),
    (defaults.T2M_OT_use_defaults, defaults.T2M_OT_save_defaults),
)


class T2M_MT_motion(bpy.types.Menu):
    """All that the tab T2M does, but for rows of its lists."""

    bl_label = "Text to Motion"

    def draw(self, context: bpy.types.Context) -> None:
        for number, group in enumerate(_GROUPS):
            if number:
                self.layout.separator()
            for operator in group:
                self.layout.operator(operator.bl_idname)


def _draw(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.separator()
    menu.layout.menu(T2M_MT_motion.__name__)


def register() -> None:
    for menu in (bpy.types.VIEW3D_MT_object, bpy.types.VIEW3D_MT_pose):
        menu.append(_draw)


def unregister() -> None:
    for menu in (bpy.types.VIEW3D_MT_object, bpy.types.VIEW3D_MT_pose):
        menu.remove(_draw)


CLASSES = (T2M_MT_motion,)
