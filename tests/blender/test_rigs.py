# SPDX-License-Identifier: GPL-3.0-or-later

"""Motions on rigs that others made: rotation modes, locks, fewer keys, refusals, what stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from rigs import chain, evaluated, everything, zoo_rig
from scene_reading import AS_IT_IS, curve_values

from benchmarks import zoo
from benchmarks.zoo_measures import measure
from t2m_blender.blender.action import action_curves
from t2m_blender.blender.armature import make_default_armature
from t2m_blender.blender.contacts import read_contacts
from t2m_blender.blender.placement import place_motion
from t2m_blender.blender.relocking import relock_feet
from t2m_blender.blender.rig_keys import PlacementOptions
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import matrix_to_quaternion, quaternion_angle
from t2m_blender.retarget.rotation_modes import EULER_ORDERS

SHORT = 40
MODES = ("QUATERNION", "AXIS_ANGLE", *EULER_ORDERS)


@pytest.fixture
def short(generated, clip: Motion):
    """Two real seconds."""
    return generated(motion=Motion(clip.joints[60 : 60 + SHORT], 20.0))


@pytest.fixture(autouse=True)
def twenty_frames_a_second(request: pytest.FixtureRequest) -> None:
    if "scene" in request.fixturenames:
        request.getfixturevalue("scene").render.fps = 20


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        *((name, "as it is") for name in zoo.NAMES if name != "rigify_generated"),
        ("mixamo", "nonsense names"),
        ("kaykit_medium", "turned, 0.01"),
        ("iclone_cc3", "rolls"),
        ("rigify_metarig", "A-pose"),
        ("t2m", "nonsense names"),
    ],
)
def test_rigs_of_the_zoo_do_what_the_motion_says(shared, short, name, variant) -> None:
    specimen = zoo.build(name, variant, shared / "data" / "rigs")
    found = measure(specimen, short.motion, "walk")
    assert found.misplaced == 0
    assert found.limbs_deg < (1.0 if name == "t2m" else 3.0)
    assert found.path < 0.02
    assert found.swapped == 0 and found.jumps == 0
    assert found.slide_mm < 5.0


def test_every_rotation_mode_gives_the_same_pose(scene, shared, short) -> None:
    armature = zoo_rig(shared, "mixamo")
    bones = [bone.name for bone in armature.pose.bones]
    place_motion(bpy.context, short, options=AS_IT_IS)
    wanted = {frame: evaluated(armature, bones, frame) for frame in (1, 17, SHORT)}
    for number, bone in enumerate(armature.pose.bones):
        bone.rotation_mode = MODES[number % len(MODES)]
    place_motion(bpy.context, short, options=AS_IT_IS)
    for frame, matrices in wanted.items():
        posed = evaluated(armature, bones, frame)
        assert max(np.abs(posed[bone] - matrices[bone]).max() for bone in bones) < 2e-4
    for (path, _), keys in curve_values(armature, armature.animation_data.action).items():
        assert "rotation_euler" not in path or np.abs(np.diff(keys[:, 1])).max() < np.pi


def test_only_mapped_bones_get_keys(scene, shared, short) -> None:
    armature = zoo_rig(shared, "mixamo")
    place_motion(bpy.context, short)
    keyed = {curve.data_path.split('"')[1] for curve in action_curves(armature)}
    assert len(keyed) == 22 and not any("Thumb" in bone or "Eye" in bone for bone in keyed)


def test_locked_channels_keep_their_values_and_are_said(scene, generated) -> None:
    armature = make_default_armature(bpy.context)
    bones = armature.pose.bones
    bones["pelvis"].lock_location = (False, True, False)
    bones["head"].rotation_mode, bones["head"].lock_rotation = "XYZ", (False, True, False)
    bones["neck"].lock_rotation = (True, True, True)
    bones["shin.L"].lock_rotation = (False, True, True)
    said: list[str] = []
    place_motion(bpy.context, generated(), on_warning=said.append)
    keyed = {(curve.data_path, curve.array_index) for curve in action_curves(armature)}
    assert {index for path, index in keyed if path.endswith(".location")} == {0, 2}
    assert {index for path, index in keyed if '"head"' in path} == {0, 2}
    assert not [path for path, _ in keyed if '"neck"' in path]
    scene.frame_set(40)
    angles = bones["shin.L"].rotation_quaternion.to_euler("XYZ")
    assert abs(angles.x) > 0.05 and abs(angles.y) < 1e-4 and abs(angles.z) < 1e-4
    (message,) = said
    assert "pelvis (location y)" in message and "neck (rotation xyz)" in message


@pytest.mark.parametrize("mode", ["QUATERNION", "ZXY"])
def test_fewer_keys_stay_within_the_angle_that_was_asked(scene, generated, mode) -> None:
    armature = make_default_armature(bpy.context)
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    names = [bone.name for bone in armature.pose.bones]
    place_motion(bpy.context, generated())
    full = sum(len(curve.keyframe_points) for curve in action_curves(armature))
    frames = range(1, 170, 7)
    before = {frame: _basis(armature, frame) for frame in frames}
    options = PlacementOptions(key_error=np.radians(2.0))
    place_motion(bpy.context, generated(), options=options)
    few = sum(len(curve.keyframe_points) for curve in action_curves(armature))
    assert few < full / 3
    worst = max(quaternion_angle(before[frame], _basis(armature, frame)).max() for frame in frames)
    assert np.degrees(worst) < 2.5, f"of {len(names)} bones"


def _basis(armature: bpy.types.Object, frame: int) -> np.ndarray:
    bpy.context.scene.frame_set(frame)
    bones = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    return matrix_to_quaternion(np.array([np.array(b.matrix_basis)[:3, :3] for b in bones]))


def test_the_way_goes_to_the_root_bone_or_nowhere(scene, shared, generated, clip) -> None:
    armature = zoo_rig(shared, "mesh2motion_human")
    away = np.linalg.norm(clip.joints[:, 0, [0, 2]] - clip.joints[0, 0, [0, 2]], axis=-1)
    ends = (1, 1 + int(away.argmax()))
    moved = {}
    for travel in ("hips", "root", "none"):
        place_motion(bpy.context, generated(), options=PlacementOptions(travel=travel))
        posed = [evaluated(armature, ["root", "pelvis"], frame) for frame in ends]
        moved[travel] = [posed[1][bone][:3, 3] - posed[0][bone][:3, 3] for bone in posed[0]]
    assert np.linalg.norm(moved["hips"][0]) < 1e-6 < 0.5 < np.linalg.norm(moved["hips"][1][:2])
    assert np.allclose(moved["root"][1], moved["hips"][1], atol=1e-3)
    assert np.allclose(moved["root"][0][:2], moved["hips"][1][:2], atol=0.3)
    assert np.linalg.norm(moved["none"][1][:2]) < 0.3 and np.linalg.norm(moved["none"][0]) < 1e-6


def test_root_motion_needs_a_root_bone(scene, shared, generated) -> None:
    zoo_rig(shared, "mixamo")
    before = everything()
    with pytest.raises(InputError, match="no bone above its hips"):
        place_motion(bpy.context, generated(), options=PlacementOptions(travel="root"))
    assert everything() == before


def test_bones_that_constraints_hold_are_said(scene, shared, short) -> None:
    armature = zoo_rig(shared, "mixamo")
    for name, kind in (("LeftLeg", "IK"), ("Head", "LIMIT_ROTATION"), ("RightArm", "DAMPED_TRACK")):
        armature.pose.bones[f"mixamorig:{name}"].constraints.new(kind)
    armature.pose.bones["mixamorig:RightArm"].constraints[0].mute = True
    said: list[str] = []
    place_motion(bpy.context, short, on_warning=said.append)
    assert len(said) == 1 and "Constraints hold mixamorig:LeftLeg:" in said[0]


def test_a_new_figure_is_as_large_as_the_scene_says(scene, generated, clip) -> None:
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 0.01
    armature = place_motion(bpy.context, generated(), options=AS_IT_IS)
    (body,) = armature.children
    assert 160.0 < np.ptp([vertex.co.z for vertex in body.data.vertices]) < 190.0
    head = evaluated(armature, ["pelvis"], 100)["pelvis"][:3, 3]
    assert np.allclose(head, 100.0 * clip.joints[99, 0][[0, 2, 1]] * [1, -1, 1], atol=0.2)


def test_edited_markers_hold_the_feet_anew(scene, generated) -> None:
    armature = place_motion(bpy.context, generated())
    action = armature.animation_data.action
    spans = read_contacts(action, 1)
    assert spans and all(span.stop > span.start for span in spans)
    kept = curve_values(armature, action)
    assert relock_feet(bpy.context, armature) == len(spans)
    same = curve_values(armature, action)
    assert max(np.abs(kept[key] - same[key]).max() for key in kept) < 1e-4
    for marker in list(action.pose_markers):
        action.pose_markers.remove(marker)
    for what, frame in (("down", 60), ("up", 80)):
        action.pose_markers.new(f"left heel {what}").frame = frame
    assert relock_feet(bpy.context, armature) == 1
    edited = curve_values(armature, action)
    arms = [key for key in kept if "arm" in key[0] or "head" in key[0]]
    assert arms and all(np.array_equal(kept[key], edited[key]) for key in arms)
    feet = [evaluated(armature, ["foot.L"], frame)["foot.L"][:3, 3] for frame in range(60, 80)]
    assert np.linalg.norm(np.diff(feet, axis=0), axis=-1).max() < 0.002
    armature.animation_data.action = bpy.data.actions.new("Another")
    with pytest.raises(InputError, match="generated by this add-on"):
        relock_feet(bpy.context, armature)


def _too_few(shared) -> None:
    bpy.ops.object.armature_add()


def _rope(shared) -> None:
    chain(40)


def _dog(shared) -> None:
    """Rigify's own wolf."""
    with zoo.rigify():
        bpy.ops.object.armature_wolf_metarig_add()


def _no_hips(shared) -> None:
    armature = zoo_rig(shared, "mixamo")
    from t2m_blender.blender.armature import armature_to_rig
    from t2m_blender.blender.rig_map import keep_map
    from t2m_blender.retarget.bone_map import map_bones

    keep_map(armature, map_bones(armature_to_rig(armature)).with_bone("pelvis", None))


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (_too_few, "too few bones"),
        (_rope, "not recognised as a person"),
        (_dog, "not recognised as a person"),
        (_no_hips, "mapped to pelvis"),
    ],
)
def test_what_is_no_person_is_refused_and_nothing_changes(
    scene, shared, generated, prepare, message
) -> None:
    prepare(shared)
    before, end = everything(), scene.frame_end
    with pytest.raises(InputError, match=message):
        place_motion(bpy.context, generated())
    assert everything() == before and scene.frame_end == end


def test_a_library_override_must_be_editable(scene, shared, generated, tmp_path) -> None:
    zoo_rig(shared, "mixamo")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (source, target):
        target.objects = [name for name in source.objects if name == "mixamo"]
    override = target.objects[0].override_create(remap_local_usages=True)
    bpy.context.collection.objects.link(override)
    override.select_set(True)
    bpy.context.view_layer.objects.active = override
    override.override_library.is_system_override = True
    before = everything()
    with pytest.raises(InputError, match="Make Editable"):
        place_motion(bpy.context, generated())
    assert everything() == before
    override.override_library.is_system_override = False
    assert place_motion(bpy.context, generated()) == override
    assert override.animation_data.action is not None


def test_nothing_else_in_the_scene_changes(scene, shared, generated) -> None:
    other = zoo_rig(shared, "kaykit_medium")
    other.pose.bones["head"].keyframe_insert("rotation_quaternion", frame=3)
    armature = zoo_rig(shared, "mixamo")
    finger = armature.pose.bones["mixamorig:LeftHandIndex1"]
    finger.keyframe_insert("rotation_quaternion", frame=5)
    own = armature.animation_data.action
    finger.constraints.new("COPY_ROTATION").influence = 0.25
    armature.pose.bones["mixamorig:Head"].constraints.new("LIMIT_ROTATION").mute = True
    pose = bpy.data.actions.new("Fist")
    pose.asset_mark()
    scene.timeline_markers.new("cut", frame=7)
    bpy.data.objects["Cube"].select_set(True)
    bpy.ops.object.mode_set(mode="POSE")
    scene.frame_set(12)
    before = everything()
    place_motion(bpy.context, generated())
    after = everything()
    made = armature.animation_data.action
    assert made != own and set(after["actions"]) - set(before["actions"]) == {made.name}
    after["actions"] = {name: after["actions"][name] for name in before["actions"]}
    assert after == before
    assert own.use_fake_user, "what it played before is saved with the file"


def test_again_and_again_on_one_object(scene, shared, generated, clip) -> None:
    armature = zoo_rig(shared, "mixamo")
    made = []
    for seed in range(3):
        motion = Motion(clip.joints[seed * 20 : seed * 20 + SHORT], 20.0)
        place_motion(bpy.context, generated(seed=seed, motion=motion), options=AS_IT_IS)
        made.append((armature.animation_data.action, _basis(armature, 20)))
    for action, pose in made:
        data = armature.animation_data
        data.action = action
        if hasattr(action, "slots"):
            assert len(action.slots) == 1
            data.action_slot = action.slots[0]
        assert np.allclose(_basis(armature, 20), pose, atol=1e-6)


def test_a_control_rig_by_another_name_is_a_plain_rig() -> None:
    """The families are told by their controls, not by a name alone."""
    from t2m_blender.retarget.control_families import control_rig_of, load_control_rigs
    from t2m_blender.retarget.default_rig import default_rig

    assert control_rig_of(default_rig()) is None
    assert {family.name for family in load_control_rigs()} == {"rigify", "auto_rig_pro"}
    family = load_control_rigs()[0]
    bones = default_rig().bones
    half = [replace(bones[0], name=n, parent=None) for n in family.fk_controls[:10]]
    assert control_rig_of(replace(default_rig(), bones=tuple(half))) is None
