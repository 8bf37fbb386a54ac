# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests read out of Blender, straight from its data."""

from __future__ import annotations

import bpy
import numpy as np

from t2m_blender.blender.action import action_curves
from t2m_blender.blender.rig_keys import PlacementOptions
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget.families import preset

AS_IT_IS = PlacementOptions(foot_lock=False)
"""The motion's own feet, for tests that compare places exactly."""


def curve_values(armature: bpy.types.Object, action: bpy.types.Action) -> dict:
    """(data path, index) -> [K, 2] frames and values, straight from the Action."""
    found = {}
    for curve in action_curves(armature, action):
        values = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
        curve.keyframe_points.foreach_get("co", values)
        found[curve.data_path, curve.array_index] = values.reshape(-1, 2)
    return found


def posed_joints(armature: bpy.types.Object, frames: range) -> np.ndarray:
    """World positions [T, 22, 3] of the evaluated pose bones' heads, in joint order."""
    bones = [preset("t2m").bones[joint][0] for joint in HUMANML3D.joint_names]
    scene = bpy.context.scene
    read = []
    for frame in frames:
        scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        read.append([posed.matrix_world @ posed.pose.bones[bone].head for bone in bones])
    return np.array(read)


def file_contents() -> dict[str, list[str]]:
    """The names of everything in the file that a press could add or take away."""
    kinds = ("objects", "armatures", "meshes", "materials", "actions", "collections", "scenes")
    return {kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds}
