# SPDX-License-Identifier: GPL-3.0-or-later

"""A motion into a scene: where it goes, what it changes, and what it leaves alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import AS_IT_IS, curve_values, file_contents, posed_joints

from t2m_blender import version
from t2m_blender.blender.action import action_curves
from t2m_blender.blender.armature import armature_to_rig, make_default_armature
from t2m_blender.blender.placement import place_motion
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.retarget import default_rig


def test_the_figure_is_the_rig_it_was_made_from(scene) -> None:
    armature = make_default_armature(bpy.context)
    read, meant = armature_to_rig(armature), default_rig()
    assert len(read.bones) == 22
    for bone in meant.bones:
        found = read.by_name[bone.name]
        assert found.parent == bone.parent
        assert np.allclose(found.head, bone.head, atol=1e-5)
        assert np.allclose(found.tail, bone.tail, atol=1e-5)
        assert np.allclose(found.matrix, bone.matrix, atol=1e-3), bone.name


def test_the_body_is_whole_and_follows_the_bones(scene) -> None:
    armature = make_default_armature(bpy.context)
    (body,) = armature.children
    assert len(body.data.vertices) < 6000
    assert body.data.validate() is False, "nothing to repair"
    weights = np.zeros(len(body.data.vertices))
    for vertex in body.data.vertices:
        weights[vertex.index] = sum(group.weight for group in vertex.groups)
    assert np.allclose(weights, 1.0, atol=1e-5)
    assert {group.name for group in body.vertex_groups} == {b.name for b in armature.data.bones}
    lowest = min((armature.matrix_world @ v.co).z for v in body.data.vertices)
    assert -0.01 < lowest < 0.005, "the soles are on the floor"
    heads = [(armature.matrix_world @ v.co).z for v in body.data.vertices]
    assert 1.6 < max(heads) < 1.9


def test_read_back_from_the_evaluated_bones(scene, generated, clip) -> None:
    scene.render.fps = 20
    armature = place_motion(bpy.context, generated(), options=AS_IT_IS)
    joints = clip.joints
    wanted = np.stack((joints[..., 0], -joints[..., 2], joints[..., 1]), axis=-1)
    read = posed_joints(armature, range(scene.frame_start, scene.frame_start + clip.frames))
    assert np.linalg.norm(read - wanted, axis=-1).max() < 0.002


@pytest.mark.parametrize(("fps", "base"), [(24, 1.0), (25, 1.0), (30, 1.001), (30, 1.0), (60, 1.0)])
@pytest.mark.parametrize("frames", [None, 61])
def test_frames_asked_are_keyed_frames(scene, generated, clip, fps, base, frames) -> None:
    scene.render.fps, scene.render.fps_base = fps, base
    scene.frame_start, scene.frame_end = 11, 40
    armature = place_motion(bpy.context, generated(), frames=frames)
    expected = frames or round(clip.seconds * fps / base)
    for curve in action_curves(armature):
        keys = [point.co[0] for point in curve.keyframe_points]
        assert keys == list(range(11, 11 + expected))
        assert {point.interpolation for point in curve.keyframe_points} == {"LINEAR"}
    assert (scene.frame_start, scene.frame_end) == (11, 10 + expected)


def test_a_longer_scene_is_not_shortened(scene, generated) -> None:
    scene.frame_end = 1000
    place_motion(bpy.context, generated())
    assert scene.frame_end == 1000


def test_twice_on_one_figure(scene, generated, clip) -> None:
    first = place_motion(bpy.context, generated("a person walks", 1))
    before = first.animation_data.action
    kept = curve_values(first, before)
    moved = Motion(clip.joints[::-1], 20.0)
    second = place_motion(bpy.context, generated("a person walks back", 2, motion=moved))
    assert second == first, "the figure just made is selected, so the next motion is for it"
    after = second.animation_data.action
    assert after != before
    assert {before, after} == set(bpy.data.actions)
    assert before.use_fake_user
    assert after.use_fake_user
    assert (before.name, after.name) == ("a person walks", "a person walks back")
    again = curve_values(first, before)
    assert kept.keys() == again.keys()
    assert len(kept) == 22 * 4 + 3
    assert all(kept[key].tobytes() == again[key].tobytes() for key in kept)
    assert any(
        kept[key].tobytes() != values.tobytes()
        for key, values in curve_values(second, after).items()
    )
    if hasattr(after, "slots"):
        assert second.animation_data.action_slot in list(after.slots)


def test_the_same_motion_gives_the_same_bytes(scene, generated) -> None:
    runs = []
    for _ in range(2):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        armature = place_motion(bpy.context, generated())
        runs.append(curve_values(armature, armature.animation_data.action))
    assert runs[0].keys() == runs[1].keys()
    assert all(runs[0][key].tobytes() == runs[1][key].tobytes() for key in runs[0])


def test_curves_are_grouped_by_bone(scene, generated) -> None:
    armature = place_motion(bpy.context, generated())
    for curve in action_curves(armature):
        assert curve.group is not None
        assert f'"{curve.group.name}"' in curve.data_path


def test_the_recipe_stays_with_the_action(scene, generated) -> None:
    armature = place_motion(bpy.context, generated("walk 🙂", 2**40, seconds=8.5))
    action = armature.animation_data.action
    assert action["t2m_prompt"] == "walk 🙂"
    assert int(action["t2m_seed"]) == 2**40
    assert action["t2m_seconds"] == 8.5
    assert action["t2m_length"] == "exact"
    assert action["t2m_model"] == "default"
    assert action["t2m_model_sha256"] == "ab" * 32
    assert action["t2m_version"] == version()


@pytest.mark.parametrize(
    "prompt",
    ["a person " * 40, "é" * 200, "🙂" * 100, " a\nb  c "],
    ids=["long", "accents", "emoji", "lines"],
)
def test_any_prompt_names_an_action(scene, generated, prompt) -> None:
    armature = place_motion(bpy.context, generated(prompt))
    name = armature.animation_data.action.name
    assert name
    assert len(name.encode()) <= 63
    assert "\n" not in name
    assert armature.animation_data.action["t2m_prompt"] == prompt


@pytest.mark.parametrize("mode", ["XYZ", "ZYX", "AXIS_ANGLE"])
def test_bones_keep_their_rotation_mode(scene, generated, clip, mode) -> None:
    scene.render.fps = 20
    armature = make_default_armature(bpy.context)
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    place_motion(bpy.context, generated(), options=AS_IT_IS)
    joints = clip.joints[[0, 60, 169]]
    wanted = np.stack((joints[..., 0], -joints[..., 2], joints[..., 1]), axis=-1)
    read = np.concatenate([posed_joints(armature, range(f, f + 1)) for f in (1, 61, 170)])
    assert np.linalg.norm(read - wanted, axis=-1).max() < 0.002


def test_selecting_the_body_means_its_armature(scene, generated) -> None:
    armature = place_motion(bpy.context, generated())
    (body,) = armature.children
    armature.select_set(False)
    body.select_set(True)
    bpy.context.view_layer.objects.active = body
    assert place_motion(bpy.context, generated("again")) == armature


def test_a_selected_cube_means_a_new_figure(scene, generated) -> None:
    cube = bpy.data.objects["Cube"]
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    armature = place_motion(bpy.context, generated())
    assert armature.type == "ARMATURE"
    assert not cube.select_get()


def test_a_moved_and_scaled_figure_keeps_its_place(scene, generated) -> None:
    armature = make_default_armature(bpy.context)
    armature.location, armature.scale = (3.0, 1.0, 0.0), (2.0, 2.0, 2.0)
    place_motion(bpy.context, generated(), options=AS_IT_IS)
    assert tuple(armature.location) == (3.0, 1.0, 0.0)
    scene.frame_set(scene.frame_start)
    (start,) = posed_joints(armature, range(1, 2))[:, 0]
    assert np.allclose(start[:2], (3.0, 1.0), atol=0.02), "it begins where the figure stands"


def _other_armature():
    bpy.ops.object.armature_add()
    return bpy.context.object


def _several_figures():
    figures = [make_default_armature(bpy.context) for _ in range(2)]
    for figure in figures:
        figure.select_set(True)
    bpy.context.view_layer.objects.active = None


def _figure_in_edit_mode():
    make_default_armature(bpy.context)
    bpy.ops.object.mode_set(mode="EDIT")


def _cube_in_edit_mode():
    bpy.context.view_layer.objects.active = bpy.data.objects["Cube"]
    bpy.ops.object.mode_set(mode="EDIT")


def _figure_in_tweak_mode():
    armature = make_default_armature(bpy.context)
    data = armature.animation_data_create()
    track = data.nla_tracks.new()
    track.strips.new("strip", 1, bpy.data.actions.new("strip"))
    data.use_tweak_mode = True
    assert data.use_tweak_mode


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (_other_armature, "too few bones"),
        (_several_figures, "Several armatures"),
        (_figure_in_edit_mode, "Leave Edit Mode"),
        (_cube_in_edit_mode, "Switch to Object Mode"),
        (_figure_in_tweak_mode, "tweak mode"),
    ],
)
def test_what_cannot_be_done_changes_nothing(scene, generated, prepare, message) -> None:
    prepare()
    before, end = file_contents(), scene.frame_end
    with pytest.raises(InputError, match=message):
        place_motion(bpy.context, generated())
    assert file_contents() == before
    assert scene.frame_end == end


def test_a_failure_while_writing_leaves_nothing(scene, generated) -> None:
    cube = bpy.data.objects["Cube"]
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    before = file_contents()
    broken = SimpleNamespace(**vars(generated()))
    broken.model_name = object()  # no custom property: fails after the figure was made
    with pytest.raises(TypeError):
        place_motion(bpy.context, broken)
    assert file_contents() == before
    assert list(bpy.context.selected_objects) == [cube]
    assert bpy.context.view_layer.objects.active == cube


@pytest.mark.parametrize("hide", ["exclude", "hide_viewport"])
def test_a_new_figure_is_seen_where_the_active_collection_is_not(scene, generated, hide) -> None:
    setattr(bpy.context.view_layer.active_layer_collection, hide, True)
    armature = place_motion(bpy.context, generated())
    assert armature.visible_get()
    assert list(armature.users_collection) == [scene.collection]


def test_a_linked_armature_is_refused(scene, generated, tmp_path) -> None:
    make_default_armature(bpy.context)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (source, target):
        target.objects = [name for name in source.objects if name == "T2M Figure"]
    (armature,) = target.objects
    bpy.context.collection.objects.link(armature)
    armature.select_set(True)
    bpy.context.view_layer.objects.active = armature
    before = file_contents()
    with pytest.raises(InputError, match="linked from another file"):
        place_motion(bpy.context, generated())
    assert file_contents() == before
