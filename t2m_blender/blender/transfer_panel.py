# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Transfer": how motions are put on rigs, and feet held anew."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty

from .relocking import relock_feet
from .rig_keys import PlacementOptions
from .rig_panel import OnArmature
from .translations import rpt


class PlacementHabits:
    """How motions are put on rigs; the preferences hold it for new scenes too."""

    foot_lock: BoolProperty(  # type: ignore[valid-type]
        name="Foot Lock",
        description="Planted feet stand still; markers on the Action tell where",
        default=True,
    )
    travel: EnumProperty(  # type: ignore[valid-type]
        name="Travel",
        description="Where the way over the floor goes",
        items=(
            ("hips", "With the Hips", "The hips carry the figure along"),
            ("root", "Root Bone", "The root bone carries the figure along (root motion)"),
            ("none", "In Place", "The figure stays where it is"),
        ),
        default="hips",
    )
    ik_hands: BoolProperty(  # type: ignore[valid-type]
        name="IK Hands",
        description="Control rigs: key hands by their IK controls and pole targets",
    )
    ik_feet: BoolProperty(  # type: ignore[valid-type]
        name="IK Feet",
        description="Control rigs: key feet by their IK controls and pole targets",
    )
    joint_limits: BoolProperty(  # type: ignore[valid-type]
        name="Joint Limits",
        description="Keep joints within what people can do",
    )
    reduce_keys: BoolProperty(  # type: ignore[valid-type]
        name="Fewer Keys",
        description="Smooth curves of fewer keys that stay close to the full motion",
    )
    key_error: FloatProperty(  # type: ignore[valid-type]
        name="Within",
        description="By how much leaving out keys may turn a bone away from the full motion",
        subtype="ANGLE",
        min=0.0001,
        max=0.2,
        default=0.0087,
        precision=2,
    )


class T2M_PG_placement(PlacementHabits, bpy.types.PropertyGroup):
    """How motions are put on rigs; kept with the scene."""


def placement_options(scene: bpy.types.Scene) -> PlacementOptions:
    """What the panel's fields ask for."""
    asked = scene.t2m_placement
    parts = (("hands", asked.ik_hands), ("feet", asked.ik_feet))
    return PlacementOptions(
        foot_lock=asked.foot_lock,
        travel=asked.travel,
        joint_limits=asked.joint_limits,
        ik=frozenset(part for part, wanted in parts if wanted),
        key_error=asked.key_error if asked.reduce_keys else None,
    )


class T2M_OT_relock_feet(OnArmature, bpy.types.Operator):
    """Hold the feet where the Action's pose markers say: move, delete or add markers, then press"""

    bl_idname = "t2m.relock_feet"
    bl_label = "Re-apply Foot Lock"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> str:
        held = relock_feet(context, armature)
        return rpt("{} contacts held", held)


class T2M_PT_placement(bpy.types.Panel):
    """How motions are put on the rig."""

    bl_label = "Transfer"
    bl_order = 7
    bl_parent_id = "T2M_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "T2M"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, asked = self.layout, context.scene.t2m_placement
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(asked, "travel")
        layout.prop(asked, "foot_lock")
        layout.prop(asked, "joint_limits")
        column = layout.column(heading="Control Rigs")
        column.prop(asked, "ik_hands")
        column.prop(asked, "ik_feet")
        layout.prop(asked, "reduce_keys")
        if asked.reduce_keys:
            layout.prop(asked, "key_error")
        layout.operator(T2M_OT_relock_feet.bl_idname, icon="CON_KINEMATIC")


def register() -> None:
    bpy.types.Scene.t2m_placement = PointerProperty(type=T2M_PG_placement)


def unregister() -> None:
    del bpy.types.Scene.t2m_placement
