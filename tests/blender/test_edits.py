# SPDX-License-Identifier: GPL-3.0-or-later

"""Motion on a rig is read back, continued and repaired; what was there keeps every byte."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import curve_values, posed_joints

from t2m_blender.blender.action import action_curves
from t2m_blender.blender.edits import motion_on_rig
from t2m_blender.blender.placement import check_target, place_motion
from t2m_blender.blender.rig_keys import PlacementOptions

pytestmark = pytest.mark.usefixtures("scene", "add_on")


def _figure(**values: object) -> tuple[bpy.types.Object, bpy.types.Action]:
    settings = bpy.context.scene.t2m
    settings.length, settings.seconds, settings.seed = "SECONDS", 4.0, 3
    for name, value in values.items():
        setattr(settings, name, value)
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    return bpy.context.object, bpy.context.object.animation_data.action


def _seams(armature: bpy.types.Object, first: int, last: int, seam: int) -> None:
    """At the seam joints move no further in a frame than they do elsewhere."""
    joints = posed_joints(armature, range(first, last + 1))
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=1)
    assert steps[seam - first] <= 1.5 * np.sort(steps)[-8:-3].mean(), steps[seam - first]


def test_what_a_turned_and_moved_rig_plays_is_read_in_its_own_space(generated, clip) -> None:
    scene = bpy.context.scene
    scene.render.fps = 20
    options = PlacementOptions(foot_lock=False)
    armature = place_motion(bpy.context, generated(), options=options)
    armature.location, armature.rotation_euler[2] = (3.0, -2.0, 0.5), 1.0
    scene.frame_set(37)
    _, target = check_target(bpy.context, armature)
    read = motion_on_rig(bpy.context, armature, target, 11, 90, options)
    assert scene.frame_current == 37
    assert np.linalg.norm(read.joints - clip.joints[10:90], axis=-1).max() < 0.01


def test_a_motion_goes_on_from_the_playhead() -> None:
    armature, action = _figure()
    before = curve_values(armature, action)
    bpy.context.scene.frame_set(60)
    settings = bpy.context.scene.t2m
    settings.prompt, settings.length, settings.frames = "a person sits down", "FRAMES", 70
    assert bpy.ops.t2m.continue_motion() == {"FINISHED"}
    longer = armature.animation_data.action
    assert longer != action and action.use_fake_user
    again = curve_values(armature, action)
    assert all(before[key].tobytes() == again[key].tobytes() for key in before)
    after = curve_values(armature, longer)
    for key, keys in before.items():
        assert after[key][:60].tobytes() == keys[:60].tobytes()
        assert list(after[key][60:, 0]) == list(range(61, 131))
    assert "sits down" in longer["t2m_prompt"] and "continued_from" in longer["t2m_edits"]
    _seams(armature, 40, 90, 60)
    with pytest.raises(RuntimeError, match="no recipe"):
        bpy.ops.t2m.regenerate()


def test_an_nla_goes_on_with_a_strip() -> None:
    armature, _ = _figure()
    bpy.ops.t2m.push_down()
    bpy.context.scene.frame_set(96)
    bpy.context.scene.t2m.seconds = 2.0
    assert bpy.ops.t2m.continue_motion() == {"FINISHED"}
    assert armature.animation_data.action is None
    _, strip = (s for track in armature.animation_data.nla_tracks for s in track.strips)
    assert (strip.frame_start, strip.frame_end) == (97, 144)
    _seams(armature, 60, 130, 96)


def test_only_the_preview_range_is_made_anew() -> None:
    armature, action = _figure()
    curve = action_curves(armature, action)[0]
    curve.keyframe_points[2].interpolation = "BEZIER"
    curve.keyframe_points[2].type = "EXTREME"
    before = curve_values(armature, action)
    scene = bpy.context.scene
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 40, 59
    scene.t2m.prompt, scene.t2m.seed = "a person jumps", 9
    assert bpy.ops.t2m.repair_motion() == {"FINISHED"}
    repaired = armature.animation_data.action
    after, again = curve_values(armature, repaired), curve_values(armature, action)
    assert repaired != action and before.keys() == after.keys()
    changed = 0
    for key, keys in before.items():
        assert again[key].tobytes() == keys.tobytes()
        inside = (keys[:, 0] >= 40) & (keys[:, 0] < 60)
        assert after[key][~inside].tobytes() == keys[~inside].tobytes()
        assert list(after[key][:, 0]) == list(keys[:, 0])
        changed += after[key][inside].tobytes() != keys[inside].tobytes()
    assert changed > 20
    point = action_curves(armature)[0].keyframe_points[2]
    assert (point.interpolation, point.type) == ("BEZIER", "EXTREME")
    for seam in (39, 59):
        _seams(armature, 10, 90, seam)


def test_selected_keys_are_a_range_too() -> None:
    armature, action = _figure()
    for curve in action_curves(armature, action):
        for point in curve.keyframe_points:
            point.select_control_point = 30 <= point.co[0] <= 45
    before = curve_values(armature, action)
    assert bpy.ops.t2m.repair_motion() == {"FINISHED"}
    after = curve_values(armature, armature.animation_data.action)
    places = {
        int(frame)
        for key in before
        for frame in np.flatnonzero(
            (before[key] != after[key]).reshape(len(before[key]), -1).any(1)
        )
    }
    assert places and places <= set(range(29, 45))


def test_nothing_to_continue_or_repair_is_a_sentence() -> None:
    armature, _ = _figure()
    bpy.context.scene.frame_set(1)
    with pytest.raises(RuntimeError, match="Nothing moves"):
        bpy.ops.t2m.continue_motion()
    for curve in action_curves(armature):
        for point in curve.keyframe_points:
            point.select_control_point = False
    with pytest.raises(RuntimeError, match="Choose the frames"):
        bpy.ops.t2m.repair_motion()
