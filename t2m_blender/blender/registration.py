# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender is told of, in order; undone in reverse."""

from __future__ import annotations

import bpy

from . import (
    assets,
    cli,
    defaults,
    edit_operators,
    menu,
    models,
    motion_panels,
    operators,
    panels,
    preferences,
    properties,
    rig_panel,
    smpl_body,
    take_operators,
    take_pictures,
    task,
    transfer_panel,
    translations,
)

_CLASSES = (
    *properties.CLASSES,
    rig_panel.T2M_PG_rig,
    transfer_panel.T2M_PG_placement,
    defaults.T2M_PG_defaults,
    *preferences.CLASSES,
    *defaults.CLASSES,
    *operators.CLASSES,
    *take_operators.CLASSES,
    *edit_operators.CLASSES,
    assets.T2M_OT_mark_asset,
    rig_panel.T2M_OT_recognise_rig,
    rig_panel.T2M_OT_forget_rig,
    rig_panel.T2M_OT_save_rig_preset,
    transfer_panel.T2M_OT_relock_feet,
    smpl_body.T2M_OT_add_smpl_body,
    smpl_body.T2M_OT_save_smpl_parameters,
    *panels.CLASSES,
    *motion_panels.CLASSES,
    rig_panel.T2M_PT_rig,
    transfer_panel.T2M_PT_placement,
    *menu.CLASSES,
)


def register() -> None:
    translations.register()
    for registered in _CLASSES:
        bpy.utils.register_class(registered)
    properties.register()
    rig_panel.register()
    transfer_panel.register()
    smpl_body.register()
    take_pictures.register()
    menu.register()
    defaults.register()
    task.register()
    cli.register()


def unregister() -> None:
    cli.unregister()
    task.unregister()
    defaults.unregister()
    models.unload()
    menu.unregister()
    take_pictures.unregister()
    smpl_body.unregister()
    transfer_panel.unregister()
    rig_panel.unregister()
    properties.unregister()
    for registered in reversed(_CLASSES):
        bpy.utils.unregister_class(registered)
    translations.unregister()
