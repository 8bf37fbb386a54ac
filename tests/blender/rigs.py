# SPDX-License-Identifier: GPL-3.0-or-later
"""Armatures of all sorts for the tests beside this file, and what Blender makes of them."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from t2m_blender.blender.armature import rig_to_armature
from t2m_blender.retarget.rig import Bone, Rig


def zoo_rig(shared: Path, name: str) -> bpy.types.Object:
    """One of the shared rigs as the selected armature."""
    from benchmarks.zoo import read_rig

    return rig_to_armature(read_rig(shared / "data" / "rigs" / f"{name}.json"), bpy.context)


def chain(count: int) -> bpy.types.Object:
    """A rope: bones one after the other."""
    bones: list[Bone] = []
    for number in range(count):
        head = np.array([0.0, 0.0, float(number)])
        matrix = np.eye(4)[[0, 2, 1, 3]].T * [1, 1, -1, 1]
        matrix[:3, 3] = head
        parent = bones[-1].name if bones else None
        bones.append(Bone(f"link{number}", parent, head, head + (0, 0, 1), matrix))
    return rig_to_armature(Rig("Rope", tuple(bones)), bpy.context)


def evaluated(armature: bpy.types.Object, bones: list[str], frame: int) -> dict[str, np.ndarray]:
    """Armature-space matrices of bones as Blender poses them."""
    bpy.context.scene.frame_set(frame)
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    return {bone: np.array(posed[bone].matrix) for bone in bones}


def everything() -> dict[str, object]:
    """What the file holds besides the armature's own new Action, to compare before and after."""
    return {
        "actions": {action.name: _keys(action) for action in bpy.data.actions},
        "objects": {
            item.name: (
                item.mode,
                item.select_get(),
                item.hide_get(),
                tuple(tuple(row) for row in item.matrix_world),
                tuple(sorted(key for key in item.keys() if key != "t2m_bone_map")),
            )
            for item in bpy.context.scene.objects
        },
        "constraints": {
            (item.name, bone.name): [
                (c.type, c.name, c.mute, round(c.influence, 6), getattr(c, "subtarget", ""))
                for c in bone.constraints
            ]
            for item in bpy.context.scene.objects
            if item.pose
            for bone in item.pose.bones
        },
        "bones": {
            (item.name, bone.name): (
                bone.rotation_mode,
                tuple(bone.lock_location),
                tuple(bone.lock_rotation),
                bone.bone.hide,
                bone.custom_shape.name if bone.custom_shape else None,
            )
            for item in bpy.context.scene.objects
            if item.pose
            for bone in item.pose.bones
        },
        "markers": [(marker.name, marker.frame) for marker in bpy.context.scene.timeline_markers],
        "assets": sorted(action.name for action in bpy.data.actions if action.asset_data),
        "active": bpy.context.view_layer.objects.active,
        "frame": bpy.context.scene.frame_current,
    }


def _keys(action: bpy.types.Action) -> list[tuple]:
    from t2m_blender.blender.action import action_parts

    return [
        (curve.data_path, curve.array_index, [tuple(point.co) for point in curve.keyframe_points])
        for _, curves in action_parts(action)
        for curve in curves
    ]
