# SPDX-License-Identifier: GPL-3.0-or-later
"""Several motions to choose from: Actions that are listed with their armature until one is kept.

A take is an Action like any other, so it is saved with the file and undone with it. Main thread
only.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.errors import InputError
from ..engine.motion import Motion
from .action import current_action, set_action

_ANKLES_AND_TOES = ("left_ankle", "left_foot", "right_ankle", "right_foot")


def foot_slide(motion: Motion) -> float:
    """How fast planted feet slide in a motion as it was generated, metres a second; 0 at best."""
    if motion.contacts is None or motion.frames < 2:
        return 0.0
    names = motion.skeleton.joint_names
    if not set(_ANKLES_AND_TOES) <= set(names):
        return 0.0
    feet = motion.joints[:, [names.index(joint) for joint in _ANKLES_AND_TOES]][..., [0, 2]]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * motion.fps
    planted = (motion.contacts[:-1] > 0.5) & (motion.contacts[1:] > 0.5)
    return float(speed[planted].mean()) if planted.any() else 0.0


def add_take(armature: bpy.types.Object, action: bpy.types.Action, slide: float) -> None:
    """Lists an Action as a take of the armature."""
    take = armature.t2m_takes.add()
    take.action, take.slide = action, slide


def show_take(armature: bpy.types.Object, index: int) -> bpy.types.Action:
    """Makes a take what the armature plays.

    Raises:
        InputError: There is no such take, or its Action was deleted.
    """
    action = _take(armature, index)
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

    Raises:
        InputError: There is no such take.
    """
    if not 0 <= index < len(armature.t2m_takes):
        raise InputError("There is no such take.")
    action = armature.t2m_takes[index].action
    armature.t2m_takes.remove(index)
    armature.t2m_take_index = max(0, min(index, len(armature.t2m_takes) - 1))
    if action is None:
        return
    playing = current_action(armature)[0] == action
    if action.users - bool(action.use_fake_user) - playing <= 0:
        bpy.data.actions.remove(action)
    if playing and len(armature.t2m_takes):
        show_take(armature, armature.t2m_take_index)


def _take(armature: bpy.types.Object, index: int) -> bpy.types.Action:
    if not 0 <= index < len(armature.t2m_takes):
        raise InputError("There is no such take.")
    action = armature.t2m_takes[index].action
    if action is None:
        raise InputError("The Action of this take was deleted; discard the take.")
    return action
