# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel asks for; kept with the scene."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty


class T2M_PG_settings(bpy.types.PropertyGroup):
    """The panel's fields."""

    prompt: StringProperty(  # type: ignore[valid-type]
        name="Prompt",
        description="What the character does, in an English sentence",
        default="a person walks forward and waves",
    )
    seed: IntProperty(  # type: ignore[valid-type]
        name="Seed",
        description="The same prompt and seed give the same motion; another seed, another take",
        min=0,
        default=0,
    )
    length: EnumProperty(  # type: ignore[valid-type]
        name="Length",
        description="Who decides how long the motion is",
        items=(
            ("FREE", "Automatic", "The motion ends when the action is done"),
            ("SECONDS", "Seconds", "The motion is exactly so many seconds long"),
        ),
        default="FREE",
    )
    seconds: FloatProperty(  # type: ignore[valid-type]
        name="Seconds",
        description="How long the motion is",
        min=0.5,
        soft_max=10.0,
        default=4.0,
        precision=2,
        step=50,
    )


def register() -> None:
    bpy.types.Scene.t2m = PointerProperty(type=T2M_PG_settings)


def unregister() -> None:
    del bpy.types.Scene.t2m
