# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the machine and not for a scene: what computes, and where."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from . import operators

_ADD_ON = __package__.rpartition(".")[0]


def _forget_model(preferences: T2M_AP_preferences, context: bpy.types.Context) -> None:
    """The next press asks for a runtime anew. No lambda: Blender evaluates annotations as text, in
    which one would not see this module.
    """
    operators.unload()


class T2M_AP_preferences(bpy.types.AddonPreferences):
    """The add-on's entry in Blender's preferences."""

    bl_idname = _ADD_ON

    runtime: EnumProperty(  # type: ignore[valid-type]
        name="Runtime",
        description="What computes the motion",
        items=(
            ("auto", "Automatic", "The fastest that this machine has for the model"),
            ("numpy", "NumPy", "Comes with Blender; the processor computes"),
            ("torch", "PyTorch", "If it is installed in Blender's Python"),
        ),
        update=_forget_model,
    )
    device: EnumProperty(  # type: ignore[valid-type]
        name="Device",
        description="Where the motion is computed; all but the processor need PyTorch",
        items=(
            ("auto", "Automatic", "The fastest that this machine has for the model"),
            ("cpu", "Processor", "Every machine has one"),
            ("cuda", "NVIDIA or AMD", "A graphics card, through CUDA or ROCm"),
            ("mps", "Apple", "The graphics processor of a Mac, through Metal"),
            ("xpu", "Intel", "A graphics card of Intel's"),
        ),
        update=_forget_model,
    )

    def draw(self, context: bpy.types.Context) -> None:
        fields = self.layout.column()
        fields.use_property_split = True
        fields.prop(self, "runtime")
        fields.prop(self, "device")
        for words in operators.computing():
            fields.label(text=words)


def asked() -> dict[str, str]:
    """The arguments `runtime` and `device` of `load_model`."""
    add_on = bpy.context.preferences.addons.get(_ADD_ON)
    if add_on is None or add_on.preferences is None:  # run from its sources, without installation
        return {"runtime": "auto", "device": "auto"}
    return {"runtime": add_on.preferences.runtime, "device": add_on.preferences.device}
