# SPDX-License-Identifier: GPL-3.0-or-later
"""Armatures of all sorts for the tests beside this file, and what Blender makes of them."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from t2m_blender.blender.armature import rig_to_armature
from t2m_blender.retarget.default_rig import default_rig
from t2m_blender.retarget.families import preset
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


def auto_rig_pro() -> bpy.types.Object:
    """A control rig with Auto-Rig Pro's names, built as it works: bones that deform copy FK or IK.

    The add-on itself is sold: this stands for its controls, its switches and its wiring.
    """
    figure = default_rig()
    at = {joint: figure.by_name[bones[0]] for joint, bones in preset("t2m").bones.items()}
    for word in ("left", "right"):  # limbs rest a little bent, or IK would not know where to
        for upper, middle, way in (("hip", "knee", -0.03), ("shoulder", "elbow", 0.03)):
            upper, middle = at[f"{word}_{upper}"], at[f"{word}_{middle}"]
            joint = middle.head + (0.0, way, 0.0)
            at[f"{word}_{'hip' if way < 0 else 'shoulder'}"] = _between(upper.head, joint)
            at[f"{word}_{'knee' if way < 0 else 'elbow'}"] = _between(joint, middle.tail)
    bones = {"c_traj": (at["pelvis"], None), "c_root_master.x": (at["pelvis"], "c_traj")}
    copies: dict[str, list[str]] = {}
    above = "c_root_master.x"
    bones["root.x"] = (at["pelvis"], above)
    for name, joint in (
        ("spine_01", "spine1"),
        ("spine_02", "spine2"),
        ("spine_03", "spine3"),
        ("neck", "neck"),
        ("head", "head"),
    ):
        bones[f"c_{name}.x"] = (at[joint], above)
        bones[f"{name}.x"] = (at[joint], f"c_{name}.x")
        above = f"c_{name}.x"
    for word, side in (("left", "l"), ("right", "r")):
        bones[f"c_shoulder.{side}"] = (at[f"{word}_collar"], "c_spine_03.x")
        bones[f"shoulder.{side}"] = (at[f"{word}_collar"], f"c_shoulder.{side}")
        leg = (("thigh", "hip"), ("leg", "knee"), ("foot", "ankle"), ("toes", "foot"))
        arm = (("arm", "shoulder"), ("forearm", "elbow"), ("hand", "wrist"))
        for parts, base, poles in ((leg, "root.x", "leg"), (arm, f"shoulder.{side}", "arms")):
            fk = ik = last = base
            for number, (part, joint) in enumerate(parts):
                bone = at[f"{word}_{joint}"]
                bones[f"c_{part}_fk.{side}"] = (bone, fk)
                fk = f"c_{part}_fk.{side}"
                if number < 2:
                    ik_name = f"{part}_ik.{side}"
                    bones[ik_name] = (bone, ik)
                    deform = f"{part}_stretch.{side}"
                else:
                    ik_name = f"c_{part}_ik.{side}"
                    bones[ik_name] = (bone, "c_traj" if number == 2 else ik)
                    deform = f"{part}_01.{side}" if part == "toes" else f"{part}.{side}"
                ik = ik_name
                bones[deform] = (bone, last)
                last = deform
                copies[deform] = [fk, ik_name]
            middle = at[f"{word}_{parts[1][1]}"]
            bones[f"c_{poles}_pole.{side}"] = (middle, "c_traj")
    made = [_placed(name, bone, parent) for name, (bone, parent) in bones.items()]
    armature = rig_to_armature(Rig("ARP", tuple(made)), bpy.context)
    _wire(armature, copies)
    return armature


def _between(head: np.ndarray, tail: np.ndarray) -> Bone:
    y = (tail - head) / np.linalg.norm(tail - head)
    x = np.cross(y, (0.0, 1.0, 0.0))
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((x, y, np.cross(x, y)), axis=-1)
    matrix[:3, 3] = head
    return Bone("", None, head, tail, matrix)


def _placed(name: str, bone: Bone, parent: str | None) -> Bone:
    """A copy of a bone; a pole stands half a metre in front of a knee or behind an elbow."""
    away = np.zeros(3)
    if "pole" in name:
        away = np.array([0.0, -0.5 if "leg" in name else 0.5, 0.0])
    matrix = bone.matrix.copy()
    matrix[:3, 3] += away
    deform = not name.startswith("c_") and "_ik" not in name
    return Bone(name, parent, bone.head + away, bone.tail + away, matrix, deform=deform)


def _wire(armature: bpy.types.Object, copies: dict[str, list[str]]) -> None:
    posed = armature.pose.bones
    for side in ("l", "r"):
        for end, middle, pole in (("foot", "leg", "leg"), ("hand", "forearm", "arms")):
            posed[f"c_{end}_ik.{side}"]["ik_fk_switch"] = 0.0
            solve(armature, f"{middle}_ik.{side}", f"c_{end}_ik.{side}", f"c_{pole}_pole.{side}")
    for deform, (fk, ik) in copies.items():
        for source in (ik, fk):
            copy = posed[deform].constraints.new("COPY_TRANSFORMS")
            copy.target, copy.subtarget = armature, source
        end = "foot" if any(part in deform for part in ("thigh", "leg", "foot", "toes")) else "hand"
        driver = posed[deform].constraints[-1].driver_add("influence").driver
        driver.type = "SUM"
        variable = driver.variables.new()
        variable.targets[0].id = armature
        variable.targets[0].data_path = f'pose.bones["c_{end}_ik.{deform[-1]}"]["ik_fk_switch"]'


def solve(armature: bpy.types.Object, middle: str, end: str, pole: str = "") -> None:
    """Inverse kinematics of a bone and its parent that leaves the rest pose as it is."""
    solver = armature.pose.bones[middle].constraints.new("IK")
    solver.target, solver.subtarget, solver.chain_count = armature, end, 2
    if not pole:
        return
    solver.pole_target, solver.pole_subtarget = armature, pole
    bone = armature.data.bones[middle].parent
    to_pole = armature.data.bones[pole].head_local - bone.head_local
    sideways, along = (bone.matrix_local.col[k].xyz for k in (0, 1))
    across = (to_pole - along * to_pole.dot(along)).normalized()
    angle = sideways.angle(across)
    solver.pole_angle = -angle if sideways.cross(across).dot(along) > 0 else angle


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
                sorted(set(item.keys()) - {"t2m_bone_map"}),
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
