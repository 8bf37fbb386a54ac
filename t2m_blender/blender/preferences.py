# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the machine and not for a scene: what computes, and which models there are."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty

from ..engine.errors import T2MError
from . import models

_ADD_ON = __package__.rpartition(".")[0]


def _forget_model(preferences: T2M_AP_preferences, context: bpy.types.Context) -> None:
    """The next press asks for a runtime anew. No lambda: Blender evaluates annotations as text, in
    which one would not see this module.
    """
    models.unload()


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

    model_folder: StringProperty(  # type: ignore[valid-type]
        name="Model Folder",
        description="A folder of model files of yours, beside those that are imported",
        subtype="DIR_PATH",
        update=lambda self, context: models.look_again(),
    )

    def draw(self, context: bpy.types.Context) -> None:
        fields = self.layout.column()
        fields.use_property_split = True
        fields.prop(self, "runtime")
        fields.prop(self, "device")
        for words in models.computing():
            fields.label(text=words)
        fields.prop(self, "model_folder")
        self.layout.label(text="Models")
        table = self.layout.box().column(align=True)
        for name, model in models.found().items():
            row = table.split(factor=0.35)
            row.label(text=name, translate=False)
            row = row.split(factor=0.25)
            row.label(text=f"{model.size / 1e6:.0f} MB", translate=False)
            row.label(text=model.licence, translate=False)
        row = self.layout.row()
        row.operator(T2M_OT_import_model.bl_idname, icon="IMPORT")
        row.operator(T2M_OT_find_models.bl_idname, icon="FILE_REFRESH")


class T2M_OT_import_model(bpy.types.Operator):
    """Copy a model file (.safetensors) to the models of this add-on"""

    bl_idname = "t2m.import_model"
    bl_label = "Import Model"

    filepath: StringProperty(subtype="FILE_PATH")  # type: ignore[valid-type]
    filter_glob: StringProperty(default="*.safetensors", options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            name = models.import_model(Path(bpy.path.abspath(self.filepath)))
        except T2MError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f'The model "{name}" can be chosen under Advanced')
        return {"FINISHED"}


class T2M_OT_find_models(bpy.types.Operator):
    """Look again which models are there"""

    bl_idname = "t2m.find_models"
    bl_label = "Look Again"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        models.look_again()
        return {"FINISHED"}


def preferences() -> T2M_AP_preferences | None:
    """What the user prefers; None where the add-on is run from its sources."""
    add_on = bpy.context.preferences.addons.get(_ADD_ON)
    return add_on.preferences if add_on is not None else None


def asked() -> dict[str, str]:
    """The arguments `runtime` and `device` of `load_model`."""
    chosen = preferences()
    if chosen is None:
        return {"runtime": "auto", "device": "auto"}
    return {"runtime": chosen.runtime, "device": chosen.device}


def model_folder() -> Path | None:
    """The folder of models that the user has named."""
    chosen = preferences()
    return Path(bpy.path.abspath(chosen.model_folder)) if chosen and chosen.model_folder else None


CLASSES = (T2M_AP_preferences, T2M_OT_import_model, T2M_OT_find_models)
