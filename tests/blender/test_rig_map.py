# SPDX-License-Identifier: GPL-3.0-or-later

"""The panel Rig: the map that is kept with an armature, edited, and saved as a preset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from rigs import zoo_rig

from t2m_blender.blender import rig_map
from t2m_blender.blender.armature import armature_to_rig
from t2m_blender.blender.placement import place_motion
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import HUMANML3D


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of this test alone."""
    monkeypatch.setattr(rig_map, "presets_folder", lambda *, create=False: tmp_path)
    return tmp_path


@pytest.fixture
def armature(scene, add_on, shared: Path) -> bpy.types.Object:
    return zoo_rig(shared, "mixamo")


def test_recognised_shown_edited_and_kept_with_the_file(armature, generated, tmp_path) -> None:
    assert armature.t2m_rig.left_knee == ""
    assert bpy.ops.t2m.recognise_rig() == {"FINISHED"}
    fields = armature.t2m_rig
    assert fields.left_knee == "mixamorig:LeftLeg" and fields.head == "mixamorig:Head"
    assert all(confidence == 1.0 for _, confidence in rig_map.kept_bones(armature).values())
    fields.head = ""
    fields.left_collar = "mixamorig:LeftEye"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edited.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "edited.blend"))
    again = bpy.data.objects["mixamo"]
    assert again.t2m_rig.head == "" and again.t2m_rig.left_collar == "mixamorig:LeftEye"
    again.select_set(True)
    bpy.context.view_layer.objects.active = again
    place_motion(bpy.context, generated())
    from t2m_blender.blender.action import action_curves

    keyed = {curve.data_path.split('"')[1] for curve in action_curves(again)}
    assert "mixamorig:LeftEye" in keyed
    assert not {"mixamorig:Head", "mixamorig:LeftShoulder"} & keyed
    assert bpy.ops.t2m.recognise_rig() == {"FINISHED"}
    assert again.t2m_rig.head == "mixamorig:Head"
    assert bpy.ops.t2m.forget_rig() == {"FINISHED"}
    assert again.t2m_rig.head == "" and rig_map.kept_text(again) is None


def test_a_bone_plays_one_joint(armature) -> None:
    bpy.ops.t2m.recognise_rig()
    armature.t2m_rig.left_knee = "mixamorig:LeftFoot"
    assert armature.t2m_rig.left_knee == "mixamorig:LeftFoot"
    assert armature.t2m_rig.left_ankle == ""
    rig = armature_to_rig(armature)
    with pytest.raises(InputError, match=r"mapped to left_ankle.*panel Rig"):
        rig_map.bone_map_of(armature, rig)
    with pytest.raises(InputError, match="has no bone 'Tail'"):
        rig_map.set_bone(armature, rig, "head", "Tail")


def test_every_joint_has_its_field(armature) -> None:
    from t2m_blender.blender.rig_panel import _ROWS

    shown = [joint for _, joint in _ROWS]
    assert sorted(shown) == sorted(HUMANML3D.joint_names)
    bpy.ops.t2m.recognise_rig()
    kept = rig_map.kept_bones(armature)
    assert {joint: getattr(armature.t2m_rig, joint) for joint in kept} == {
        joint: bone for joint, (bone, _) in kept.items()
    }


def test_a_preset_of_the_users_is_used_for_the_next_rig(armature, presets, shared) -> None:
    for number, bone in enumerate(armature.data.bones):
        bone.name = f"q{number}"
    assert bpy.ops.t2m.recognise_rig() == {"FINISHED"}
    assert json.loads(rig_map.kept_text(armature))["family"] == "by_shape"
    assert bpy.ops.t2m.save_rig_preset(title="Studio Hero 2") == {"FINISHED"}
    assert [path.name for path in presets.iterdir()] == ["studio_hero_2.json"]
    assert json.loads((presets / "studio_hero_2.json").read_text())["title"] == "Studio Hero 2"
    assert bpy.ops.t2m.recognise_rig() == {"FINISHED"}
    assert json.loads(rig_map.kept_text(armature))["family"] == "studio_hero_2"
    with pytest.raises(RuntimeError, match="name with letters or digits"):
        bpy.ops.t2m.save_rig_preset(title="...")


def test_presets_are_never_in_the_extension_itself(scene) -> None:
    package = Path(rig_map.__file__).resolve().parents[1]
    assert package not in rig_map.presets_folder().resolve().parents


def test_what_was_kept_and_is_damaged_is_said(armature) -> None:
    armature.data[rig_map.PROPERTY] = "{"
    assert armature.t2m_rig.head == ""
    with pytest.raises(InputError, match="cannot be read"):
        rig_map.bone_map_of(armature, armature_to_rig(armature))
    assert bpy.ops.t2m.recognise_rig() == {"FINISHED"}
    assert armature.t2m_rig.head == "mixamorig:Head"


def test_drawing_recognises_nothing(armature, monkeypatch) -> None:
    """The panel reads what is kept; on a control rig of 700 bones recognition takes a while."""
    monkeypatch.setattr(rig_map, "map_bones", lambda *_, **__: pytest.fail("recognised"))
    assert rig_map.kept_bones(armature) == {} and armature.t2m_rig.pelvis == ""
