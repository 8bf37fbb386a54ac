# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions out of files: what we write comes back, and what others made is read off their rigs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender's Python module")

from scene_reading import AS_IT_IS

from t2m_blender.blender.action import action_parts, write_action
from t2m_blender.blender.armature import armature_to_rig, make_default_armature
from t2m_blender.blender.channels import pose_channels
from t2m_blender.blender.export import write_motion
from t2m_blender.blender.posing import is_plain, pose_bones
from t2m_blender.blender.read_file import read_motions
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import default_rig, map_bones, motion_to_pose
from t2m_blender.retarget.read_back import NamedMotion

if TYPE_CHECKING:
    from t2m_blender.engine.generate import GeneratedMotion

JOINT = {name: number for number, name in enumerate(HUMANML3D.joint_names)}
KAYKIT = "kaykit/Med_Simulation.glb"
MESH2MOTION = "mesh2motion/human-addon-animations.37clips.glb"


@pytest.fixture(scope="module")
def libraries(shared: Path) -> dict[str, dict[str, NamedMotion]]:
    """File -> clip -> what was read."""
    folder = shared / "data" / "cc0_clips"
    return {
        file: {motion.name: motion for motion in read_motions(folder / file)}
        for file in (KAYKIT, MESH2MOTION)
    }


@pytest.fixture
def two_actions(tmp_path: Path, clip: Motion) -> Path:
    """A .blend with two captioned Actions of our figure, one empty and one of a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 30
    armature = make_default_armature(bpy.context)
    rig = armature_to_rig(armature)
    for name, frames, recipe in (
        ("Whole", None, {"prompt": "a person walks around"}),
        ("Half", 128, {}),
    ):
        track = motion_to_pose(clip, rig, map_bones(rig), rate=30.0, frames=frames)
        channels, _ = pose_channels(armature, track)
        action = write_action(armature, channels, name=name, frame_start=5, recipe=recipe)
    action["caption"] = "  a person hurries\naround "
    bpy.data.actions.new("Nothing").use_fake_user = True
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    bpy.context.scene.collection.objects.link(camera)
    camera.keyframe_insert("location", frame=1)
    camera.animation_data.action.name = "Pan"
    path = tmp_path / "figure.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return path


def errors_mm(read: NamedMotion, clip: Motion) -> np.ndarray:
    """The clip's first frame is the Action's first key and its last frame the last."""
    times = np.arange(read.motion.frames) / 20.0 / read.seconds * (clip.frames - 1)
    below = np.minimum(times.astype(int), clip.frames - 2)
    share = (times - below)[:, None, None]
    wanted = (1.0 - share) * clip.joints[below] + share * clip.joints[below + 1]
    return 1000.0 * np.linalg.norm(read.motion.joints - wanted, axis=-1)


@pytest.mark.parametrize("suffix", [".blend", ".glb", ".fbx", ".bvh"])
def test_what_we_write_comes_back(
    suffix: str, tmp_path: Path, clip: Motion, generated: Callable[..., GeneratedMotion]
) -> None:
    path = tmp_path / f"walk{suffix}"
    write_motion(generated(), path, options=AS_IT_IS)
    (read,) = read_motions(path)
    assert read.preset == "t2m"
    assert read.motion.fps == 20.0 and abs(read.motion.frames - clip.frames) <= 1
    assert read.fps == pytest.approx(24.0, rel=1e-4)
    assert read.caption == ("a person walks" if suffix == ".blend" else None)
    errors = errors_mm(read, clip)
    # between keys, the Euler angles of a BVH file may take a longer way than the rotations did
    assert errors.mean() < 3.0 and errors.max() < (80.0 if suffix == ".bvh" else 30.0)


def test_every_action_of_a_blend_with_its_caption(two_actions: Path, clip: Motion) -> None:
    skipped: dict[str, str] = {}
    found = {m.name: m for m in read_motions(two_actions, on_skip=skipped.__setitem__)}
    assert {name: m.caption for name, m in found.items()} == {
        "Whole": "a person walks around",
        "Half": "a person hurries around",
    }
    assert skipped == {"Nothing": "the Action has no keys", "Pan": "the Action moves no bones"}
    assert found["Half"].seconds == pytest.approx(127 / 30)
    for motion in found.values():
        assert errors_mm(motion, clip).mean() < 4.0
    with pytest.raises(InputError, match=r"figure\.blend: (Nothing|Pan)"):
        read_motions(two_actions)


def test_what_is_open_stays_as_it_was(scene: bpy.types.Scene, shared: Path) -> None:
    def names() -> dict[str, list[str]]:
        kinds = ("objects", "meshes", "armatures", "actions", "scenes", "collections", "materials")
        return {kind: sorted(block.name for block in getattr(bpy.data, kind)) for kind in kinds}

    scene.render.fps, scene.frame_end, scene.frame_current = 25, 77, 12
    before = names()
    read_motions(shared / "data" / "cc0_clips" / KAYKIT)
    assert names() == before
    assert bpy.context.window.scene == scene
    assert (scene.render.fps, scene.frame_end, scene.frame_current) == (25, 77, 12)


def test_curves_in_bulk_pose_as_blender_does(shared: Path) -> None:
    """The same clip by composing F-curves and by playing the scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(shared / "data" / "cc0_clips" / KAYKIT))
    armature = next(o for o in bpy.context.scene.objects if o.type == "ARMATURE")
    rig = armature_to_rig(armature)
    action = next(a for a in bpy.data.actions if "Lie_StandUp" in a.name)
    ((slot, curves),) = action_parts(action)
    frames = np.linspace(*action.frame_range, 9)
    how = (bpy.context.scene, armature, rig, action, slot, curves, frames)
    assert is_plain(armature, rig)
    composed, world = pose_bones(*how)
    armature.pose.bones[-1].constraints.new("LIMIT_SCALE")  # does nothing, but might
    assert not is_plain(armature, rig)
    played, world_played = pose_bones(*how)
    assert np.abs(composed - played).max() < 2e-4
    assert np.abs(world - world_played).max() < 1e-5


def test_rotation_modes_pose_as_blender_does(clip: Motion) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    armature = make_default_armature(bpy.context)
    modes = ("XYZ", "ZXY", "YZX", "AXIS_ANGLE", "QUATERNION", "ZYX")
    for number, bone in enumerate(armature.pose.bones):
        bone.rotation_mode = modes[number % len(modes)]
    armature.location, armature.rotation_euler = (1.0, 2.0, 0.5), (0.1, 0.2, 1.5)
    rig = default_rig()
    track = motion_to_pose(clip, rig, map_bones(rig), rate=24.0, frames=40)
    channels, locked = pose_channels(armature, track)
    assert locked == []
    action = write_action(armature, channels, name="Modes", frame_start=1, recipe={})
    ((slot, curves),) = action_parts(action)
    how = (bpy.context.scene, armature, rig, action, slot, curves, np.linspace(1.0, 40.0, 14))
    composed, world = pose_bones(*how)
    armature.constraints.new("LIMIT_LOCATION")
    played, world_played = pose_bones(*how)
    assert np.abs(composed - played).max() < 2e-4
    assert np.abs(world - world_played).max() < 1e-5


def test_people_of_other_libraries_stand_and_do_what_the_clip_says(
    libraries: dict[str, dict[str, NamedMotion]],
) -> None:
    kaykit, mesh2motion = libraries[KAYKIT], libraries[MESH2MOTION]
    assert len(kaykit) == 14 and len(mesh2motion) == 37
    assert {m.preset for m in kaykit.values()} == {"kaykit_medium"}
    assert {m.preset for m in mesh2motion.values()} == {"unreal"}
    for read in (kaykit["Waving"], mesh2motion["Greeting"], mesh2motion["Bow"]):
        joints = read.motion.joints
        assert 1.3 < joints[0, JOINT["head"], 1] < 1.75
        assert joints[:, JOINT["left_foot"], 1].max() < 0.25
        left = joints[0, JOINT["left_hip"]] - joints[0, JOINT["right_hip"]]
        ahead = np.cross(left, [0.0, 1.0, 0.0])
        assert ahead[2] > 0.0  # both libraries look towards -y in Blender
    height = kaykit["Waving"].motion.joints[:, [JOINT["left_wrist"], JOINT["right_wrist"]], 1]
    assert (height[:, 1] - height[:, 0] > 0.3).all()  # the right hand is up all the time
    bow = mesh2motion["Bow"].motion.joints[:, JOINT["head"], 1]
    assert bow.min() < bow[0] - 0.15 and abs(bow[-1] - bow[0]) < 0.02
    assert mesh2motion["Meditate"].motion.joints[:, 0, 1].max() < 0.3
    backflip = mesh2motion["Backflip"].motion.joints
    upside_down = backflip[:, JOINT["head"], 1] < backflip[:, 0, 1]
    assert 0.05 < upside_down.mean() < 0.5 and not upside_down[[0, -1]].any()


def test_a_clip_lasts_as_long_as_its_file_says(
    libraries: dict[str, dict[str, NamedMotion]], shared: Path
) -> None:
    """The GLB's own times, at 30 keys a second while the scene has 24 frames."""
    waving = libraries[KAYKIT]["Waving"]
    assert waving.seconds == pytest.approx(2.1667 - 0.0333, abs=1e-3)
    assert waving.motion.frames == 43
    path = shared / "data" / "cc0_clips" / KAYKIT
    finer = next(m for m in read_motions(path, fps=120.0) if m.name == "Waving").motion
    assert finer.frames == 257
    assert np.abs(finer.joints[::6] - waving.motion.joints).max() < 1e-5


def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_motions(tmp_path / "missing.glb")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"give \.glb"):
        read_motions(tmp_path / "notes.txt")
    for name in ("broken.glb", "broken.fbx", "broken.bvh", "broken.blend"):
        (tmp_path / name).write_bytes(b"not what it says" * 9)
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            read_motions(tmp_path / name)
    bpy.ops.wm.read_factory_settings()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cube.blend"), copy=True)
    with pytest.raises(InputError, match="no armature"):
        read_motions(tmp_path / "cube.blend")


def test_an_unknown_rig_is_named(tmp_path: Path) -> None:
    (tmp_path / "worm.bvh").write_text(
        "HIERARCHY\nROOT Head\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation"
        " Xrotation Yrotation\nJOINT Tail\n{\nOFFSET 0 0 1\nCHANNELS 3 Zrotation Xrotation"
        " Yrotation\nEnd Site\n{\nOFFSET 0 0 1\n}\n}\n}\nMOTION\nFrames: 2\nFrame Time: 0.05\n"
        + "0 0 0 0 0 0 0 0 0\n"
        * 2
    )
    skipped: dict[str, str] = {}
    assert read_motions(tmp_path / "worm.bvh", on_skip=skipped.__setitem__) == []
    assert len(skipped) == 1 and "too few bones" in skipped["worm"]
    assert "Head, Tail" in skipped["worm"]
