# SPDX-License-Identifier: GPL-3.0-or-later
"""What bones' names say: one table of spellings from real rigs."""

from __future__ import annotations

import pytest

from t2m_blender.retarget.names import kinds_of, parse_name, without_serials


@pytest.mark.parametrize(
    ("name", "side", "stem", "numbers", "kind"),
    [
        ("mixamorig:LeftUpLeg", "left", "upleg", (), "hip"),
        ("mixamorig1:Spine2", "", "spine", (2,), "spine"),
        ("mixamorigRightArm", "right", "arm", (), "shoulder"),
        ("Bip01 L Thigh", "left", "thigh", (), "hip"),
        ("Bip001 Spine1", "", "spine", (1,), "spine"),
        ("ValveBiped.Bip01_R_UpperArm", "right", "upperarm", (), "shoulder"),
        ("CC_Base_L_Calf", "left", "calf", (), "knee"),
        ("CC_Base_L_CalfTwist01", "left", "calftwist", (1,), "other"),
        ("DEF-thigh.L.001", "left", "thigh", (1,), "hip"),
        ("ORG-spine.003", "", "spine", (3,), "spine"),
        ("J_Bip_C_Hips", "", "hips", (), "pelvis"),
        ("J_Bip_R_LowerLeg", "right", "lowerleg", (), "knee"),
        ("左足", "left", "足", (), "hip"),
        ("左足ＩＫ", "left", "足ik", (), "other"),
        ("右ひじ", "right", "ひじ", (), "elbow"),
        ("足首.L", "left", "足首", (), "ankle"),
        ("センター", "", "センター", (), "pelvis"),
        ("上半身2", "", "上半身", (2,), "spine"),
        ("右大腿", "right", "大腿", (), "hip"),
        ("lThighBend", "left", "thighbend", (), "hip"),
        ("RThumb", "right", "thumb", (), "other"),
        ("mCollarLeft", "left", "collar", (), "collar"),
        ("upperleg01.L", "left", "upperleg", (1,), "hip"),
        ("spine_01.x", "", "spine", (1,), "spine"),
        ("lf_arm", "left", "arm", (), "shoulder"),
        ("rt_foot", "right", "foot", (), "ankle"),
        ("leftforearm", "left", "forearm", (), "elbow"),
        ("handright", "right", "hand", (), "wrist"),
        ("lfemur", "left", "femur", (), "hip"),
        ("hand-l", "left", "hand", (), "wrist"),
        ("Character1_LeftForeArm", "left", "forearm", (), "elbow"),
        ("hero|rig:Head", "", "head", (), "head"),
        ("L_Hip", "left", "hip", (), "hip"),
        ("Hip", "", "hip", (), "pelvis"),
        ("RightToe_End", "right", "toeend", (), "other"),
        ("SKEL_Spine_Root", "", "spineroot", (), "pelvis"),
        ("Bone.001", "", "bone", (1,), None),
        ("q0042", "", "q", (42,), None),
        ("L5", "left", "l", (5,), None),
        ("_", "", "", (), None),
    ],
)
def test_a_name_is_taken_apart(
    name: str, side: str, stem: str, numbers: tuple[int, ...], kind: str | None
) -> None:
    parsed = parse_name(name)
    assert (parsed.side, parsed.stem, parsed.numbers) == (side, stem, numbers)
    kinds = kinds_of(name)
    assert kind in kinds if kind else not kinds


def test_words_with_more_than_one_meaning_keep_them_all() -> None:
    assert kinds_of("LeftShoulder") == {"collar", "shoulder"}
    assert kinds_of("Leg_R") == {"hip", "knee"}


def test_serials_are_taken_off_only_where_every_bone_has_one() -> None:
    numbered = [f"Bone{letter}_{k:03d}" for k, letter in enumerate("ABCDEFGHIJ")]
    assert without_serials(numbered)["BoneC_002"] == "BoneC"
    spines = ["hips", "spine_01", "spine_02", "thigh_l", "thigh_r"]
    assert without_serials(spines)["spine_02"] == "spine_02"
