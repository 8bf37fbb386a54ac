# SPDX-License-Identifier: GPL-3.0-or-later

"""Motion on a rig is read back, continued and repaired; what was there keeps every byte."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import curve_values, posed_joints

from t2m_blender.blender.action import action_curves
from t2m_blender.blender.contacts import read_contacts, write_contacts
from t2m_blender.blender.placement import place_motion
from t2m_blender.blender.playing import motion_on_rig
from t2m_blender.blender.rig_keys import PlacementOptions
from t2m_blender.blender.selection import check_target
from t2m_blender.engine.feet import ContactSpan
from t2m_blender.engine.skeleton import HUMANML3D

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


def _moved(armature: bpy.types.Object, span: ContactSpan) -> float:
    """How far the ball of a foot moves at most from one frame to the next."""
    joint = HUMANML3D.joint_names.index(f"{span.side}_foot")
    feet = posed_joints(armature, range(1 + span.start, 1 + span.stop))[:, joint]
    return float(np.linalg.norm(np.diff(feet, axis=0), axis=-1).max())


@pytest.mark.parametrize("edit", ["continue", "repair"])
def test_fewer_keys_are_fewer_where_the_motion_is_new(edit) -> None:
    armature, action = _figure()
    scene = bpy.context.scene
    before = curve_values(armature, action)
    scene.t2m_placement.reduce_keys = True
    scene.use_preview_range = edit == "repair"
    scene.frame_preview_start, scene.frame_preview_end = 40, 70
    scene.frame_set(60)
    scene.t2m.prompt, scene.t2m.seed, scene.t2m.seconds = "a person jumps", 5, 3.0
    operator = bpy.ops.t2m.repair_motion if edit == "repair" else bpy.ops.t2m.continue_motion
    assert operator() == {"FINISHED"}
    after = curve_values(armature, armature.animation_data.action)
    first, last = (40, 70) if edit == "repair" else (61, 132)
    new = {key: int(((k[:, 0] >= first) & (k[:, 0] <= last)).sum()) for key, k in after.items()}
    assert max(new.values()) > 2 and sum(new.values()) < 0.85 * (last - first + 1) * len(new)
    for key, keys in before.items():
        if edit == "repair":
            kept = after[key][(after[key][:, 0] < first) | (after[key][:, 0] > last)]
            assert kept.tobytes() == keys[(keys[:, 0] < first) | (keys[:, 0] > last)].tobytes()
        assert after[key][:39].tobytes() == keys[:39].tobytes()
    for seam in (39, 70) if edit == "repair" else (60,):
        _seams(armature, 20, 90, seam)


@pytest.mark.parametrize("edit", ["continue", "repair"])
def test_feet_of_what_was_edited_can_be_held_anew(edit) -> None:
    armature, _ = _figure()
    scene = bpy.context.scene
    scene.use_preview_range = edit == "repair"
    scene.frame_preview_start, scene.frame_preview_end = 40, 70
    scene.frame_set(60)
    scene.t2m.prompt, scene.t2m.seed, scene.t2m.seconds = "a person walks back", 5, 3.0
    operator = bpy.ops.t2m.repair_motion if edit == "repair" else bpy.ops.t2m.continue_motion
    assert operator() == {"FINISHED"}
    edited = armature.animation_data.action
    made = curve_values(armature, edited)
    assert read_contacts(edited, 1)[-1].stop <= edited.frame_range[1] + 1
    assert bpy.ops.t2m.relock_feet() == {"FINISHED"}
    again = curve_values(armature, edited)
    assert made.keys() == again.keys()
    far = slice(0, 20)  # from what is new: hips and swings may be planned a little otherwise
    assert max(abs(made[key][far] - again[key][far]).max() for key in made) < 0.05
    seam = 60 if edit == "continue" else 70
    _seams(armature, 20, 90, seam)
    new = [span for span in read_contacts(edited, 1) if span.stop > seam - 15]
    longest = max(new, key=lambda span: (span.part == "ball") * (span.stop - span.start))
    for marker in list(edited.pose_markers):
        edited.pose_markers.remove(marker)
    assert bpy.ops.t2m.relock_feet() == {"FINISHED"}
    free = _moved(armature, longest)
    write_contacts(edited, [longest], 1)
    assert bpy.ops.t2m.relock_feet() == {"FINISHED"}
    assert _moved(armature, longest) < 0.003 < free


def test_a_loop_whose_feet_are_held_anew_stays_closed() -> None:
    armature, action = _figure(loop=True)
    made = curve_values(armature, action)
    assert bpy.ops.t2m.relock_feet() == {"FINISHED"}
    again = curve_values(armature, action)
    turns = [key for key in made if "rotation" in key[0]]
    assert max(abs(again[key][-1, 1] - again[key][0, 1]) for key in turns) < 1e-4
    assert max(abs(made[key] - again[key]).max() for key in made) < 1e-3


def test_what_goes_on_after_a_loop_is_no_loop() -> None:
    armature, loop = _figure(loop=True)
    bpy.context.scene.frame_set(110)
    bpy.context.scene.t2m.loop = False
    standing = posed_joints(armature, range(100, 111))
    assert bpy.ops.t2m.continue_motion() == {"FINISHED"}
    longer = armature.animation_data.action
    assert loop.use_cyclic and not longer.use_cyclic
    assert not [curve for curve in action_curves(armature) if len(curve.modifiers)]
    assert tuple(longer.frame_range)[1] == 110 + 96
    assert np.allclose(posed_joints(armature, range(100, 111)), standing, atol=1e-4)


def test_repairing_few_keys_changes_nothing_before_and_after() -> None:
    bpy.context.scene.t2m_placement.reduce_keys = True
    armature, action = _figure()
    before = curve_values(armature, action)
    seen = posed_joints(armature, range(1, 97))
    scene = bpy.context.scene
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 40, 59
    scene.t2m.prompt, scene.t2m.seed = "a person jumps", 9
    assert bpy.ops.t2m.repair_motion() == {"FINISHED"}
    after = curve_values(armature, armature.animation_data.action)
    for key, keys in before.items():
        for outside in (keys[:, 0] < 40, keys[:, 0] >= 60):
            rows = {row.tobytes() for row in after[key]}
            assert all(row.tobytes() in rows for row in keys[outside])
    now = posed_joints(armature, range(1, 97))
    apart = np.linalg.norm(now - seen, axis=-1).max(axis=1)
    assert np.r_[apart[:39], apart[59:]].max() < 0.02
    assert apart[39:59].max() > 0.05, "the range is new"
