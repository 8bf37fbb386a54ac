# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated Action in the Asset Browser, with what it shows and under which licence it is."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..engine.errors import InputError
from . import models
from .action import current_action
from .asked import recipe_in
from .selection import lone_armature, selected_armatures
from .task import report_error
from .translations import rpt

_TAG = "text to motion"


def mark_asset(action: bpy.types.Action) -> None:
    """Makes an Action an asset: its sentence, tags, its model and that model's licence."""
    recipe = recipe_in(action)
    action.asset_mark()
    data = action.asset_data
    data.description = str(recipe.get("prompt", ""))
    for tag in (_TAG, *(["loop"] if recipe.get("loop") else [])):
        data.tags.new(tag, skip_if_exists=True)
    model = models.found().get(str(recipe.get("model", "")))
    if model is not None:
        data.license = f"Model: {model.licence}"
    if not bpy.app.background:
        action.asset_generate_preview()


class T2M_OT_mark_asset(bpy.types.Operator):
    """Show the armature's Action in the Asset Browser, with its sentence, tags and licence"""

    bl_idname = "t2m.mark_asset"
    bl_label = "Mark as Asset"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = lone_armature(context)
        return armature is not None and current_action(armature)[0] is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        (armature,) = selected_armatures(context)
        action, _ = current_action(armature)
        if not recipe_in(action) or not action.is_editable:
            error = InputError(f'The Action "{action.name}" was not generated in this file.')
            return report_error(self, error)
        mark_asset(action)
        self.report({"INFO"}, rpt('"{}" is an asset of this file', action.name))
        return {"FINISHED"}
