# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions that were made, into the scene: an Action, takes to choose from, or a strip. Main thread
only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..engine.quality import cleanness, foot_slide
from .action import current_action, set_action
from .asked import Asked, Place
from .nla import put_on_strip
from .placement import place_motion
from .takes import add_take, remember_own_action, show_take
from .translations import rpt, translated

if TYPE_CHECKING:
    from ..engine.generate import GeneratedMotion


def put_in_scene(context: bpy.types.Context, asked: Asked, made: list[GeneratedMotion]) -> str:
    """The motion on the armature; several as takes, the cleanest first.

    Returns:
        What was done, and what the user should know.

    Raises:
        T2MError: It cannot be placed; nothing is changed.
    """
    said: list[str] = []
    ranked = sorted(made, key=lambda one: (-cleanness(one.motion), foot_slide(one.motion)))
    armature = asked.place.find_armature()
    if armature is not None and len(made) > 1:
        remember_own_action(armature)
    for generated in ranked if len(made) > 1 else ():
        armature = place(context, asked.place, generated, armature, said)
        add_take(armature, current_action(armature)[0], generated.motion)
    if len(made) > 1:
        show_take(armature, len(armature.t2m_takes) - len(made))
        said.insert(0, rpt('{} takes on "{}": keep the one you like', len(made), armature.name))
    else:
        generated = made[0]
        before = current_action(armature) if armature else (None, None)
        armature = place(context, asked.place, generated, armature, said)
        action = current_action(armature)[0]
        said.insert(
            0,
            rpt(
                'New Action "{}" on "{}", {} s',
                action.name,
                armature.name,
                f"{generated.motion.seconds:.1f}",
            ),
        )
        if asked.place.where == "STRIP":
            said[0] = _as_strip(armature, asked.place, before)
    warnings = dict.fromkeys(translated(warning) for one in made for warning in one.warnings)
    return ". ".join(line.rstrip(".") for line in (*said, *warnings))


def place(
    context: bpy.types.Context,
    place: Place,
    generated: GeneratedMotion,
    armature: bpy.types.Object | None,
    said: list[str],
) -> bpy.types.Object:
    """One motion as the current Action of an armature; a new figure for None."""

    def warn(line: str) -> None:
        if translated(line) not in said:
            said.append(translated(line))

    if armature is None:
        for selected in context.view_layer.objects.selected:
            selected.select_set(False)
    return place_motion(
        context,
        generated,
        armature=armature,
        frame_start=place.frame_start,
        frames=place.frames,
        options=place.options,
        on_warning=warn,
    )


def _as_strip(armature: bpy.types.Object, place: Place, before: tuple[Any, Any]) -> str:
    """Makes the armature's new Action a strip, and gives it back what it played before."""
    action, _ = current_action(armature)
    set_action(armature, *before)
    strip = put_on_strip(armature, action, track=place.track, blend=place.blend)
    said = rpt('New strip "{}" on "{}"', strip.name, armature.name)
    return said if before[0] is None else f"{said}. {plays_over(before[0])}"


def plays_over(action: bpy.types.Action) -> str:
    """What the user is told of a strip that is not seen yet."""
    return rpt('The Action "{}" plays over the strip until you push it down', action.name)
