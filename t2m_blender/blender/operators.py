# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons do."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import bpy

from ..engine.errors import T2MError
from ..engine.pytorch import torch_state
from .placement import check_target, place_motion
from .rig_panel import placement_options

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion, TextToMotion


@lru_cache(maxsize=1)
def loaded_model(name: str) -> TextToMotion:
    """The model, read from disk at the first press only."""
    from ..engine.generate import load_model
    from .preferences import asked

    return load_model(name, **asked())


def computing() -> tuple[str, ...]:
    """What computes the motion, and why, a few words each; more is known after the first press."""
    if not loaded_model.cache_info().currsize:
        return "The fastest runtime here", torch_state()
    model = loaded_model("default")
    return model.runtime.name, *model.choice.reason.split("; ")


def generate_motion(settings: bpy.types.PropertyGroup) -> GeneratedMotion:
    """The motion that the panel's settings ask for.

    Raises:
        T2MError: With what is wrong and what to do.
    """
    from ..engine.generate import generate

    return generate(
        settings.prompt,
        model=loaded_model("default"),
        seed=settings.seed,
        seconds=settings.seconds if settings.length == "SECONDS" else None,
    )


class T2M_OT_generate(bpy.types.Operator):
    """Make the selected armature move as the prompt says, or a new figure if none is selected"""

    bl_idname = "t2m.generate"
    bl_label = "Generate Action"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            options = placement_options(context.scene)
            check_target(context, options=options)  # before the model's work, which takes seconds
            generated = generate_motion(context.scene.t2m)
            armature = place_motion(
                context,
                generated,
                options=options,
                on_warning=lambda text: self.report({"WARNING"}, text),
            )
        except T2MError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for warning in generated.warnings:
            self.report({"WARNING"}, warning)
        self.report(
            {"INFO"},
            f'New Action "{armature.animation_data.action.name}" on "{armature.name}", '
            f"{generated.motion.seconds:.1f} s",
        )
        return {"FINISHED"}


def unload() -> None:
    """Free the model's memory; the next press reads it again."""
    loaded_model.cache_clear()


def unregister() -> None:
    unload()
