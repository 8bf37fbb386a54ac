# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the machine and not for a scene: what computes, and which models there are."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import EnumProperty, PointerProperty, StringProperty

from ..engine.errors import T2MError
from ..engine.pytorch import UNKNOWN, device_states, import_torch
from . import models, task
from .defaults import DEFAULTED, T2M_PG_defaults
from .translations import iface, rpt, translated

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

    defaults: PointerProperty(type=T2M_PG_defaults)  # type: ignore[valid-type]

    def draw(self, context: bpy.types.Context) -> None:
        self._draw_machine()
        self._draw_models()
        self._draw_memory()
        self._draw_defaults()

    def _draw_machine(self) -> None:
        fields = self.layout.column()
        fields.use_property_split = True
        fields.prop(self, "runtime")
        fields.prop(self, "device")
        for words in models.computing():
            fields.label(text=translated(words), translate=False)
        self.layout.label(text="Devices")
        table = self.layout.box().column(align=True)
        states = device_states()
        for item in self.bl_rna.properties["device"].enum_items[1:]:
            reason = states.get(item.identifier, "")
            row = table.split(factor=0.35)
            icon = "QUESTION" if reason == UNKNOWN else "X" if reason else "CHECKMARK"
            row.label(text=item.name, icon=icon)
            row.label(text=translated(reason) or iface("Can be used"), translate=False)
        if UNKNOWN in states.values():
            self.layout.operator(T2M_OT_find_devices.bl_idname, icon="VIEWZOOM")

    def _draw_models(self) -> None:
        fields = self.layout.column()
        fields.use_property_split = True
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

    def _draw_memory(self) -> None:
        row = self.layout.row()
        model = models.last_loaded()
        if model is None:
            row.label(text="No model is in memory")
        else:
            size = models.held(model) / 1e6
            said = iface('"{}" is in memory, {} MB', model.name, f"{size:.0f}")
            row.label(text=said, translate=False)
        row.operator(T2M_OT_free_memory.bl_idname, icon="TRASH")

    def _draw_defaults(self) -> None:
        self.layout.label(text="New scenes begin with")
        fields = self.layout.box().column()
        fields.use_property_split = True
        for name in DEFAULTED:
            fields.prop(self.defaults, name)


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
            return task.report_error(self, error)
        self.report({"INFO"}, rpt('The model "{}" can be chosen under Advanced', name))
        return {"FINISHED"}


class T2M_OT_find_models(bpy.types.Operator):
    """Look again which models are there"""

    bl_idname = "t2m.find_models"
    bl_label = "Look Again"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        models.look_again()
        return {"FINISHED"}


class T2M_OT_find_devices(bpy.types.Operator):
    """Import PyTorch, which takes some seconds, and ask it what it finds"""

    bl_idname = "t2m.find_devices"
    bl_label = "Look for Devices"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            import_torch()
        except T2MError as error:
            return task.report_error(self, error)
        return {"FINISHED"}


class T2M_OT_free_memory(bpy.types.Operator):
    """Forget the model that was loaded; the next press reads it again"""

    bl_idname = "t2m.free_memory"
    bl_label = "Free Memory"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return models.last_loaded() is not None and task.Session.running is None

    def execute(self, context: bpy.types.Context) -> set[str]:
        models.unload()
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


CLASSES = (
    T2M_AP_preferences,
    T2M_OT_import_model,
    T2M_OT_find_models,
    T2M_OT_find_devices,
    T2M_OT_free_memory,
)
