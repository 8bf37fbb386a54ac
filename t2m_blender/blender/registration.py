# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender is told of, in order; undone in reverse."""

from __future__ import annotations

import bpy

from . import cli, operators, panels, preferences, properties

_CLASSES = (
    preferences.T2M_AP_preferences,
    properties.T2M_PG_settings,
    operators.T2M_OT_generate,
    panels.T2M_PT_main,
)


def register() -> None:
    for registered in _CLASSES:
        bpy.utils.register_class(registered)
    properties.register()
    cli.register()


def unregister() -> None:
    cli.unregister()
    operators.unregister()
    properties.unregister()
    for registered in reversed(_CLASSES):
        bpy.utils.unregister_class(registered)
