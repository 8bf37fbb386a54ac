# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that hold the motion: written whole or not at all, and opened again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import AS_IT_IS, curve_values, file_contents, posed_joints

from t2m_blender.blender import export
from t2m_blender.blender.action import action_curves
from t2m_blender.blender.export import SUFFIXES, write_motion
from t2m_blender.engine.errors import InputError, OutputError, RuntimeMissingError


def _open(path: Path, fps: int = 24) -> bpy.types.Object:
    """The armature of a file, in a scene of the rate that the file was made at."""
    if path.suffix == ".blend":
        bpy.ops.wm.open_mainfile(filepath=str(path))
    else:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.context.scene.render.fps = fps
        if path.suffix == ".fbx":
            bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
        elif path.suffix == ".glb":
            bpy.ops.import_scene.gltf(filepath=str(path))
        elif path.suffix == ".usdc":
            bpy.ops.wm.usd_import(filepath=str(path))
            for bone in bpy.data.armatures[0].bones:  # USD has no names with dots
                if bone.name[-2:] in ("_L", "_R"):
                    bone.name = f"{bone.name[:-2]}.{bone.name[-1]}"
        else:
            import addon_utils

            addon_utils.enable("io_anim_bvh")
            bpy.ops.import_anim.bvh(filepath=str(path))
    (armature,) = [object for object in bpy.data.objects if object.type == "ARMATURE"]
    return armature


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_file_opens_again_and_moves(tmp_path, generated, clip, suffix) -> None:
    path = tmp_path / f"walk{suffix}"
    write_motion(generated(), path, options=AS_IT_IS)
    assert [item.name for item in tmp_path.iterdir()] == [path.name], "no temporary file is left"
    armature = _open(path)
    curves = action_curves(armature)
    keyed = {point.co[0] for point in curves[0].keyframe_points}
    assert len(keyed) == round(clip.seconds * 24)
    first, _last = armature.animation_data.action.frame_range
    joints = clip.resampled(len(keyed), 24.0).joints
    wanted = np.stack((joints[..., 0], -joints[..., 2], joints[..., 1]), axis=-1)
    places = [0, len(keyed) // 2, len(keyed) - 1]
    read = np.concatenate(
        [posed_joints(armature, range(round(first) + p, round(first) + p + 1)) for p in places]
    )
    error = np.linalg.norm(read - wanted[places], axis=-1)
    assert error.max() < 0.005, error.max()
    assert np.linalg.norm(read[1, 0] - read[0, 0]) > 1.0
    if suffix != ".bvh":
        assert any(object.type == "MESH" for object in bpy.data.objects)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_as_many_frames_as_asked(tmp_path, generated, suffix) -> None:
    path = tmp_path / f"walk{suffix}"
    write_motion(generated(), path, frames=37)
    armature = _open(path)
    first, last = armature.animation_data.action.frame_range
    assert round(last - first) + 1 == 37


def test_the_same_motion_twice_is_the_same(tmp_path, generated) -> None:
    runs = []
    for name in ("a.blend", "b.blend"):
        write_motion(generated(seed=1), tmp_path / name)
        armature = _open(tmp_path / name)
        runs.append(curve_values(armature, armature.animation_data.action))
    assert all(runs[0][key].tobytes() == runs[1][key].tobytes() for key in runs[0])


def test_the_blend_file_has_what_an_animator_needs(tmp_path, generated) -> None:
    write_motion(generated("a person waves", 4), tmp_path / "wave.blend")
    armature = _open(tmp_path / "wave.blend")
    scene = bpy.context.scene
    action = armature.animation_data.action
    assert action.name == "a person waves"
    assert action["t2m_seed"] == 4
    assert (scene.frame_start, scene.frame_end) == tuple(round(f) for f in action.frame_range)
    assert len(bpy.data.objects) == 2


def test_an_existing_file_is_replaced(tmp_path, generated) -> None:
    path = tmp_path / "walk.blend"
    path.write_bytes(b"old")
    write_motion(generated(), path)
    assert _open(path)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_unwritable_target(generated, suffix) -> None:
    with pytest.raises(OutputError, match=r"/proc/x.*cannot be written.*: choose"):
        write_motion(generated(), Path(f"/proc/x{suffix}"))


def test_a_target_that_is_a_folder(tmp_path, generated) -> None:
    (tmp_path / "x.blend").mkdir()
    with pytest.raises(OutputError, match=r"cannot be written.*: choose"):
        write_motion(generated(), tmp_path / "x.blend")
    assert [item.name for item in tmp_path.iterdir()] == ["x.blend"]


def test_a_link_stays_a_link_and_any_case_of_suffix_will_do(tmp_path, generated) -> None:
    (tmp_path / "link.BLEND").symlink_to("real.kept")
    write_motion(generated(), tmp_path / "link.BLEND")
    assert (tmp_path / "link.BLEND").is_symlink()
    (tmp_path / "real.kept").rename(tmp_path / "real.blend")
    assert _open(tmp_path / "real.blend")


@pytest.mark.parametrize("name", ["walk.usdz", "walk.xyz", "walk"])
def test_unknown_suffixes_are_named(tmp_path, generated, name) -> None:
    with pytest.raises(InputError, match=r"use one of \.blend \.fbx \.glb \.bvh \.usdc"):
        write_motion(generated(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_blender_without_usd_says_so(monkeypatch) -> None:
    for suffix in SUFFIXES:
        export.check_format(suffix)
    without = SimpleNamespace(app=SimpleNamespace(build_options=SimpleNamespace(usd=False)))
    monkeypatch.setattr(export, "bpy", without)
    export.check_format(".glb")
    with pytest.raises(RuntimeMissingError, match="without USD: choose another format"):
        export.check_format(".usdc")


def test_a_failing_exporter_leaves_no_file(tmp_path, generated, monkeypatch) -> None:
    def fails(context, armature, path):
        path.write_bytes(b"half")
        raise RuntimeError("Error: no space left on device")

    monkeypatch.setitem(SUFFIXES, ".fbx", fails)
    with pytest.raises(OutputError, match="no space left"):
        write_motion(generated(), tmp_path / "walk.fbx")
    assert not list(tmp_path.iterdir())


def test_nothing_is_printed(tmp_path, generated, capfd) -> None:
    for suffix in SUFFIXES:
        write_motion(generated(), tmp_path / f"walk{suffix}")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_inside_an_open_scene(tmp_path, scene, generated, monkeypatch, suffix) -> None:
    """As `blender -b FILE --command t2m` does: the scene is kept, and left as it was."""
    monkeypatch.setattr("t2m_blender.blender.export.is_module", lambda: False)
    scene.render.fps, scene.frame_end = 30, 40
    cube = bpy.data.objects["Cube"]
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    before = file_contents()
    for name in ("first", "second"):
        write_motion(generated(name), tmp_path / f"{name}{suffix}", frames=30)
    assert file_contents() == before
    assert (scene.frame_start, scene.frame_end) == (1, 40)
    assert bpy.context.view_layer.objects.active == cube
    assert cube.select_get()
    armature = _open(tmp_path / f"second{suffix}", fps=30)
    first, last = armature.animation_data.action.frame_range
    assert round(last - first) + 1 == 30
    assert ("Cube" in bpy.data.objects) == (suffix == ".blend")


def _in_edit_mode(kind: str) -> None:
    """Two of three are edited at once; then the third and the camera are selected, one is not."""
    add = bpy.ops.mesh.primitive_cube_add if kind == "MESH" else bpy.ops.object.armature_add
    three = []
    for _ in range(3):
        add()
        three.append(bpy.context.object)
    for object, selected in zip(three, (True, True, False), strict=True):
        object.select_set(selected)
    bpy.context.view_layer.objects.active = three[0]
    bpy.ops.object.mode_set(mode="EDIT")
    assert [object.mode for object in three] == ["EDIT", "EDIT", "OBJECT"]
    for object in (three[2], bpy.data.objects["Camera"]):
        object.select_set(True)
    three[1].select_set(False)


def _in_pose_mode() -> None:
    bpy.ops.object.armature_add()
    bpy.ops.object.mode_set(mode="POSE")


@pytest.mark.parametrize(
    ("prepare", "mode"),
    [
        (lambda: _in_edit_mode("MESH"), "EDIT_MESH"),
        (lambda: _in_edit_mode("ARMATURE"), "EDIT_ARMATURE"),
        (_in_pose_mode, "POSE"),
    ],
    ids=["meshes", "armatures", "pose"],
)
def test_the_mode_of_an_open_scene_comes_back(
    tmp_path, scene, generated, monkeypatch, prepare, mode
) -> None:
    monkeypatch.setattr("t2m_blender.blender.export.is_module", lambda: False)
    prepare()
    layer = bpy.context.view_layer
    assert bpy.context.mode == mode

    def state() -> tuple:
        rows = [(object.name, object.mode, object.select_get()) for object in layer.objects]
        return bpy.context.mode, layer.objects.active.name, sorted(rows)

    before, contents = state(), file_contents()
    write_motion(generated(), tmp_path / "walk.glb")
    assert state() == before
    assert file_contents() == contents
