# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user should know of keys that were written, though nothing failed. Main thread only."""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.rotations import normalise
from ..retarget.control_rig import joint_heads
from ..retarget.rig import PoseTrack
from ..retarget.wired_controls import BY_WIRING
from .channels import held_message, locked_message
from .rig_keys import RigChannels, Target

_ASTRAY_DEG = 10.0  # of arms and legs on average; IK that stretches is within it


def warnings_of(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    target: Target,
    track: PoseTrack,
    made: RigChannels,
    first: int,
) -> list[str]:
    """What the user should know of an Action that is written and shown.

    Args:
        context: With the scene at one of its frames.
        armature: Which plays it.
        target: What was keyed.
        track: What it should do, from frame `first` on.
        made: The keys.
        first: Frame of the first key.
    """
    guides = {guide for limb in target.limbs for guide in limb.guides}
    own = [channel for channel in made.channels if channel.bone not in guides]
    said = [locked_message(made.locked), held_message(armature, own)]
    now = context.scene.frame_current - first
    if target.family is not None and target.family.name == BY_WIRING and 0 <= now < track.frames:
        said.append(_astray_message(context, armature, target, track, now))
    return [message for message in said if message]


def _astray_message(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    target: Target,
    track: PoseTrack,
    now: int,
) -> str:
    """Whether arms and legs point where the track says, on one frame of it."""
    wanted = {
        joint: at[now] for joint, at in joint_heads(target.rig, target.bone_map, track).items()
    }
    posed = armature.evaluated_get(context.evaluated_depsgraph_get()).pose.bones
    seen = {joint: np.array(posed[target.bone_map.bones[joint]].head) for joint in wanted}
    limbs = [limb.joints[k : k + 2] for limb in target.limbs for k in range(2)]
    ways = [normalise(np.array([at[b] - at[a] for a, b in limbs])) for at in (wanted, seen)]
    off = np.degrees(np.arccos(np.clip(np.sum(ways[0] * ways[1], axis=-1), -1.0, 1.0)))
    if off.mean() < _ASTRAY_DEG:
        return ""
    return (
        f'Arms and legs of "{armature.name}" are {off.mean():.0f} degrees off the motion: its '
        "controls, found by its constraints, do not move it alone. Look at the Action, or mute the "
        "constraints of the bones that deform."
    )
