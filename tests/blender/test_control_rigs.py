# SPDX-License-Identifier: GPL-3.0-or-later

"""Control rigs: keys on the controls, and the bones that deform do what the motion says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from rigs import auto_rig_pro, everything
from scene_reading import AS_IT_IS, curve_values

from benchmarks import zoo
from benchmarks.zoo_measures import angles_deg, measure, play
from t2m_blender.blender.action import action_curves
from t2m_blender.blender.armature import armature_to_rig
from t2m_blender.blender.placement import place_motion
from t2m_blender.blender.relocking import relock_feet
from t2m_blender.blender.rig_keys import PlacementOptions
from t2m_blender.blender.rig_map import bone_map_of
from t2m_blender.blender.wiring import wiring_of
from t2m_blender.engine.motion import Motion
from t2m_blender.retarget.control_families import control_rig_of
from t2m_blender.retarget.wired_controls import BY_WIRING, controls_by_wiring

IK = frozenset({"hands", "feet"})
LIMBS = [
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in ("left", "right")
    for upper, lower in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"))
]


@pytest.fixture(scope="module")
def generated_rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rigify's human rig, generated once, as a file."""
    specimen = zoo.build("rigify_generated", "as it is", Path())
    path = tmp_path_factory.mktemp("rigify") / "rig.blend"
    specimen.armature.name = "rig"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def rigify(generated_rig: Path) -> zoo.Specimen:
    bpy.ops.wm.open_mainfile(filepath=str(generated_rig))
    return _specimen(bpy.data.objects["rig"], zoo.truth("rigify_generated"))


@pytest.fixture
def arp(scene) -> zoo.Specimen:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    limbs = ("thigh_stretch", "leg_stretch", "foot", "toes_01", "arm_stretch", "forearm_stretch")
    joints = {"neck": "neck.x", "head": "head.x"}
    for word, side in (("left", "l"), ("right", "r")):
        names = zip(("hip", "knee", "ankle", "foot", "shoulder", "elbow"), limbs, strict=True)
        joints |= {f"{word}_{joint}": f"{bone}.{side}" for joint, bone in names}
        joints[f"{word}_wrist"] = f"hand.{side}"
    return _specimen(auto_rig_pro(), joints)


def _specimen(armature: bpy.types.Object, joints: dict[str, str]) -> zoo.Specimen:
    armature.select_set(True)
    bpy.context.view_layer.objects.active = armature
    return zoo.Specimen(armature.name, "as it is", armature, joints)


@pytest.fixture
def motion(clip: Motion) -> Motion:
    return Motion(clip.joints[40:90], 20.0)


@pytest.mark.parametrize("family", ["rigify", "arp"])
@pytest.mark.parametrize("ik", [frozenset(), IK], ids=["fk", "ik"])
def test_bones_that_deform_follow(request, motion, family, ik) -> None:
    specimen = request.getfixturevalue(family)
    found = measure(specimen, motion, "walk", ik=ik)
    assert found.misplaced == 0
    assert found.limbs_deg < (3.0 if ik else 0.1)
    assert found.path < 0.02 and found.swapped == 0
    assert found.slide_mm < 5.0


@pytest.mark.parametrize("family", ["rigify", "arp"])
@pytest.mark.parametrize("ik", [frozenset(), IK], ids=["fk", "ik"])
def test_controls_are_found_under_names_that_say_nothing(request, motion, family, ik) -> None:
    """The same controls and switches as by their names, found by what they move."""
    specimen = request.getfixturevalue(family)
    named = control_rig_of(armature_to_rig(specimen.armature))
    renamed = zoo.rename(specimen.armature, np.random.default_rng(1))
    joints = {joint: renamed[bone] for joint, bone in specimen.joints.items()}
    specimen = _specimen(specimen.armature, joints)
    rig = armature_to_rig(specimen.armature)
    bone_map = bone_map_of(specimen.armature, rig)
    found = controls_by_wiring(wiring_of(specimen.armature, rig), bone_map)
    assert found.name == BY_WIRING and found.root == renamed[named.root]
    known = {limb.joints: limb for limb in found.limbs}
    for limb in named.limbs:
        other = known[limb.joints]
        assert [renamed[bone] for bone in limb.fk] == list(other.fk)
        assert [renamed[bone] for bone in limb.ik] == list(other.ik)
        assert renamed[limb.pole] == other.pole
        for ours, theirs in (
            (other.fk_switches, limb.fk_switches),
            (other.ik_switches, limb.ik_switches),
        ):
            assert (
                {(renamed[s.bone], s.name, s.value) for s in theirs}
                >= {(s.bone, s.name, s.value) for s in ours}
                != set()
            )
    played = measure(specimen, motion, "walk", ik=ik)
    assert played.misplaced == 0 and played.limbs_deg < (3.0 if ik else 0.1)
    assert played.path < 0.02 and played.swapped == 0 and played.jumps == 0
    assert played.slide_mm < 5.0


@pytest.mark.parametrize("ik", [frozenset(), IK], ids=["fk", "ik"])
def test_keys_are_on_controls_and_switches_alone(rigify, generated, motion, ik) -> None:
    armature = rigify.armature
    before = {
        name: armature.pose.bones[name]["IK_FK"]
        for name in ("thigh_parent.L", "upper_arm_parent.R")
    }
    place_motion(bpy.context, generated(motion=motion), options=PlacementOptions(ik=ik))
    curves = {(c.data_path, c.array_index): c for c in action_curves(armature)}
    bones = {path.split('"')[1] for path, _ in curves}
    assert not [name for name in bones if name.startswith(("DEF-", "ORG-", "MCH-"))]
    assert {"torso", "head", "spine_fk.003"} <= bones
    assert ("foot_ik.L" in bones) == bool(ik) == ("thigh_ik_target.R" in bones)
    assert ("shin_fk.L" in bones) == (not ik)
    switch = curves['pose.bones["thigh_parent.L"]["IK_FK"]', 0]
    (key,) = switch.keyframe_points
    assert (key.co[1], key.interpolation) == (0.0 if ik else 1.0, "CONSTANT")
    kept = json.loads(armature.animation_data.action["t2m_switches_before"])
    for name, value in before.items():
        assert kept[f'pose.bones["{name}"]["IK_FK"]'] == value


def test_the_rig_itself_stays_as_it_is(rigify, generated, motion) -> None:
    bpy.context.scene.frame_set(1)
    before = everything()
    place_motion(bpy.context, generated(motion=motion))
    after = everything()
    assert set(after.pop("actions")) - set(before.pop("actions"))
    influences = {
        key: [(kind, name, mute, target) for kind, name, mute, _, target in constraints]
        for key, constraints in before.pop("constraints").items()
    }  # their influences are driven by the switches
    assert influences == {
        key: [(kind, name, mute, target) for kind, name, mute, _, target in constraints]
        for key, constraints in after.pop("constraints").items()
    }
    assert after == before


def test_root_motion_goes_on_the_root_control(rigify, generated, clip) -> None:
    place_motion(bpy.context, generated(), options=PlacementOptions(travel="root"))
    armature = rigify.armature
    curves = curve_values(armature, armature.animation_data.action)
    root = np.stack([curves['pose.bones["root"].location', k][:, 1] for k in range(3)], axis=-1)
    torso = np.stack([curves['pose.bones["torso"].location', k][:, 1] for k in range(3)], axis=-1)
    assert np.ptp(root, axis=0).max() > 1.0
    assert np.abs(torso[:, :2]).max() < 0.4


def test_a_posed_parent_is_taken_into_account(rigify, motion) -> None:
    """What the keyed controls hang on may have been moved by hand."""
    plain = play(rigify, motion, "walk", foot_lock=False)
    rigify.armature.animation_data.action = None
    rigify.armature.pose.bones["root"].location = (0.3, 0.0, -0.2)
    rigify.armature.pose.bones["root"].rotation_quaternion = (0.9, 0.0, 0.0, 0.436)
    bpy.context.view_layer.update()
    moved = play(rigify, motion, "walk", foot_lock=False)
    places = [{joint: m[:, :3, 3] for joint, m in played.items()} for played in (plain, moved)]
    assert max(angles_deg(places[1], places[0], limb).max() for limb in LIMBS) < 0.2
    assert np.abs(places[1]["head"] - places[0]["head"]).max() < 1e-3


def test_feet_are_held_anew_by_the_leg_controls(rigify, generated, motion) -> None:
    armature = place_motion(bpy.context, generated(motion=motion))
    action = armature.animation_data.action
    kept = curve_values(armature, action)
    for marker in list(action.pose_markers):
        action.pose_markers.remove(marker)
    assert relock_feet(bpy.context, armature) == 0
    free = curve_values(armature, action)
    changed = {key[0].split('"')[1] for key in kept if not np.allclose(kept[key], free[key])}
    assert changed and all(
        name.startswith(("thigh_fk", "shin_fk", "foot_fk", "toe_fk", "torso")) for name in changed
    )
    place_motion(bpy.context, generated(motion=motion), options=AS_IT_IS)
    fresh = curve_values(armature, armature.animation_data.action)
    assert kept.keys() == fresh.keys()
