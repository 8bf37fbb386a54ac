# SPDX-License-Identifier: GPL-3.0-or-later
"""Real rigs as armatures, spoilt in the ways that rigs come spoilt, and what is true of them.

Where the joints are is written here by hand, so that recognition is judged by something else than
itself. Needs `bpy`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from t2m_blender.blender.armature import armature_to_rig, make_default_armature, rig_to_armature
from t2m_blender.engine.rotations import quaternion_between, quaternion_to_matrix
from t2m_blender.retarget.rig import Bone, Rig

# The truth: hip, knee, ankle, ball, shoulder, elbow, wrist of a side; {} becomes the side's letter
# or word. A rig without a ball of the foot has None.
_LIMBS = ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist")
_GAME = ("thigh{}", "calf{}", "foot{}", "ball{}", "upperarm{}", "lowerarm{}", "hand{}")
_HIPS = ("{}UpLeg", "{}Leg", "{}Foot", "{}ToeBase", "{}Arm", "{}ForeArm", "{}Hand")
_CC3 = ("Thigh", "Calf", "Foot", "ToeBase", "Upperarm", "Forearm", "Hand")
_RIGIFY = ("thigh{}", "shin{}", "foot{}", "toe{}", "upper_arm{}", "forearm{}", "hand{}")
_TRUTH: dict[str, tuple[tuple[str | None, ...], tuple[str, str], str, str]] = {
    "cmu_cgspeed": (_HIPS, ("Left", "Right"), "Neck", "Head"),
    "daz_friendly": (
        ("{}Thigh", "{}Shin", "{}Foot", None, "{}Shldr", "{}ForeArm", "{}Hand"),
        ("l", "r"),
        "neck",
        "head",
    ),
    "gdquest_mannequiny": (_GAME, (".l", ".r"), "neck_01", "head"),
    "iclone_cc3": (
        tuple(f"CC_Base_{{}}_{bone}" for bone in _CC3),
        ("L", "R"),
        "CC_Base_NeckTwist01",
        "CC_Base_Head",
    ),
    "kaykit_medium": (
        ("upperleg{}", "lowerleg{}", "foot{}", "toes{}", "upperarm{}", "lowerarm{}", "wrist{}"),
        (".l", ".r"),
        "head",
        "head",
    ),
    "mesh2motion_human": (_GAME, ("_l", "_r"), "neck_01", "head"),
    "mixamo": (
        tuple(f"mixamorig:{bone}" for bone in _HIPS),
        ("Left", "Right"),
        "mixamorig:Neck",
        "mixamorig:Head",
    ),
    "rigify_metarig": (_RIGIFY, (".L", ".R"), "spine.004", "spine.006"),
    "rigify_generated": (
        tuple(f"DEF-{bone}" for bone in _RIGIFY),
        (".L", ".R"),
        "DEF-spine.004",
        "DEF-spine.006",
    ),
    "t2m": (
        ("thigh{}", "shin{}", "foot{}", "toe{}", "upper_arm{}", "forearm{}", "hand{}"),
        (".L", ".R"),
        "neck",
        "head",
    ),
}
NAMES = tuple(_TRUTH)
VARIANTS = ("as it is", "rolls", "nonsense names", "A-pose", "turned, 0.01")
NONSENSE = "nonsense names"


@dataclass(frozen=True, eq=False)
class Specimen:
    """One armature of the zoo, alone in its file.

    Attributes:
        name, variant: What it is.
        armature: The object.
        joints: Joint -> the bone whose head truly is that joint.
    """

    name: str
    variant: str
    armature: bpy.types.Object
    joints: dict[str, str]


def build(name: str, variant: str, folder: Path) -> Specimen:
    """One rig in an otherwise empty file.

    A generated control rig is spoilt before it is generated; but its names, which are spoilt by
    Blender, so that its constraints and drivers go on working.

    Args:
        name: One of `NAMES`.
        variant: One of `VARIANTS`.
        folder: With the rigs' JSON files.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    random = np.random.default_rng(sum(map(ord, name + variant)))
    joints = truth(name)
    if name == "rigify_generated":
        return _generated(name, variant, joints, random)
    rig = _source(name, folder)
    rig, renamed = _spoilt(rig, variant, joints, random)
    armature = rig_to_armature(rig, bpy.context)
    return Specimen(name, variant, armature, {j: renamed.get(b, b) for j, b in joints.items()})


def truth(name: str) -> dict[str, str]:
    """Joint -> bone of a rig as it comes."""
    limbs, sides, neck, head = _TRUTH[name]
    found = {"neck": neck, "head": head}
    for word, side in zip(("left", "right"), sides, strict=True):
        for joint, bone in zip(_LIMBS, limbs, strict=True):
            if bone is not None:
                found[f"{word}_{joint}"] = bone.format(side)
    return found


def read_rig(path: Path) -> Rig:
    """A rig of the shared folder: a JSON file of rest bones."""
    data = json.loads(path.read_text(encoding="utf-8"))
    bones = [
        Bone(
            name=bone["name"],
            parent=bone["parent"],
            head=np.array(bone["head"], dtype=np.float64),
            tail=np.array(bone["tail"], dtype=np.float64),
            matrix=np.array(bone["matrix"], dtype=np.float64),
            deform=bone["deform"],
            connected=bone["connected"],
        )
        for bone in data["bones"]
    ]
    return Rig(data["name"], tuple(bones), np.array(data["object_matrix"], dtype=np.float64))


@contextmanager
def rigify():
    """Blender's own Rigify, enabled for the moment."""
    import addon_utils

    addon_utils.enable("rigify", default_set=True)
    try:
        yield
    finally:
        addon_utils.disable("rigify", default_set=True)


def _source(name: str, folder: Path) -> Rig:
    if name == "t2m":
        return _taken(make_default_armature(bpy.context))
    if name == "rigify_metarig":
        with rigify():
            bpy.ops.object.armature_human_metarig_add()
            return _taken(bpy.context.object)
    return read_rig(folder / f"{name}.json")


def _taken(armature: bpy.types.Object) -> Rig:
    """The rig of an armature, which is then taken out of the file with all else."""
    rig = armature_to_rig(armature)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return rig


def _spoilt(
    rig: Rig, variant: str, joints: dict[str, str], random: np.random.Generator
) -> tuple[Rig, dict[str, str]]:
    """The rig made harder, and new names by old ones."""
    if variant == "rolls":
        return _with_bones(rig, lambda bone: _rolled(bone, random)), {}
    if variant == NONSENSE:
        numbers = random.permutation(len(rig.bones))
        names = {b.name: f"x{n:03d}" for b, n in zip(rig.bones, numbers, strict=True)}
        return _with_bones(
            rig, lambda b: replace(b, name=names[b.name], parent=names.get(b.parent))
        ), names
    if variant == "A-pose":
        return _with_arms_down(rig, joints), {}
    if variant == "turned, 0.01":
        turn = np.array(Matrix.Rotation(np.pi / 2, 4, "X") @ Matrix.Scale(0.01, 4))
        inside = np.linalg.inv(turn)
        bones = tuple(_moved(bone, inside) for bone in rig.bones)
        return Rig(rig.name, bones, rig.matrix_world @ turn), {}
    return rig, {}


def _with_bones(rig: Rig, change: Callable[[Bone], Bone]) -> Rig:
    return Rig(rig.name, tuple(change(bone) for bone in rig.bones), rig.matrix_world)


def _rolled(bone: Bone, random: np.random.Generator) -> Bone:
    roll = np.array(Matrix.Rotation(random.uniform(-np.pi, np.pi), 4, "Y"))
    return replace(bone, matrix=bone.matrix @ roll)


def _moved(bone: Bone, matrix: np.ndarray) -> Bone:
    """The bone seen in another space, which may be of another scale."""
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    inside = matrix @ bone.matrix
    inside[:3, :3] /= scale
    head = matrix[:3, :3] @ bone.head + matrix[:3, 3]
    tail = matrix[:3, :3] @ bone.tail + matrix[:3, 3]
    return replace(bone, head=head, tail=tail, matrix=inside)


def rest_axes(rig: Rig, joints: dict[str, str]) -> np.ndarray:
    """[3, 3] rows left, up and ahead of an upright figure in its armature's space."""
    at = {joint: rig.by_name[bone].head for joint, bone in joints.items()}

    def nearest(vector: np.ndarray) -> np.ndarray:
        axis = np.zeros(3)
        axis[np.argmax(np.abs(vector))] = np.sign(vector[np.argmax(np.abs(vector))])
        return axis

    up = nearest(at["head"] - at["left_hip"] - at["right_hip"] + at["head"])
    left = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    left = nearest(left * (up == 0.0))
    return np.stack((left, up, np.cross(left, up)))


def _with_arms_down(rig: Rig, joints: dict[str, str]) -> Rig:
    """Both arms at 45 degrees to the side, with all that hangs on them."""
    left, up, _ = rest_axes(rig, joints)
    bones = {bone.name: bone for bone in rig.bones}
    for side, way in (("left", left), ("right", -left)):
        shoulder = bones[joints[f"{side}_shoulder"]].head
        arm = bones[joints[f"{side}_elbow"]].head - shoulder
        turn = np.eye(4)
        turn[:3, :3] = quaternion_to_matrix(quaternion_between(arm, way - up))
        turn[:3, 3] = shoulder - turn[:3, :3] @ shoulder
        hanging = {joints[f"{side}_shoulder"]}
        for bone in rig.bones:
            if bone.name in hanging or bone.parent in hanging:
                hanging.add(bone.name)
                bones[bone.name] = _moved(bone, turn)
    return _with_bones(rig, lambda bone: bones[bone.name])


def _generated(
    name: str, variant: str, joints: dict[str, str], random: np.random.Generator
) -> Specimen:
    with rigify():
        bpy.ops.object.armature_human_metarig_add()
        metarig = bpy.context.object
        if variant in ("rolls", "A-pose"):
            rig, _ = _spoilt(armature_to_rig(metarig), variant, truth("rigify_metarig"), random)
            _reshape(metarig, rig)
        bpy.ops.pose.rigify_generate()
        armature = next(o for o in bpy.data.objects if o.type == "ARMATURE" and o != metarig)
        bpy.data.objects.remove(metarig)
    if variant == NONSENSE:
        renamed = rename(armature, random)
        joints = {joint: renamed[bone] for joint, bone in joints.items()}
    if variant == "turned, 0.01":
        armature.matrix_world = Matrix.Rotation(np.pi / 2, 4, "X") @ Matrix.Scale(0.01, 4)
    for selected in bpy.context.view_layer.objects.selected[:]:
        selected.select_set(False)
    armature.select_set(True)
    bpy.context.view_layer.objects.active = armature
    bpy.context.view_layer.update()
    return Specimen(name, variant, armature, joints)


def rename(armature: bpy.types.Object, random: np.random.Generator) -> dict[str, str]:
    """Gives every bone a name that says nothing; the new names by the old ones."""
    bones = list(armature.data.bones)
    renamed = {}
    for bone, number in zip(bones, random.permutation(len(bones)), strict=True):
        old, bone.name = bone.name, f"x{number:03d}"
        renamed[old] = bone.name
    return renamed


def _reshape(armature: bpy.types.Object, rig: Rig) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in rig.bones:
        edited = armature.data.edit_bones[bone.name]
        edited.head, edited.tail = bone.head.tolist(), bone.tail.tolist()
        edited.align_roll(bone.matrix[:3, 2].tolist())
    bpy.ops.object.mode_set(mode="OBJECT")
