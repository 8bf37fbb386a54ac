# SPDX-License-Identifier: GPL-3.0-or-later
"""What an armature plays, read back as a Motion, and which of its frames are meant. Main thread
only.
"""

from __future__ import annotations

import math

import bpy
import numpy as np

from ..engine.errors import InputError
from ..engine.motion import Motion
from ..engine.skeleton import HUMANML3D
from ..retarget.calibration import calibrate
from ..retarget.read_back import read_motion
from ..retarget.solve import FIGURE_TO_MOTION
from .action import action_curves, current_action
from .nla import strips_of
from .read_file import wanted_bones
from .rig_keys import PlacementOptions, Target
from .selection import check_target, scene_rate


def motion_on_rig(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    target: Target,
    first: int,
    last: int,
    options: PlacementOptions,
) -> Motion:
    """What the armature plays from one frame to another, as Blender shows it, in its own space.

    Args:
        context: The scene is played, and put back where it was.
        armature, target: The rig.
        first, last: Frames of the scene, both read.
        options: That the motion was placed with.
    """
    rig, scene = wanted_bones(target.rig, target.bone_map), context.scene
    now, part = scene.frame_current, scene.frame_subframe
    posed = np.empty((last - first + 1, len(rig.bones), 4, 4))
    try:
        for number in range(len(posed)):
            scene.frame_set(first + number)
            bones = armature.evaluated_get(context.evaluated_depsgraph_get()).pose.bones
            posed[number] = [bones[bone.name].matrix for bone in rig.bones]
    finally:
        scene.frame_set(now, subframe=part)
    own = np.eye(4)  # the axes of a motion, as `motion_to_pose` takes it
    own[:3, :3] = FIGURE_TO_MOTION.T @ calibrate(rig, target.bone_map, HUMANML3D).axes
    root = "hips" if options.foot_lock else "pelvis"
    return read_motion(rig, target.bone_map, posed, fps=scene_rate(scene), world=own, root=root)


def motion_until(
    context: bpy.types.Context, armature: bpy.types.Object, now: int, options: PlacementOptions
) -> Motion:
    """The last seconds before a frame.

    Raises:
        InputError: Nothing moves the armature before it.
    """
    from ..engine.continuing import READ_SECONDS

    first, _ = animated_range(armature)
    if first >= now:
        raise InputError(
            f'Nothing moves "{armature.name}" before frame {now}. Move the playhead into the '
            "motion that is to go on."
        )
    _, target = check_target(context, armature)
    first = max(first, now - math.ceil(READ_SECONDS * scene_rate(context.scene)))
    return motion_on_rig(context, armature, target, first, now, options)


def animated_range(armature: bpy.types.Object) -> tuple[int, int]:
    """First and last frame of the armature's Action and strips.

    Raises:
        InputError: There are none.
    """
    action, _ = current_action(armature)
    ranges = [tuple(action.curve_frame_range)] if action is not None else []
    ranges += [(strip.frame_start, strip.frame_end) for strip in strips_of(armature)]
    if not ranges:
        raise InputError(f'"{armature.name}" has no motion yet. Generate one first.')
    return round(min(first for first, _ in ranges)), round(max(last for _, last in ranges))


def repair_range(context: bpy.types.Context, armature: bpy.types.Object) -> tuple[int, int]:
    """The first frame to make anew and the first to keep again: the preview range, or the range of
    the selected keys.

    Raises:
        InputError: Neither is there.
    """
    scene = context.scene
    if scene.use_preview_range:
        return scene.frame_preview_start, scene.frame_preview_end + 1
    frames = [
        point.co[0]
        for curve in action_curves(armature)
        for point in curve.keyframe_points
        if point.select_control_point
    ]
    if not frames or min(frames) == max(frames):
        raise InputError(
            "Choose the frames: set a preview range (P in the timeline), or select their keys."
        )
    return math.ceil(min(frames)), math.floor(max(frames)) + 1
