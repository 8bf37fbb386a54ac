# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons Continue and Repair do."""

from __future__ import annotations

import bpy

from ..engine.errors import InputError
from . import task
from .action import current_action
from .asked import manner_in_panel, model_asked, place_in_panel
from .edits import put_continuation, put_repair
from .operators import InTask
from .playing import animated_range, motion_on_rig, motion_until, repair_range
from .selection import check_target, scene_rate, selected_armatures

_SIDE = 4.0  # seconds that are read on either side of a gap


class _OnMotion(InTask):
    """Operators on the motion of the one selected armature."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(selected_armatures(context)) == 1 and super().poll(context)


class T2M_OT_continue(_OnMotion, bpy.types.Operator):
    """Let the motion go on from the playhead as the prompt says, in a copy of the Action"""

    bl_idname = "t2m.continue_motion"
    bl_label = "Continue from Here"

    def job(self, context: bpy.types.Context) -> task.Job:
        from ..engine.generate import continue_motion

        (armature,) = selected_armatures(context)
        settings, now = context.scene.t2m, context.scene.frame_current
        place = place_in_panel(context, armature)
        motion = motion_until(context, armature, now, place.options)
        frames = place.frames - 1 if settings.length == "RANGE" else place.frames
        seconds = settings.seconds if settings.length == "SECONDS" else None
        if frames is not None:
            seconds = frames / scene_rate(context.scene)
        model, manner = model_asked(settings.model), manner_in_panel(settings)
        prompt, seed = settings.prompt, settings.seed

        def work(on_progress: task.OnProgress, is_cancelled: task.IsCancelled) -> object:
            loaded = model.load()
            return continue_motion(
                motion, prompt, model=loaded, seed=seed, seconds=seconds,
                on_progress=on_progress, is_cancelled=is_cancelled, **manner.numbers(loaded),
            )  # fmt: skip

        return task.Job(
            title=self.bl_label,
            work=work,
            finish=lambda context, made: put_continuation(
                context, place.find_armature(), made, now, frames, place.options
            ),
            scene=context.scene.name,
        )


class T2M_OT_repair(_OnMotion, bpy.types.Operator):
    """Make the frames of the preview range, or of the selected keys, anew; all other keys stay"""

    bl_idname = "t2m.repair_motion"
    bl_label = "Repair Range"

    def job(self, context: bpy.types.Context) -> task.Job:
        from ..engine.generate import repair_motion

        (armature,) = selected_armatures(context)
        settings = context.scene.t2m
        if current_action(armature)[0] is None:
            raise InputError(f'"{armature.name}" has no Action that could be repaired.')
        start, stop = repair_range(context, armature)
        first, last = animated_range(armature)
        side = round(_SIDE * scene_rate(context.scene))
        read_from, read_to = max(first, start - side), min(last, stop - 1 + side)
        place = place_in_panel(context, armature)
        _, target = check_target(context, armature)
        if not read_from <= start < stop <= read_to + 1 or (start, stop) == (first, last + 1):
            raise InputError(
                f"Choose some of the frames {first} to {last}, and leave some before or after."
            )
        motion = motion_on_rig(context, armature, target, read_from, read_to, place.options)
        model, manner = model_asked(settings.model), manner_in_panel(settings)
        prompt, seed = settings.prompt, settings.seed
        recipe = {"prompt": prompt, "seed": seed, "model": settings.model}

        def work(on_progress: task.OnProgress, is_cancelled: task.IsCancelled) -> object:
            loaded = model.load()
            return repair_motion(
                motion, start - read_from, stop - read_from, prompt, model=loaded, seed=seed,
                foot_lock=False, on_progress=on_progress, is_cancelled=is_cancelled,
                **manner.numbers(loaded),
            )  # fmt: skip

        return task.Job(
            title=self.bl_label,
            work=work,
            finish=lambda context, made: put_repair(
                context, place.find_armature(), made, read_from, start, stop, recipe, place.options
            ),
            scene=context.scene.name,
        )


CLASSES = (T2M_OT_continue, T2M_OT_repair)
