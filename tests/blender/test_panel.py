# SPDX-License-Identifier: GPL-3.0-or-later

"""The panel's operators, as a script calls them: each runs to completion."""

from __future__ import annotations

import json

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import curve_values

from t2m_blender.blender import models, take_pictures
from t2m_blender.blender.nla import chosen_strip, strips_of

pytestmark = pytest.mark.usefixtures("scene", "add_on")


def _settings(**values: object) -> bpy.types.PropertyGroup:
    settings = bpy.context.scene.t2m
    for name, value in ({"length": "SECONDS", "seconds": 1.5, "seed": 4} | values).items():
        setattr(settings, name, value)
    return settings


def _generate(**values: object) -> tuple[bpy.types.Object, bpy.types.Action | None]:
    _settings(**values)
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    armature = bpy.context.object
    return armature, armature.animation_data.action


def test_takes_are_listed_kept_and_discarded_and_none_is_lost() -> None:
    armature, before = _generate()
    _generate(takes=3, use_numbers=True, temperature=2.0)  # not all of them clean
    actions = [take.action for take in armature.t2m_takes]
    clean = [take.cleanness for take in armature.t2m_takes]
    assert len(set(actions)) == 3 and clean == sorted(clean, reverse=True)
    assert 0.0 < clean[-1] < clean[0] <= 1.0 and armature.t2m_takes[0].slide > 0.0
    assert {action["t2m_seed"] for action in actions} == {4, 5, 6}
    assert armature.animation_data.action == actions[0]
    assert bpy.ops.t2m.show_take(index=2) == {"FINISHED"}
    assert armature.animation_data.action == actions[2]
    assert bpy.ops.t2m.keep_take(index=1) == {"FINISHED"}
    assert armature.animation_data.action == actions[1]
    assert [take.action for take in armature.t2m_takes] == [actions[0], actions[2]]
    assert bpy.ops.t2m.discard_take(index=0) == {"FINISHED"}
    assert set(bpy.data.actions) == {before, actions[1], actions[2]}
    assert bpy.ops.t2m.discard_takes() == {"FINISHED"}
    assert set(bpy.data.actions) == {before, actions[1]}
    assert armature.animation_data.action == actions[1]


def test_every_take_has_a_picture_of_its_own(tmp_path) -> None:
    armature, _ = _generate(takes=2)
    pictures = [take.picture for take in armature.t2m_takes]
    assert len(set(pictures)) == 2 and max(map(len, pictures)) < 4000
    assert take_pictures.icon_of(pictures[0]) == 0, "there is no window"
    icon = take_pictures._icons[pictures[0]]
    pixels = np.array(icon.image_pixels_float[:]).reshape(*icon.image_size, 4)
    assert 0.02 < (pixels[..., 3] > 0.5).mean() < 0.5
    path = str(tmp_path / "pictures.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert not len(take_pictures._icons)
    assert [take.picture for take in bpy.context.object.t2m_takes] == pictures


def test_a_take_kept_as_a_strip_leaves_the_armature_its_own_action() -> None:
    armature, own = _generate()
    curves = curve_values(armature, own)
    _generate(takes=2, where="STRIP")
    _, second = (take.action for take in armature.t2m_takes)
    assert bpy.ops.t2m.keep_take(index=1) == {"FINISHED"}
    assert armature.animation_data.action == own
    if hasattr(own, "slots"):
        assert armature.animation_data.action_slot == own.slots[0]
    assert [strip.action for strip in strips_of(armature)] == [second]
    assert bpy.ops.t2m.show_take(index=0) == {"FINISHED"}
    assert bpy.ops.t2m.discard_takes() == {"FINISHED"}
    assert armature.animation_data.action == own
    assert set(bpy.data.actions) == {own, second}
    again = curve_values(armature, own)
    assert all(curves[key].tobytes() == again[key].tobytes() for key in curves)
    assert bpy.ops.t2m.push_down() == {"FINISHED"}
    _generate(takes=2, where="STRIP")
    assert bpy.ops.t2m.keep_take(index=0) == {"FINISHED"}
    assert armature.animation_data.action is None, "as after Push Down: the next key makes one"
    assert len(list(strips_of(armature))) == 3


def test_takes_are_what_their_seeds_give_alone() -> None:
    armature, _ = _generate(takes=2)
    takes = {take.action["t2m_seed"]: take.action for take in armature.t2m_takes}
    _, alone = _generate(takes=1, seed=5)
    ours, theirs = curve_values(armature, takes[5]), curve_values(armature, alone)
    assert ours.keys() == theirs.keys()
    assert all(abs(ours[key] - theirs[key]).max() < 1e-4 for key in ours)


def test_takes_stay_in_a_saved_file(tmp_path) -> None:
    armature, _ = _generate(takes=2)
    name, listed = armature.name, [take.action.name for take in armature.t2m_takes]
    path = str(tmp_path / "takes.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    armature = bpy.data.objects[name]
    assert [take.action.name for take in armature.t2m_takes] == listed
    assert bpy.ops.t2m.keep_take(index=1) == {"FINISHED"}
    assert armature.animation_data.action.name == listed[1]


@pytest.mark.parametrize("fps", [24, 30])
def test_exact_frames_at_the_playhead(fps) -> None:
    bpy.context.scene.render.fps = fps
    bpy.context.scene.frame_current = 33
    _, action = _generate(length="FRAMES", frames=57, where="PLAYHEAD")
    assert tuple(action.frame_range) == (33, 33 + 56)


def test_the_frame_range_is_filled_by_all_prompts() -> None:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 11, 130
    bpy.ops.t2m.add_prompt()
    bpy.ops.t2m.add_prompt()
    first, second = _settings().next_prompts
    first.prompt, first.exact, first.seconds = "a person jumps", True, 1.0
    second.prompt = "a person sits down"
    _, action = _generate(length="RANGE")
    assert tuple(action.frame_range) == (11, 130)
    parts = json.loads(action["t2m_parts"])
    assert [prompt for prompt, _ in parts][1:] == ["a person jumps", "a person sits down"]
    assert [seconds for _, seconds in parts] == [2.0, 1.0, 2.0]


def test_parts_longer_than_the_whole_are_a_sentence() -> None:
    bpy.ops.t2m.add_prompt()
    row = _settings().next_prompts[0]
    row.prompt, row.exact, row.seconds = "a person jumps", True, 3.0
    with pytest.raises(RuntimeError, match=r"longer than the 1\.5 s"):
        bpy.ops.t2m.generate()


def test_a_loop_plays_on() -> None:
    armature, action = _generate(loop=True, seconds=2.0)
    assert action.use_cyclic
    first, last = map(round, action.frame_range)
    bones = armature.pose.bones

    def pose(frame: int) -> np.ndarray:
        bpy.context.scene.frame_set(frame)
        return np.array([bone.matrix_basis.to_3x3() for bone in bones])

    assert abs(pose(first + 7) - pose(last + 7)).max() < 1e-4
    assert abs(pose(first) - pose(last)).max() < 1e-4
    assert abs(pose(first) - pose(first + 12)).max() > 0.1, "it moves"


def test_words_and_numbers_of_freedom() -> None:
    _, normal = _generate()
    _, close = _generate(closeness="CLOSE", variety="CALM")
    assert close["t2m_guidance"] > normal["t2m_guidance"] >= 1.0
    assert close["t2m_temperature"] < normal["t2m_temperature"]
    _, begun = _generate(use_numbers=True)  # the model's own are what one starts from
    for name in ("t2m_guidance", "t2m_temperature"):
        assert begun[name] == pytest.approx(normal[name])
    _, own = _generate(use_numbers=True, guidance=2.0, temperature=0.5)
    assert (own["t2m_guidance"], own["t2m_temperature"]) == (2.0, 0.5)


def test_an_unlocked_seed_is_another_one_each_time() -> None:
    seeds = {_generate(seed_locked=False)[1]["t2m_seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_a_strip_plays_where_it_was_put() -> None:
    armature, first = _generate()
    assert bpy.ops.t2m.push_down() == {"FINISHED"}
    assert armature.animation_data.action is None
    bpy.context.scene.frame_current = 50
    _generate(where="STRIP", track="Second", blend_in=5.0, blend_out=4.0)
    below, strip = strips_of(armature)
    assert below.action == first
    assert (strip.frame_start, strip.frame_end) == (50, 85)
    assert (strip.blend_in, strip.blend_out) == (5.0, 4.0)
    assert [track.name for track in armature.animation_data.nla_tracks][-1] == "Second"
    assert strip.action["t2m_prompt"] == bpy.context.scene.t2m.prompt
    if hasattr(strip, "action_slot"):
        assert strip.action_slot == strip.action.slots[0]
    bone = armature.pose.bones[0]
    bpy.context.scene.frame_set(60)
    seen = tuple(bone.matrix_basis.to_quaternion())
    strip.mute = True
    bpy.context.scene.frame_set(60)
    assert tuple(bone.matrix_basis.to_quaternion()) != pytest.approx(seen, abs=1e-3)
    # no room on that track: a track of its own, nothing is overwritten
    bpy.context.scene.frame_current = 60
    _generate()
    assert len(list(strips_of(armature))) == 3


def test_the_action_before_a_strip_stays_the_action() -> None:
    armature, action = _generate()
    _generate(where="STRIP")
    assert armature.animation_data.action == action
    assert len(list(strips_of(armature))) == 1


def test_a_strip_is_made_again_from_another_sentence() -> None:
    armature, _ = _generate(where="STRIP")
    bpy.context.scene.frame_current = 80
    _generate()
    other, strip = strips_of(armature)
    old, untouched = strip.action, curve_values(armature, other.action)
    strip.action.t2m_prompt_edit = "a person jumps"
    assert old["t2m_prompt"] != "a person jumps", "the recipe tells what was made"
    assert chosen_strip(armature) == strip
    assert bpy.ops.t2m.regenerate(strip=True) == {"FINISHED"}
    assert strip.action != old and old in set(bpy.data.actions)
    assert strip.action["t2m_prompt"] == "a person jumps"
    assert strip.action["t2m_seed"] == old["t2m_seed"]
    assert (strip.frame_start, strip.frame_end) == (80, 115)
    again = curve_values(armature, other.action)
    assert all(untouched[key].tobytes() == again[key].tobytes() for key in untouched)
    assert armature.animation_data.action is None


def test_a_recipe_gives_the_same_motion_again(tmp_path) -> None:
    armature, action = _generate(prompt="a person walks back", closeness="LOOSE")
    made, name = curve_values(armature, action), armature.name
    path = str(tmp_path / "recipe.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    bpy.context.scene.t2m.prompt = "something else"
    assert bpy.ops.t2m.regenerate() == {"FINISHED"}
    armature = bpy.data.objects[name]
    again = curve_values(armature, armature.animation_data.action)
    assert made.keys() == again.keys()
    assert all(abs(made[key] - again[key]).max() < 1e-4 for key in made)


def test_an_action_without_recipe_is_a_sentence() -> None:
    armature, _ = _generate()
    armature.animation_data.action = bpy.data.actions.new("by hand")
    with pytest.raises(RuntimeError, match='"by hand" holds no recipe'):
        bpy.ops.t2m.regenerate()
    with pytest.raises(RuntimeError, match="was not generated"):
        bpy.ops.t2m.copy_recipe()


def test_an_action_becomes_an_asset_with_its_licence() -> None:
    _, action = _generate()
    assert bpy.ops.t2m.mark_asset() == {"FINISHED"}
    data = action.asset_data
    assert data.description == action["t2m_prompt"]
    assert [tag.name for tag in data.tags] == ["text to motion"]
    assert "CC-BY-4.0" in data.license


def test_models_are_listed_and_imported(tmp_path) -> None:
    found = models.found()
    assert found["default"].size > 1e6 and found["default"].licence
    assert "minilm" not in found
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(found["default"].path.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match="truncated"):
        bpy.ops.t2m.import_model(filepath=str(broken))
    with pytest.raises(RuntimeError, match="import-official"):
        bpy.ops.t2m.import_model(filepath=str(tmp_path / "net_last.pth"))
    copy = tmp_path / "mine_7.safetensors"
    copy.write_bytes(found["default"].path.read_bytes())
    try:
        assert bpy.ops.t2m.import_model(filepath=str(copy)) == {"FINISHED"}
        _, action = _generate(model="mine_7")
        assert action["t2m_model"] == "mine_7"
        with pytest.raises(RuntimeError, match="rename the file"):
            bpy.ops.t2m.import_model(filepath=str(copy))
    finally:
        (models.own_folder() / copy.name).unlink(missing_ok=True)
        models.look_again()


def test_an_unknown_model_is_a_sentence() -> None:
    _settings(model="nobody")
    with pytest.raises(RuntimeError, match='no model named "nobody"; choose "default"'):
        bpy.ops.t2m.generate()
