# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons of generating do."""

from __future__ import annotations

import random
from typing import ClassVar

import bpy
from bpy.props import IntProperty, StringProperty

from ..engine.errors import T2MError
from . import task
from .asked import Asked, asked_in_panel, make_motions
from .generating import put_in_scene
from .models import moves_people
from .selection import check_target, chosen_armature
from .translations import iface, rpt

_LARGEST_SEED = 2**31 - 1  # of a field in Blender


class InTask:
    """Operators whose work is long: beside Blender from a button, at once from a script.

    A class has `job`, which checks all that can be checked before the work.
    """

    bl_options: ClassVar[set[str]] = set()  # the end of the work makes the undo step

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if task.Session.running is not None:
            cls.poll_message_set(iface("Something is being generated; wait for it or cancel it"))
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self._do(context, task.start)

    def execute(self, context: bpy.types.Context) -> set[str]:
        def run(job: task.Job) -> None:
            self.report({"INFO"}, task.run(context, job))

        return self._do(context, run)

    def _do(self, context: bpy.types.Context, begin: object) -> set[str]:
        try:
            begin(self.job(context))
        except T2MError as error:
            return task.report_error(self, error)
        return {"FINISHED"}


def generating_job(asked: Asked, title: str) -> task.Job:
    """Make the motions and put them into the scene."""
    return task.Job(
        title=title,
        work=lambda on_progress, is_cancelled: make_motions(asked, on_progress, is_cancelled),
        finish=lambda context, made: put_in_scene(context, asked, made),
        scene=asked.place.scene,
    )


class T2M_OT_generate(InTask, bpy.types.Operator):
    """Make the selected armature move as the prompt says, or a new figure if none is selected"""

    bl_idname = "t2m.generate"
    bl_label = "Generate Action"

    def job(self, context: bpy.types.Context) -> task.Job:
        settings = context.scene.t2m
        armature = chosen_armature(context)
        if moves_people(settings.model):
            check_target(context)
        if not settings.seed_locked:
            settings.seed = random.randrange(_LARGEST_SEED)
        return generating_job(asked_in_panel(context, armature), self.bl_label)


class T2M_OT_cancel(bpy.types.Operator):
    """Stop what is being generated; nothing is changed"""

    bl_idname = "t2m.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return task.Session.running is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        task.cancel()
        return {"FINISHED"}


class T2M_OT_place_waiting(bpy.types.Operator):
    """Try again to put the motion that was generated into the scene"""

    bl_idname = "t2m.place_waiting"
    bl_label = "Place Again"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return task.Session.waiting is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.report({"INFO"}, task.finish_waiting(context))
        except T2MError as error:
            return task.report_error(self, error)
        return {"FINISHED"}


class T2M_OT_discard_waiting(bpy.types.Operator):
    """Throw the motion that could not be placed away"""

    bl_idname = "t2m.discard_waiting"
    bl_label = "Discard"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return task.Session.waiting is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        task.forget_waiting()
        return {"FINISHED"}


class T2M_OT_copy_details(bpy.types.Operator):
    """Copy what a report of this error needs"""

    bl_idname = "t2m.copy_details"
    bl_label = "Copy Details"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        notice = task.Session.notice
        return notice is not None and bool(notice.details)

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = task.Session.notice.details
        self.report({"INFO"}, rpt("Copied"))
        return {"FINISHED"}


class T2M_OT_new_seed(bpy.types.Operator):
    """Another seed: the next press makes another take of the same prompt"""

    bl_idname = "t2m.new_seed"
    bl_label = "New Take"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.t2m.seed = random.randrange(_LARGEST_SEED)
        return {"FINISHED"}


class T2M_OT_set_prompt(bpy.types.Operator):
    """Write this sentence into the prompt"""

    bl_idname = "t2m.set_prompt"
    bl_label = "Use Prompt"
    bl_options: ClassVar[set[str]] = {"UNDO", "INTERNAL"}

    prompt: StringProperty(name="Prompt", description="The sentence")  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.t2m.prompt = self.prompt
        return {"FINISHED"}


class T2M_OT_add_prompt(bpy.types.Operator):
    """Let the character do something else after that, in the same motion"""

    bl_idname = "t2m.add_prompt"
    bl_label = "Add Prompt"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.t2m.next_prompts.add()
        return {"FINISHED"}


class T2M_OT_remove_prompt(bpy.types.Operator):
    """Take this prompt out of the row"""

    bl_idname = "t2m.remove_prompt"
    bl_label = "Remove Prompt"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    index: IntProperty(name="Number", description="Of the prompt", min=0)  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> set[str]:
        rows = context.scene.t2m.next_prompts
        if self.index >= len(rows):
            return {"CANCELLED"}
        rows.remove(self.index)
        return {"FINISHED"}


CLASSES = (
    T2M_OT_generate,
    T2M_OT_cancel,
    T2M_OT_place_waiting,
    T2M_OT_discard_waiting,
    T2M_OT_copy_details,
    T2M_OT_new_seed,
    T2M_OT_set_prompt,
    T2M_OT_add_prompt,
    T2M_OT_remove_prompt,
)
