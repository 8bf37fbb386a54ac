# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone is which joint: real rigs against tables written by hand, spoilt rigs, families."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import Order, nonsense, person

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_to_matrix
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import (
    Bone,
    BoneMap,
    Rig,
    bone_map_from_json,
    bone_map_to_json,
    default_rig,
    map_bones,
)
from t2m_blender.retarget.bone_map import BY_SHAPE, bone_map_to_preset
from t2m_blender.retarget.families import PRESETS, read_preset

HERE = Path(__file__).parent

# What each rig's bones are, read off their places: sided joints with {} for the side, in the order
# hip, knee, ankle, foot (ball), collar, shoulder, elbow, wrist; then pelvis, spine1..3, neck, head.
SIDED = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
MIDDLE = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
TRUTH: dict[str, tuple[tuple[str, str], str, str]] = {
    "T2M Figure": (
        ("L", "R"),
        "thigh.{} shin.{} foot.{} toe.{} collar.{} upper_arm.{} forearm.{} hand.{}",
        "pelvis spine1 spine2 spine3 neck head",
    ),
    "cmu_cgspeed": (
        ("Left", "Right"),
        "{}UpLeg {}Leg {}Foot {}ToeBase {}Shoulder {}Arm {}ForeArm {}Hand",
        "Hips LowerBack Spine Spine1 Neck Head",
    ),
    "daz_friendly": (
        ("l", "r"),
        "{}Thigh {}Shin {}Foot - {}Collar {}Shldr {}ForeArm {}Hand",
        "hip abdomen - chest neck head",
    ),
    "gdquest_mannequiny": (
        ("l", "r"),
        "thigh.{} calf.{} foot.{} ball.{} clavicle.{} upperarm.{} lowerarm.{} hand.{}",
        "pelvis spine_01 - spine_02 neck_01 head",
    ),
    "iclone_cc3": (
        ("CC_Base_L", "CC_Base_R"),
        "{}_Thigh {}_Calf {}_Foot {}_ToeBase {}_Clavicle {}_Upperarm {}_Forearm {}_Hand",
        "CC_Base_Hip CC_Base_Waist CC_Base_Spine01 CC_Base_Spine02 CC_Base_NeckTwist01 "
        "CC_Base_Head",
    ),
    "kaykit_medium": (
        ("l", "r"),
        "upperleg.{} lowerleg.{} foot.{} toes.{} - upperarm.{} lowerarm.{} wrist.{}",
        "hips spine - chest - head",
    ),
    "mesh2motion_human": (
        ("l", "r"),
        "thigh_{} calf_{} foot_{} ball_{} clavicle_{} upperarm_{} lowerarm_{} hand_{}",
        "pelvis spine_01 spine_02 spine_03 neck_01 head",
    ),
    "mixamo": (
        ("mixamorig:Left", "mixamorig:Right"),
        "{}UpLeg {}Leg {}Foot {}ToeBase {}Shoulder {}Arm {}ForeArm {}Hand",
        "mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck "
        "mixamorig:Head",
    ),
    "mesh2motion_base": (
        ("L", "R"),
        "DEF-thigh.{} DEF-shin.{} DEF-foot.{} DEF-toe.{} DEF-shoulder.{} DEF-upper_arm.{} "
        "DEF-forearm.{} DEF-hand.{}",
        "DEF-hips DEF-spine.001 DEF-spine.002 DEF-spine.003 DEF-neck DEF-head",
    ),
    "rigify_metarig": (
        ("L", "R"),
        "thigh.{} shin.{} foot.{} toe.{} shoulder.{} upper_arm.{} forearm.{} hand.{}",
        "spine spine.001 spine.002 spine.003 spine.004 spine.006",
    ),
    "rigify_generated": (
        ("L", "R"),
        "DEF-thigh.{} DEF-shin.{} DEF-foot.{} DEF-toe.{} DEF-shoulder.{} DEF-upper_arm.{} "
        "DEF-forearm.{} DEF-hand.{}",
        "DEF-spine DEF-spine.001 DEF-spine.002 DEF-spine.003 DEF-spine.004 DEF-spine.006",
    ),
}
TRUTH["rigify_metarig_basic"] = TRUTH["rigify_metarig"]
TRUTH["rigify_generated_basic"] = TRUTH["rigify_generated"]
FAMILY = {
    "T2M Figure": "t2m",
    "daz_friendly": "poser",
    "gdquest_mannequiny": "unreal",
    "iclone_cc3": "character_creator",
    "mesh2motion_human": "unreal",
    "rigify_metarig_basic": "rigify_metarig",
    "rigify_generated_basic": "rigify_generated",
}


def truth_of(name: str) -> dict[str, str]:
    sides, limbs, middle = TRUTH[name]
    truth = dict(zip(MIDDLE, middle.split(), strict=True))
    for side, spelt in zip(("left", "right"), sides, strict=True):
        for joint, bone in zip(SIDED, limbs.split(), strict=True):
            truth[f"{side}_{joint}"] = bone.format(spelt)
    return {joint: bone for joint, bone in truth.items() if bone != "-"}


def rig_of(name: str, shared: Path) -> Rig:
    if name == "T2M Figure":
        return default_rig()
    measured = HERE / "rigs" / f"{name}.json"
    if measured.exists():
        return measured_rig(measured)
    data = json.loads((shared / "data" / "rigs" / f"{name}.json").read_text())
    bones = tuple(
        Bone(
            b["name"],
            b["parent"],
            *(np.array(b[key], float) for key in ("head", "tail", "matrix")),
            deform=b["deform"],
            connected=b["connected"],
        )
        for b in data["bones"]
    )
    return Rig(name, bones, np.array(data["object_matrix"], float))


def measured_rig(path: Path) -> Rig:
    """Rests measured in Blender: name, parent, head, tail, deform."""
    bones = []
    for name, parent, head, tail, deform in json.loads(path.read_text()):
        matrix = np.eye(4)
        matrix[:3, 3] = head
        ends = (np.array(end, float) for end in (head, tail))
        bones.append(Bone(name, parent, *ends, matrix, deform=bool(deform)))
    return Rig(path.stem, tuple(bones))


# ---- rigs spoilt in the ways rigs come spoilt ------------------------------------------------


def renamed(rig: Rig, names: Callable[[str], str]) -> Rig:
    return replace(
        rig,
        bones=tuple(
            replace(bone, name=names(bone.name), parent=bone.parent and names(bone.parent))
            for bone in rig.bones
        ),
    )


def rolled(rig: Rig, truth: dict[str, str]) -> Rig:
    """Every bone with any axes: rolls at random, y not along the bone."""
    random = np.random.default_rng(2)

    def other(bone: Bone) -> Bone:
        axis = random.normal(size=3)
        angle = np.array(random.uniform(-np.pi, np.pi))
        turn = quaternion_from_axis_angle(axis / np.linalg.norm(axis), angle)
        matrix = bone.matrix.copy()
        matrix[:3, :3] = matrix[:3, :3] @ quaternion_to_matrix(turn)
        return replace(bone, matrix=matrix)

    return replace(rig, bones=tuple(map(other, rig.bones)))


def turned_object(rig: Rig, truth: dict[str, str]) -> Rig:
    """y up in centimetres, the object turned by 90 degrees and scaled by 0.01."""
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])

    def other(bone: Bone) -> Bone:
        head, tail = (100.0 * turn @ end for end in (bone.head, bone.tail))
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn @ bone.matrix[:3, :3], head
        return replace(bone, head=head, tail=tail, matrix=matrix)

    world = np.eye(4)
    world[:3, :3] = 0.01 * turn.T
    return replace(rig, bones=tuple(map(other, rig.bones)), matrix_world=rig.matrix_world @ world)


def lowered_arms(degrees: float) -> Callable[[Rig, dict[str, str]], Rig]:
    """The arms turned down about the line from back to front, in the rest pose."""

    def lowered(rig: Rig, truth: dict[str, str]) -> Rig:
        at = {joint: rig.by_name[bone].head for joint, bone in truth.items()}
        up = at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]
        left = at["left_shoulder"] - at["right_shoulder"]
        ahead = np.cross(left, up)
        ahead /= np.linalg.norm(ahead)
        moved = {bone.name: bone for bone in rig.bones}
        for side, sign in (("left", 1.0), ("right", -1.0)):
            angle = np.array(np.radians(sign * degrees))
            turn = quaternion_to_matrix(quaternion_from_axis_angle(ahead, angle))
            centre = at[f"{side}_shoulder"]
            below: set[str] = set()
            for bone in rig.bones:
                if bone.name == truth[f"{side}_shoulder"] or bone.parent in below:
                    below.add(bone.name)
                    head, tail = (centre + turn @ (end - centre) for end in (bone.head, bone.tail))
                    matrix = bone.matrix.copy()
                    matrix[:3, :3], matrix[:3, 3] = turn @ matrix[:3, :3], head
                    moved[bone.name] = replace(bone, head=head, tail=tail, matrix=matrix)
        return replace(rig, bones=tuple(moved[bone.name] for bone in rig.bones))

    return lowered


SPOILT: dict[str, Callable[[Rig, dict[str, str]], Rig]] = {
    "as it is": lambda rig, truth: rig,
    "any axes, object turned": lambda rig, truth: rolled(turned_object(rig, truth), truth),
    "A-pose": lowered_arms(45.0),
    "arms down": lowered_arms(80.0),
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("name", TRUTH)
def test_real_rigs_are_mapped_exactly(shared: Path, name: str, spoilt: str) -> None:
    """By name, and by shape alone under names that say nothing."""
    truth = truth_of(name)
    rig = rig_of(name, shared)
    if spoilt in ("A-pose", "arms down") and not hangs_together(rig, truth):
        pytest.skip("the arms of a control rig do not hang together")
    rig = SPOILT[spoilt](rig, truth)
    by_name = map_bones(rig)
    assert by_name.family == FAMILY.get(name, name)
    assert by_name.bones == truth
    assert min(by_name.confidence.values()) > 0.75
    unnamed, back = nonsense(rig)
    by_shape = map_bones(unnamed)
    assert by_shape.family == BY_SHAPE
    assert {joint: back[bone] for joint, bone in by_shape.bones.items()} == truth
    assert 0.3 < min(by_shape.confidence.values()) <= max(by_shape.confidence.values()) < 1.0


def test_controls_that_an_exporter_marked_as_moving_are_seen_through(shared: Path) -> None:
    """Rigify's rig after a round trip through a format that knows no controls."""
    rig = rig_of("rigify_generated", shared)
    marked = replace(rig, bones=tuple(replace(bone, deform=True) for bone in rig.bones))
    assert map_bones(marked).bones == truth_of("rigify_generated")


def test_a_figure_without_a_head_has_none() -> None:
    rig, truth = person(Order())
    for bone in ("neck", "head"):
        del truth[bone]
    kept = tuple(bone for bone in rig.bones if not bone.name.startswith(("neck", "head")))
    unnamed, back = nonsense(replace(rig, bones=kept))
    found = map_bones(unnamed)
    assert {joint: back[bone] for joint, bone in found.bones.items()} == truth


def hangs_together(rig: Rig, truth: dict[str, str]) -> bool:
    bone = rig.by_name[truth["left_wrist"]]
    while bone.parent is not None:
        bone = rig.by_name[bone.parent]
        if bone.name == truth["left_shoulder"]:
            return True
    return False


# ---- people made to order ---------------------------------------------------------------------

PEOPLE = {
    "plain": Order(),
    "no fingers": Order(fingers=0),
    "A-pose": Order(arms="A"),
    "arms down": Order(arms="down", fingers=0),
    **{f"{count} spine bones": Order(spine=count) for count in (0, 1, 2, 4, 5, 6)},
    **{f"{count} neck bones": Order(neck=count) for count in (0, 2, 3)},
    "no collars": Order(collars=0, fingers=0),
    "two collar bones": Order(collars=2, fingers=0),
    "no toes": Order(toes=False),
    "13 joints and a head": Order(spine=1, neck=0, collars=0, toes=False, fingers=0),
    "twist bones in the limbs": Order(twist="chain", fingers=0),
    "twist bones in the limbs, A-pose": Order(twist="chain", fingers=0, arms="A", collars=0),
    "twist bones beside": Order(twist="sibling"),
    "hundred face bones": Order(face=100),
    "root": Order(roots=("root",)),
    "root, pelvis and hips": Order(roots=("root", "pelvis", "cog")),
    "legs and spine on bones of their own": Order(split_hips=True),
    "hip stubs": Order(hip_stubs=True),
    "feet down": Order(feet_down=True),
    "five toes": Order(with_=("toes",)),
    "heels": Order(with_=("heel",)),
    "chibi": Order(leg=0.35, arm=0.5, torso=0.7, head=2.5),
    "long arms": Order(arm=1.7),
    "long legs": Order(leg=1.6),
    "short legs": Order(leg=0.6),
    "uneven": Order(noise=0.02, twist="chain", fingers=0),
    "centimetres, y up": Order(y_up=True, size=100.0),
    "millimetres": Order(size=0.001),
    "facing +y": Order(yaw_deg=180.0),
    "facing +y, little to tell it": Order(yaw_deg=180.0, toes=False, fingers=0, arms="down"),
    "facing +y, feet down": Order(yaw_deg=180.0, feet_down=True, fingers=0),
    "facing -z, y up": Order(yaw_deg=180.0, y_up=True, toes=False, fingers=0),
    "facing +x": Order(yaw_deg=90.0),
    "facing askew": Order(yaw_deg=37.0),
    **{
        extra: Order(with_=(extra,))
        for extra in (
            *("ponytail", "twin_tails", "skirt", "gown", "cape", "tail", "wings", "breasts"),
            *("ears", "head_end", "targets", "backpack", "left_sword", "sleeves", "pauldrons"),
            *("scabbard", "pants", "double", "arms4"),
        )
    },
    "girl": Order(
        face=60,
        arms="A",
        roots=("root",),
        with_=("twin_tails", "skirt", "breasts", "ears", "targets", "head_end"),
    ),
    "lady": Order(fingers=0, toes=False, with_=("gown", "ponytail")),
    "everything": Order(
        face=80,
        twist="chain",
        roots=("root",),
        arms="A",
        with_=(
            *("sleeves", "pauldrons", "scabbard", "pants", "double", "skirt", "cape", "twin_tails"),
            *("targets", "breasts", "ears", "tail"),
        ),
    ),
    "angel": Order(
        twist="chain", fingers=3, with_=("wings", "gown", "cape", "tail", "backpack", "left_sword")
    ),
    "fairy": Order(fingers=0, collars=0, with_=("wings", "targets"), yaw_deg=180.0),
    "chibi with twin tails": Order(
        leg=0.35, arm=0.5, torso=0.7, head=2.5, fingers=0, with_=("twin_tails", "skirt")
    ),
}


@pytest.mark.parametrize("kind", PEOPLE)
def test_people_of_all_kinds_are_mapped_by_shape(kind: str) -> None:
    rig, truth = person(PEOPLE[kind])
    unnamed, back = nonsense(rig)
    found = map_bones(unnamed)
    assert {joint: back[bone] for joint, bone in found.bones.items()} == truth
    assert found.missing == ()


def test_where_nothing_shows_the_facing_the_user_is_told() -> None:
    """A figure that is the same from before and from behind, its left on +y."""
    rig, truth = person(Order(toes=False, fingers=0))
    flat = tuple(
        replace(
            bone,
            head=bone.head * [1.0, 0.0, 1.0],
            tail=bone.head * [1.0, 0.0, 1.0] - [0, 0, 0.05] if "foot" in bone.name else bone.tail,
        )
        for bone in rig.bones
    )
    for turn in (np.eye(3), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])):
        bones = tuple(replace(bone, head=turn @ bone.head, tail=turn @ bone.tail) for bone in flat)
        found = map_bones(nonsense(replace(rig, bones=bones))[0])
        assert any("guess" in note for note in found.notes)
        assert found.confidence["left_knee"] < 0.75 * found.confidence["pelvis"]
    sure = map_bones(nonsense(rig)[0])
    assert sure.notes == () and sure.confidence["left_knee"] > 0.85 * sure.confidence["pelvis"]
    named = map_bones(replace(rig, bones=flat))  # left_thigh and so on
    assert named.notes == () and named.bones["left_knee"] == truth["left_knee"]


# ---- families by the names and the oddities of their hierarchies ------------------------------


def other_names(rig: Rig, names: dict[str, str], hang: dict[str, str] | None = None) -> Rig:
    """The rig under a family's names: `{}` stands for the side; bones may hang on others."""
    sided = {}
    for own, family in names.items():
        if "{}" in own:
            left, _, right = family.partition("|")
            sided[own.format("left")] = left
            sided[own.format("right")] = right
        else:
            sided[own] = family
    parents = {bone.name: bone.parent for bone in rig.bones} | (hang or {})
    ordered = [bone for bone in rig.bones if parents[bone.name] is None]
    for bone in ordered:
        ordered.extend(child for child in rig.bones if parents[child.name] == bone.name)
    bones = []
    for bone in ordered:
        parent = parents[bone.name]
        name = sided.get(bone.name, bone.name)
        bones.append(replace(bone, name=name, parent=parent and sided.get(parent, parent)))
    return replace(rig, bones=tuple(bones))


def sides(left: str, right: str, **bones: str) -> dict[str, str]:
    """Own sided bone -> the family's, the mark # standing for its way to write the side."""
    return {
        f"{{}}_{own}": f"{bone.replace('#', left)}|{bone.replace('#', right)}"
        for own, bone in bones.items()
    }


ODD_FAMILIES: dict[str, tuple[Order, dict[str, str], dict[str, str], dict[str, str]]] = {
    # family: order, names, what hangs elsewhere, joints that differ from the order's own truth
    "biped": (
        Order(spine=3, roots=("root",), with_=("ponytail",)),
        {
            **{"root": "Bip001", "hips": "Bip001 Pelvis", "spine0": "Bip001 Spine"},
            **{"spine1": "Bip001 Spine1", "spine2": "Bip001 Spine2", "neck0": "Bip001 Neck"},
            **{"head": "Bip001 Head", "ponytail0": "Bip001 Ponytail1"},
            **sides(
                "L",
                "R",
                thigh="Bip001 # Thigh",
                shin="Bip001 # Calf",
                foot="Bip001 # Foot",
                toe="Bip001 # Toe0",
                collar="Bip001 # Clavicle",
                upper="Bip001 # UpperArm",
                fore="Bip001 # Forearm",
                hand="Bip001 # Hand",
            ),
        },
        {
            **{"left_thigh": "spine0", "right_thigh": "spine0"},
            **{"left_collar": "neck0", "right_collar": "neck0"},
        },
        {"spine1": "Bip001 Spine1", "spine2": "-", "spine3": "Bip001 Spine2"},
    ),
    "mmd": (
        Order(
            spine=2,
            split_hips=True,
            twist="chain",
            roots=("all", "centre", "groove"),
            with_=("targets", "skirt", "twin_tails"),
        ),
        {
            **{"all": "全ての親", "centre": "センター", "groove": "グルーブ", "hips": "腰"},
            **{"lower": "下半身", "spine0": "上半身", "spine1": "上半身2", "neck0": "首"},
            **{"head": "頭", "ik_footL": "左足ＩＫ", "ik_footR": "右足ＩＫ"},
            **sides(
                "左",
                "右",
                thigh="#足",
                thigh_twist="#足捩",
                shin="#ひざ",
                shin_twist="#ひざ捩",
                foot="#足首",
                toe="#足先EX",
                collar="#肩",
                upper="#腕",
                upper_twist="#腕捩",
                fore="#ひじ",
                fore_twist="#手捩",
                hand="#手首",
            ),
        },
        {},
        {},
    ),
    "daz_genesis_3_8": (
        Order(spine=4, neck=2, split_hips=True, twist="chain", face=40),
        {
            **{"hips": "hip", "lower": "pelvis", "spine0": "abdomenLower"},
            **{"spine1": "abdomenUpper", "spine2": "chestLower", "spine3": "chestUpper"},
            **{"neck0": "neckLower", "neck1": "neckUpper", "head": "head"},
            **sides(
                "l",
                "r",
                thigh="#ThighBend",
                thigh_twist="#ThighTwist",
                shin="#Shin",
                foot="#Foot",
                toe="#Toe",
                collar="#Collar",
                upper="#ShldrBend",
                upper_twist="#ShldrTwist",
                fore="#ForearmBend",
                fore_twist="#ForearmTwist",
                hand="#Hand",
            ),
        },
        {},
        {"spine2": "abdomenUpper"},
    ),
    "auto_rig_pro": (
        Order(spine=2, twist="chain"),
        {
            **{"hips": "root.x", "spine0": "spine_01.x", "spine1": "spine_02.x"},
            **{"neck0": "neck.x", "head": "head.x"},
            **sides(
                "l",
                "r",
                thigh="thigh_twist.#",
                thigh_twist="thigh_stretch.#",
                shin="leg_stretch.#",
                shin_twist="leg_twist.#",
                foot="foot.#",
                toe="toes_01.#",
                collar="shoulder.#",
                upper="c_arm_twist_offset.#",
                upper_twist="arm_stretch.#",
                fore="forearm_stretch.#",
                fore_twist="forearm_twist.#",
                hand="hand.#",
            ),
        },
        {},
        {},
    ),
    "makehuman_default": (
        Order(spine=5, neck=3, hip_stubs=True, twist="chain", collars=2, face=50),
        {
            **{"hips": "root", "spine0": "spine05", "spine1": "spine04", "spine2": "spine03"},
            **{"spine3": "spine02", "spine4": "spine01", "neck0": "neck01", "neck1": "neck02"},
            **{"neck2": "neck03", "head": "head"},
            **sides(
                "L",
                "R",
                stub="pelvis.#",
                thigh="upperleg01.#",
                thigh_twist="upperleg02.#",
                shin="lowerleg01.#",
                shin_twist="lowerleg02.#",
                foot="foot.#",
                toe="toe1-1.#",
                collar="clavicle.#",
                scapula="shoulder01.#",
                upper="upperarm01.#",
                upper_twist="upperarm02.#",
                fore="lowerarm01.#",
                fore_twist="lowerarm02.#",
                hand="wrist.#",
            ),
        },
        {},
        {},
    ),
    "unreal": (  # UE5: five spine bones, IK bones at the root, twist bones
        Order(spine=5, neck=2, twist="sibling", roots=("root",), with_=("targets",)),
        {
            "hips": "pelvis",
            **{f"spine{k}": f"spine_0{k + 1}" for k in range(5)},
            **{"neck0": "neck_01", "neck1": "neck_02", "ik_footL": "ik_foot_l"},
            **sides(
                "l",
                "r",
                thigh="thigh_#",
                thigh_twist="thigh_twist_01_#",
                shin="calf_#",
                foot="foot_#",
                toe="ball_#",
                collar="clavicle_#",
                upper="upperarm_#",
                fore="lowerarm_#",
                hand="hand_#",
            ),
        },
        {},
        {},
    ),
    "valve": (
        Order(spine=4),
        {
            **{"hips": "ValveBiped.Bip01_Pelvis", "spine0": "ValveBiped.Bip01_Spine"},
            **{"spine1": "ValveBiped.Bip01_Spine1", "spine2": "ValveBiped.Bip01_Spine2"},
            **{"spine3": "ValveBiped.Bip01_Spine4", "neck0": "ValveBiped.Bip01_Neck1"},
            "head": "ValveBiped.Bip01_Head1",
            **sides(
                "L",
                "R",
                thigh="ValveBiped.Bip01_#_Thigh",
                shin="ValveBiped.Bip01_#_Calf",
                foot="ValveBiped.Bip01_#_Foot",
                toe="ValveBiped.Bip01_#_Toe0",
                collar="ValveBiped.Bip01_#_Clavicle",
                upper="ValveBiped.Bip01_#_UpperArm",
                fore="ValveBiped.Bip01_#_Forearm",
                hand="ValveBiped.Bip01_#_Hand",
            ),
        },
        {},
        {},
    ),
    "vroid": (
        Order(spine=3, roots=("Root",), with_=("skirt", "twin_tails", "breasts")),
        {
            **{"hips": "J_Bip_C_Hips", "spine0": "J_Bip_C_Spine", "spine1": "J_Bip_C_Chest"},
            **{"spine2": "J_Bip_C_UpperChest", "neck0": "J_Bip_C_Neck", "head": "J_Bip_C_Head"},
            **sides(
                "L",
                "R",
                thigh="J_Bip_#_UpperLeg",
                shin="J_Bip_#_LowerLeg",
                foot="J_Bip_#_Foot",
                toe="J_Bip_#_ToeBase",
                collar="J_Bip_#_Shoulder",
                upper="J_Bip_#_UpperArm",
                fore="J_Bip_#_LowerArm",
                hand="J_Bip_#_Hand",
            ),
        },
        {},
        {},
    ),
}


@pytest.mark.parametrize("family", ODD_FAMILIES)
def test_families_with_odd_hierarchies(family: str) -> None:
    order, names, hang, differs = ODD_FAMILIES[family]
    rig, truth = person(order)
    named = other_names(rig, names, hang)
    new = {own.name: own.name for own in rig.bones}
    for own, other in names.items():
        if "{}" in own:
            left, _, right = other.partition("|")
            new[own.format("left")], new[own.format("right")] = left, right
        else:
            new[own] = other
    wanted = {joint: new[bone] for joint, bone in truth.items()} | differs
    found = map_bones(named)
    assert found.family == family
    assert found.bones == {joint: bone for joint, bone in wanted.items() if bone != "-"}


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.json")), ids=lambda path: path.stem)
def test_every_family_is_found_by_its_names(path: Path) -> None:
    """Each preset's own bones on a plain figure."""
    preset = read_preset(path)
    assert preset.name == path.stem and preset.title
    spine = sum(f"spine{k}" in preset.bones for k in (1, 2, 3))
    order = Order(
        spine=spine,
        neck=int("neck" in preset.bones),
        collars=int("left_collar" in preset.bones),
        toes="left_foot" in preset.bones,
    )
    rig, truth = person(order)
    names = {bone: preset.bones[joint][0] for joint, bone in truth.items()}
    found = map_bones(renamed(rig, lambda bone: names.get(bone, bone)))
    assert found.family == preset.name
    assert found.bones == {joint: names[bone] for joint, bone in truth.items()}
    assert set(found.confidence.values()) == {1.0}


@pytest.mark.parametrize(
    "spelt",
    [
        lambda name: name.replace("mixamorig:", "mixamorig1:"),
        lambda name: name.replace("mixamorig:", ""),
        lambda name: name.replace("mixamorig:", "mixamorig"),
        lambda name: name.replace("mixamorig:", "Character1_"),
        lambda name: name.replace("mixamorig:", "hero|rig:").upper(),
        lambda name: name.replace("mixamorig:Left", "L_").replace("mixamorig:Right", "R_"),
        lambda name: name.replace("mixamorig:", "") + "_jnt",
    ],
    ids=["number", "bare", "glued", "character", "namespaces", "letters", "suffix"],
)
def test_a_family_is_known_under_other_prefixes(shared: Path, spelt: Callable[[str], str]) -> None:
    rig = renamed(rig_of("mixamo", shared), spelt)
    found = map_bones(rig)
    assert found.family == "mixamo"
    assert found.bones == {joint: spelt(bone) for joint, bone in truth_of("mixamo").items()}


def test_serial_numbers_behind_every_name_do_not_matter(shared: Path) -> None:
    rig = rig_of("mixamo", shared)
    numbers = {bone.name: f"{bone.name}_{k:02d}" for k, bone in enumerate(rig.bones)}
    found = map_bones(renamed(rig, numbers.__getitem__))
    assert found.family == "mixamo"
    assert found.bones == {joint: numbers[bone] for joint, bone in truth_of("mixamo").items()}


def test_words_of_any_language_help_where_the_family_is_unknown() -> None:
    rig, truth = person(Order(spine=2, with_=("skirt", "twin_tails")))
    words = {
        **{"hips": "Becken", "spine0": "Wirbelsaule", "spine1": "Brust", "neck0": "Hals"},
        **{"head": "Kopf", "left_thigh": "左大腿", "right_thigh": "右大腿"},
        **{"left_shin": "小腿.L", "right_shin": "小腿.R", "left_foot": "Foot_L"},
        **{"right_foot": "Foot_R", "left_upper": "Oberarm_l", "right_upper": "Oberarm_r"},
    }
    found = map_bones(renamed(rig, lambda name: words.get(name, name)))
    assert found.bones == {joint: words.get(bone, bone) for joint, bone in truth.items()}
    assert found.family == BY_SHAPE and found.notes == ()


# ---- names that are wrong ----------------------------------------------------------------------


def test_swapped_sides_are_seen_and_said(shared: Path) -> None:
    """Left and right exchanged in all names: the left foot's toes would point backwards."""

    def swapped(name: str) -> str:
        return name.replace("Left", "~").replace("Right", "Left").replace("~", "Right")

    rig = renamed(rig_of("mixamo", shared), swapped)
    found = map_bones(rig)
    assert found.family == BY_SHAPE
    assert any("swapped" in note for note in found.notes)
    assert found.bones == {joint: swapped(bone) for joint, bone in truth_of("mixamo").items()}


def test_names_on_the_wrong_bones_are_not_believed(shared: Path) -> None:
    rig = rig_of("mixamo", shared)
    names = [bone.name for bone in rig.bones]
    shuffled = dict(zip(names, np.random.default_rng(4).permutation(names), strict=True))
    found = map_bones(renamed(rig, lambda name: str(shuffled[name])))
    assert found.family == BY_SHAPE and "taken by their shape" in found.notes[0]
    assert found.bones == {j: str(shuffled[bone]) for j, bone in truth_of("mixamo").items()}


# ---- what is no person -------------------------------------------------------------------------


def thing(*chains: tuple[str, str | None, list[tuple[float, float, float]]]) -> Rig:
    """Bones in chains: name, the bone that the first hangs on, points."""
    bones = []
    for name, parent, points in chains:
        for number in range(len(points) - 1):
            head, tail = np.array(points[number], float), np.array(points[number + 1], float)
            matrix = np.eye(4)
            matrix[:3, 3] = head
            bones.append(Bone(f"{name}{number}", parent, head, tail, matrix))
            parent = f"{name}{number}"
    return Rig("Thing", tuple(bones))


def fingers(hand: str, x: float, sign: float) -> list:
    return [
        (f"{hand}f{k}", hand, [(sign * (x + d), 0.02 * (k - 2), 0) for d in (0, 0.04, 0.07, 0.09)])
        for k in range(5)
    ]


def without(order: Order, *parts: str) -> Rig:
    rig, _ = person(order)
    bones = [bone for bone in rig.bones if not any(part in bone.name for part in parts)]
    return replace(rig, bones=tuple(bones))


def cut_off(order: Order, *names: str) -> Rig:
    rig, _ = person(order)
    bones = [replace(b, parent=None) if b.name in names else b for b in rig.bones]
    return replace(rig, bones=tuple(sorted(bones, key=lambda bone: bone.parent is not None)))


PAIR = (1.0, -1.0)
DOG = thing(
    ("root", None, [(0, 0.3, 0.6), (0, 0.3, 0.7)]),
    ("spine", "root0", [(0, y, 0.62) for y in (0.25, 0.1, -0.05, -0.2, -0.3)]),
    ("neck", "spine3", [(0, -0.3, 0.65), (0, -0.4, 0.75), (0, -0.5, 0.8), (0, -0.65, 0.78)]),
    ("tail", "root0", [(0, 0.3 + 0.1 * k, 0.6) for k in range(5)]),
    *(
        (f"hind{s}", "root0", [(s * 0.08, 0.28, 0.58), (s * 0.09, 0.22, 0.35),
         (s * 0.09, 0.36, 0.18), (s * 0.09, 0.32, 0.04), (s * 0.09, 0.26, 0.02)])
        for s in PAIR
    ),
    *(
        (f"front{s}", "spine3", [(s * 0.07, -0.2, 0.58), (s * 0.08, -0.25, 0.48),
         (s * 0.08, -0.17, 0.3), (s * 0.08, -0.2, 0.08), (s * 0.08, -0.25, 0.02)])
        for s in PAIR
    ),
)  # fmt: skip
NO_PEOPLE: dict[str, tuple[Rig, str]] = {
    "a single bone": (thing(("bone", None, [(0, 0, 0), (0, 0, 1)])), "too few bones"),
    "a chain": (thing(("c", None, [(0, 0.1 * k, 0) for k in range(200)])), "no two arms"),
    "a dog": (DOG, "across its legs"),
    "a hand": (
        thing(("hand", None, [(0, 0, 0), (0.2, 0, 0), (0.3, 0, 0)]), *fingers("hand1", 0.3, 1.0)),
        "not recognised",
    ),
    "two hands": (
        thing(
            ("root", None, [(0, 0, 0), (0, 0, 0.1)]),
            *(("arm" + n, "root0", [(s * 0.2, 0, 0), (s * 0.45, 0, 0), (s * 0.5, 0, 0)])
              for n, s in zip("LR", PAIR, strict=True)),
            *(f for n, s in zip("LR", PAIR, strict=True) for f in fingers(f"arm{n}1", 0.5, s)),
        ),
        "not recognised",
    ),
    "an octopus": (
        thing(
            ("root", None, [(0, 0, 0), (0, 0, 0.3)]),
            *((f"t{k}_", "root0", [(np.sin(k * 0.785) * r, np.cos(k * 0.785) * r, -0.1 * r)
               for r in np.linspace(0.1, 1.5, 7)]) for k in range(8)),
        ),
        "not recognised",
    ),
    "a table": (
        thing(
            ("root", None, [(0, 0, 1), (0, 0, 1.2)]),
            *((f"leg{x}{y}_", "root0", [(x * 0.5, y * 0.4, z) for z in (1, 0.5, 0.05, 0)])
              for x in PAIR for y in PAIR),
        ),
        "not recognised",
    ),
    "a car": (
        thing(
            ("body", None, [(0, 0, 0.5), (0, -1, 0.5)]),
            *((f"wheel{x}{y}_", "body0", [(x * w, y * 1.3, 0.4) for w in (0.7, 0.8, 0.9, 1.0)])
              for x in PAIR for y in PAIR),
            *((f"door{x}", "body0", [(x * 0.8, -0.5, 0.6), (x * 0.8, 0.5, 0.6)]) for x in PAIR),
        ),
        "not recognised",
    ),
    "legs": (without(Order(), "collar", "upper", "fore", "hand", "finger"), "no two arms"),
    "a bust": (without(Order(), "thigh", "shin", "_foot", "toe"), "no two arms"),
    "one arm": (
        without(Order(), *(f"right_{p}" for p in ("collar", "upper", "fore", "hand", "finger"))),
        "no two arms",
    ),
    "no hips": (cut_off(Order(), "left_thigh", "right_thigh"), "no hips"),
    "feet at the root": (cut_off(Order(), "left_foot", "right_foot"), "no two arms"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_PEOPLE)
def test_what_is_no_person_is_refused_in_a_sentence(kind: str) -> None:
    rig, reason = NO_PEOPLE[kind]
    for bones in (rig, nonsense(rig)[0]):
        with pytest.raises(InputError, match=reason) as refused:
            map_bones(bones)
        assert rig.name in str(refused.value) and "Select a humanoid armature" in str(refused.value)


@pytest.mark.parametrize(
    "path", sorted((HERE / "rigs").glob("animal_*.json")), ids=lambda p: p.stem
)
def test_animals_are_refused(path: Path) -> None:
    """Rigify's: the quadruped's bones even have a person's names."""
    rig = measured_rig(path)
    for bones in (rig, nonsense(rig)[0]):
        with pytest.raises(InputError, match="not recognised as a person"):
            map_bones(bones)


def test_a_person_named_right_on_all_fours_is_refused(shared: Path) -> None:
    """The own figure's names on the bones of the dog."""
    dog = renamed(DOG, lambda name: name)
    names = {
        **{"root0": "pelvis", "spine0": "spine1", "spine1": "spine2", "spine3": "spine3"},
        **{"neck0": "neck", "neck1": "head"},
    }
    for sign, letter in zip(PAIR, "LR", strict=True):
        for number, joint in enumerate(("thigh", "shin", "foot", "toe")):
            names[f"hind{sign}{number}"] = f"{joint}.{letter}"
        for number, joint in enumerate(("collar", "upper_arm", "forearm", "hand")):
            names[f"front{sign}{number}"] = f"{joint}.{letter}"
    with pytest.raises(InputError, match="across its legs"):
        map_bones(renamed(dog, lambda name: names.get(name, name)))


# ---- the user's corrections --------------------------------------------------------------------


def test_a_correction_takes_the_bone_from_where_it_was() -> None:
    found = map_bones(default_rig())
    assert found.with_bone("neck", "spine3").bones["neck"] == "spine3"
    corrected = found.with_bone("spine3", "neck")
    assert corrected.bones["spine3"] == "neck" and "neck" not in corrected.bones
    assert corrected.confidence["spine3"] == 1.0
    assert corrected.score == pytest.approx(21 / 22)
    assert found.bones["spine3"] == "spine3", "a map is a value"
    without_knee = found.with_bone("left_knee", None)
    assert without_knee.missing == ("left_knee",)
    assert without_knee.with_bone("left_knee", "shin.L").bones == found.bones
    with pytest.raises(InputError, match="no joint 'tail'"):
        found.with_bone("tail", "spine3")


def test_a_map_is_kept_as_text() -> None:
    rig = default_rig()
    found = map_bones(rig).with_bone("neck", None)
    again = bone_map_from_json(bone_map_to_json(found), rig)
    assert again == found
    fewer = replace(rig, bones=tuple(bone for bone in rig.bones if bone.name != "head"))
    kept = bone_map_from_json(bone_map_to_json(found), fewer)
    assert "head" not in kept.bones and "No longer in the armature: head." in kept.notes
    for broken in ("", "[]", '{"family": "x"}', '{"family": "x", "bones": []}'):
        with pytest.raises(InputError, match=r"cannot be read.*press Recognise Again"):
            bone_map_from_json(broken, rig)


def test_a_map_becomes_a_preset_that_is_found_in_the_users_folder(tmp_path: Path) -> None:
    """A corrected map of a rig of nonsense names, saved, then read for a copy of that rig."""
    rig, truth = person(Order(twist="chain", spine=5))
    unnamed, back = nonsense(rig)
    new = {old: name for name, old in back.items()}
    corrected = map_bones(unnamed).with_bone("spine3", new["spine3"]).with_bone("neck", None)
    text = bone_map_to_preset(corrected, name="heroes", title="The heroes of our game")
    (tmp_path / "heroes.json").write_text(text, encoding="utf-8")
    found = map_bones(unnamed, folders=[tmp_path])
    assert found.family == "heroes"
    del truth["neck"]
    assert {joint: back[bone] for joint, bone in found.bones.items()} == {
        **truth,
        "spine3": "spine3",
    }
    (tmp_path / "broken.json").write_text('{"name": "broken", "bones": {"tail": "tail1"}}')
    with pytest.raises(InputError, match=r"broken\.json.*no joint 'tail'"):
        map_bones(unnamed, folders=[tmp_path])
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken\.json is not a rig preset"):
        map_bones(unnamed, folders=[tmp_path])


def test_maps_are_equal_by_value() -> None:
    one, other = map_bones(default_rig()), map_bones(default_rig())
    assert one == other and isinstance(one, BoneMap) and one.family == "t2m"
    assert one.confidence == dict.fromkeys(HUMANML3D.joint_names, 1.0)
