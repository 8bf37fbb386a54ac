# SPDX-License-Identifier: GPL-3.0-or-later
"""Several motions to choose from: Actions that are listed with their armature until one is kept.

A take is an Action like any other, so it is saved with the file and undone with it. What the
armature played before is kept in mind, and plays again when no take does. Main thread only.
"""

from __future__ import annotations

import bpy

from ..engine.errors import InputError
from ..engine.motion import Motion
from ..engine.quality import cleanness, foot_slide
from .action import check_writable, current_action, set_action
from .take_pictures import picture_of


def add_take(armature: bpy.types.Object, action: bpy.types.Action, motion: Motion) -> None:
    """Lists an Action as a take of the armature, with a picture and how clean its motion is."""
    take = armature.t2m_takes.add()
    take.action, take.picture = action, picture_of(motion)
    take.slide, take.cleanness = foot_slide(motion), cleanness(motion)


def remember_own_action(armature: bpy.types.Object) -> None:
    """Keeps in mind what the armature plays, unless that is a take."""
    action, slot = current_action(armature)
    takes = [take.action for take in armature.t2m_takes]
    if action in takes if action is not None else takes:
        return  # also where the take that was shown has been deleted
    armature.t2m_own_action = action
    armature.t2m_own_slot = slot.identifier if slot is not None else ""


def play_own_action(armature: bpy.types.Object) -> bpy.types.Action | None:
    """Lets the armature play what it played before a take was shown, if anything."""
    action = armature.t2m_own_action
    slots = getattr(action, "slots", None)
    set_action(armature, action, slots.get(armature.t2m_own_slot) if slots else None)
    return action


def show_take(armature: bpy.types.Object, index: int) -> bpy.types.Action:
    """Makes a take what the armature plays.

    Raises:
        InputError: There is no such take, its Action was deleted, or the armature cannot be given
            another Action now.
    """
    action = _take(armature, index)
    check_writable(armature)
    remember_own_action(armature)
    set_action(armature, action)
    armature.t2m_take_index = index
    return action


def keep_take(armature: bpy.types.Object, index: int) -> bpy.types.Action:
    """Makes a take the armature's Action for good; the others stay listed.

    Raises:
        InputError: As of `show_take`.
    """
    action = show_take(armature, index)
    armature.t2m_takes.remove(index)
    armature.t2m_take_index = max(0, index - 1)
    return action


def discard_take(armature: bpy.types.Object, index: int) -> None:
    """Deletes a take, and its Action if nothing else uses that.

    If it was playing, the next one does, or what the armature played before.

    Raises:
        InputError: There is no such take.
    """
    if not 0 <= index < len(armature.t2m_takes):
        raise InputError("There is no such take.")
    action = armature.t2m_takes[index].action
    playing = action is not None and current_action(armature)[0] == action
    if playing:
        check_writable(armature)
    armature.t2m_takes.remove(index)
    armature.t2m_take_index = max(0, min(index, len(armature.t2m_takes) - 1))
    if action is None:
        return
    if playing:
        play_own_action(armature)
    if action.users - bool(action.use_fake_user) <= 0:
        bpy.data.actions.remove(action)
    if playing and len(armature.t2m_takes) and armature.t2m_takes[armature.t2m_take_index].action:
        show_take(armature, armature.t2m_take_index)


def _take(armature: bpy.types.Object, index: int) -> bpy.types.Action:
    if not 0 <= index < len(armature.t2m_takes):
        raise InputError("There is no such take.")
    action = armature.t2m_takes[index].action
    if action is None:
        raise InputError("The Action of this take was deleted; discard the take.")
    return action
