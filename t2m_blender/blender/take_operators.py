# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons of takes, strips and recipes do."""

from __future__ import annotations

import json
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, IntProperty

from ..engine.errors import InputError, T2MError
from . import task
from .action import current_action, set_action
from .asked import Asked, asked_again, make_motions, recipe_in
from .generating import place, plays_over
from .nla import chosen_strip, push_down, put_on_strip, replace_action, strips_of
from .operators import InTask
from .selection import lone_armature, selected_armatures
from .takes import discard_take, keep_take, play_own_action, show_take
from .translations import rpt


class _OnTake:
    """Operators on one take of the selected armature."""

    bl_options: ClassVar[set[str]] = {"UNDO"}

    index: IntProperty(name="Take", description="Its number in the list", min=0)  # type: ignore[valid-type]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = lone_armature(context)
        return armature is not None and len(armature.t2m_takes) > 0

    def execute(self, context: bpy.types.Context) -> set[str]:
        (armature,) = selected_armatures(context)
        try:
            self.work(context, armature)
        except T2MError as error:
            return task.report_error(self, error)
        return {"FINISHED"}


class T2M_OT_show_take(_OnTake, bpy.types.Operator):
    """Let the armature play this take"""

    bl_idname = "t2m.show_take"
    bl_label = "Show Take"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> None:
        show_take(armature, self.index)


class T2M_OT_keep_take(_OnTake, bpy.types.Operator):
    """Make this take the armature's Action, or a strip if that is chosen; the others stay listed"""

    bl_idname = "t2m.keep_take"
    bl_label = "Keep Take"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> None:
        action = keep_take(armature, self.index)
        said, settings = rpt('"{}" is kept', action.name), context.scene.t2m
        if settings.where == "STRIP":
            own = play_own_action(armature)
            blend = (settings.blend_in, settings.blend_out)
            put_on_strip(armature, action, track=settings.track, blend=blend)
            said += ". " + plays_over(own) if own is not None else ""
        self.report({"INFO"}, said)


class T2M_OT_discard_take(_OnTake, bpy.types.Operator):
    """Delete this take"""

    bl_idname = "t2m.discard_take"
    bl_label = "Discard Take"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> None:
        discard_take(armature, self.index)


class T2M_OT_discard_takes(_OnTake, bpy.types.Operator):
    """Delete all takes that are still listed"""

    bl_idname = "t2m.discard_takes"
    bl_label = "Discard All"

    def work(self, context: bpy.types.Context, armature: bpy.types.Object) -> None:
        while len(armature.t2m_takes):
            discard_take(armature, 0)


class T2M_OT_push_down(bpy.types.Operator):
    """Make the armature's Action a strip of the NLA"""

    bl_idname = "t2m.push_down"
    bl_label = "Push Down"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        armature = lone_armature(context)
        return armature is not None and current_action(armature)[0] is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        (armature,) = selected_armatures(context)
        settings = context.scene.t2m
        try:
            blend = (settings.blend_in, settings.blend_out)
            name = push_down(armature, track=settings.track, blend=blend)
        except T2MError as error:
            return task.report_error(self, error)
        self.report({"INFO"}, rpt('New strip "{}"', name))
        return {"FINISHED"}


class _OnRecipe:
    """Operators on what was generated: the armature's Action, or its chosen strip."""

    strip: BoolProperty(  # type: ignore[valid-type]
        name="Strip", description="The chosen strip of the NLA instead of the Action"
    )

    def generated(self, context: bpy.types.Context) -> tuple[bpy.types.Object, bpy.types.Action]:
        """The armature, and the Action of it that is meant."""
        armatures = selected_armatures(context)
        if len(armatures) != 1:
            raise InputError("Select the one armature that is meant.")
        (armature,) = armatures
        if not self.strip:
            action, _ = current_action(armature)
        else:
            strip = chosen_strip(armature)
            action = strip.action if strip else None
        if action is None:
            raise InputError(
                "Select one strip of the armature in the NLA editor."
                if self.strip
                else f'"{armature.name}" has no Action.'
            )
        return armature, action


class T2M_OT_regenerate(_OnRecipe, InTask, bpy.types.Operator):
    """Make it again from its recipe and the sentence as it is now; what was there is kept"""

    bl_idname = "t2m.regenerate"
    bl_label = "Regenerate"

    def job(self, context: bpy.types.Context) -> task.Job:
        armature, action = self.generated(context)
        asked = asked_again(context, armature, action)
        of_strip, old = self.strip, action.session_uid

        def finish(context: bpy.types.Context, made: list[object]) -> str:
            return _replace(context, asked, made[0], old if of_strip else None)

        return task.Job(
            title=self.bl_label,
            work=lambda on_progress, is_cancelled: make_motions(asked, on_progress, is_cancelled),
            finish=finish,
            scene=context.scene.name,
        )


def _replace(context: bpy.types.Context, asked: Asked, generated: object, old: int | None) -> str:
    """A motion in place of the armature's Action, or of an Action in the chosen strip."""
    armature, said = asked.place.find_armature(), []
    if old is None:
        place(context, asked.place, generated, armature, said)
        said.insert(0, rpt('New Action "{}"', current_action(armature)[0].name))
        return ". ".join(said)
    strips = [strip for strip in strips_of(armature) if strip.action.session_uid == old]
    chosen = chosen_strip(armature)
    strip = chosen if chosen in strips else next(iter(strips), None)
    if strip is None:
        raise InputError("The strip is gone, so the motion waits: undo its deletion, or discard.")
    before = current_action(armature)
    place(context, asked.place, generated, armature, said)
    action, _ = current_action(armature)
    set_action(armature, *before)
    replace_action(strip, action)
    said.insert(0, rpt('The strip "{}" plays "{}" now', strip.name, action.name))
    return ". ".join(said)


class T2M_OT_copy_recipe(_OnRecipe, bpy.types.Operator):
    """Copy prompt, seed, model and settings of what was generated, as JSON"""

    bl_idname = "t2m.copy_recipe"
    bl_label = "Copy Recipe"

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            _, action = self.generated(context)
            recipe = dict(recipe_in(action))
            if not recipe:
                raise InputError(f'The Action "{action.name}" was not generated: no recipe.')
        except T2MError as error:
            return task.report_error(self, error)
        context.window_manager.clipboard = json.dumps(recipe, indent=1, ensure_ascii=False)
        self.report({"INFO"}, rpt("Recipe copied"))
        return {"FINISHED"}


CLASSES = (
    T2M_OT_show_take,
    T2M_OT_keep_take,
    T2M_OT_discard_take,
    T2M_OT_discard_takes,
    T2M_OT_push_down,
    T2M_OT_regenerate,
    T2M_OT_copy_recipe,
)
