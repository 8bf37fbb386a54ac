# SPDX-License-Identifier: GPL-3.0-or-later

"""Rigs of the user's own, from their files, moved and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import file_contents

from t2m_blender.blender.action import action_curves
from t2m_blender.blender.export import write_motion
from t2m_blender.engine.errors import InputError
from t2m_blender.recipe import RigFile, read_rig


@pytest.fixture(scope="session")
def human(shared: Path) -> Path:
    return shared / "data" / "cc0_clips" / "mesh2motion" / "rig-human.glb"


@pytest.fixture
def two(human: Path, tmp_path: Path) -> Path:
    """A file with two people, a body each, and a thing of bones."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 30
    for name in ("Ann", "Bob"):
        bpy.ops.import_scene.gltf(filepath=str(human))
        (new,) = [o for o in bpy.context.selected_objects if o.type == "ARMATURE"]
        new.name = name
        bpy.ops.mesh.primitive_cube_add()
        body = bpy.context.object
        body.name, body.parent = f"{name}'s body", new
        body.modifiers.new("Armature", "ARMATURE").object = new
        body.vertex_groups.new(name=new.data.bones[0].name).add(range(8), 1.0, "REPLACE")
    bpy.ops.object.armature_add()
    bpy.context.object.name = "Chain"
    path = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def _moved() -> list[str]:
    """Names of the armatures that have an Action, in the open file."""
    objects = [o for o in bpy.data.objects if o.type == "ARMATURE"]
    return sorted(o.name for o in objects if o.animation_data and o.animation_data.action)


def test_a_rig_of_a_glb_file_moves_in_a_blend_file(human: Path, generated, tmp_path: Path) -> None:
    write_motion(generated("walks"), tmp_path / "a.blend", rig=read_rig(str(human)), frames=48)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    (armature,) = [o for o in bpy.data.objects if o.type == "ARMATURE"]
    first, last = armature.animation_data.action.frame_range
    assert (last - first, armature.animation_data.action.name) == (47, "walks")


def test_the_named_one_of_a_blend_file_moves_and_the_file_stays(
    two: Path, generated, tmp_path: Path
) -> None:
    before = two.read_bytes()
    write_motion(generated(), tmp_path / "out.blend", rig=read_rig(f"{two}:Bob"))
    assert two.read_bytes() == before
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out.blend"))
    assert _moved() == ["Bob"]
    assert bpy.context.scene.render.fps == 30
    for suffix in (".glb", ".fbx"):
        write_motion(generated(), tmp_path / f"out{suffix}", rig=read_rig(f"{two}:Bob"))
        bpy.ops.wm.read_factory_settings(use_empty=True)
        read = bpy.ops.import_scene.gltf if suffix == ".glb" else bpy.ops.import_scene.fbx
        read(filepath=str(tmp_path / f"out{suffix}"))
        armatures = [o for o in bpy.data.objects if o.type == "ARMATURE"]
        assert len(armatures) == 1, "Ann and the chain are not in it"
        bodies = [o.name for o in bpy.data.objects if o.type == "MESH"]
        assert [name for name in bodies if "body" in name] == ["Bob's body"]
        assert len(action_curves(armatures[0])) > 20


@pytest.mark.parametrize(
    ("object", "words"),
    [
        (None, "several armatures: name one, as .*two.blend:Ann"),
        ("Eve", "no armature Eve in .*two.blend: its armatures are Ann, Bob, Chain"),
        ("Chain", "humanoid|bones|legs|recognised"),
    ],
)
def test_what_cannot_be_moved_is_refused_and_nothing_is_written(
    two: Path, generated, tmp_path: Path, object: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        write_motion(generated(), tmp_path / "a.blend", rig=RigFile(file=two, object=object))
    assert not (tmp_path / "a.blend").exists()


@pytest.mark.parametrize("suffix", [".blend", ".fbx", ".glb"])
def test_a_damaged_rig_is_refused(generated, tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"rig{suffix}").write_bytes(b"not a rig")
    with pytest.raises(InputError, match=f"rig{suffix} cannot be read"):
        write_motion(generated(), tmp_path / "a.glb", rig=read_rig(str(tmp_path / f"rig{suffix}")))


def test_an_object_of_the_open_scene_moves_in_the_file_only(
    two: Path, generated, tmp_path: Path, monkeypatch
) -> None:
    """As `blender -b two.blend --command t2m --rig Ann` does."""
    bpy.ops.wm.open_mainfile(filepath=str(two))
    monkeypatch.setattr("t2m_blender.blender.export.is_module", lambda: False)
    before = file_contents()
    write_motion(generated(), tmp_path / "a.blend", rig=read_rig("Ann"))
    assert file_contents() == before
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert _moved() == ["Ann"]


def test_the_recipe_says_how_it_is_put_on_the_rig(generated, tmp_path: Path) -> None:
    def travel(**recipe: bool) -> float:
        write_motion(generated(**recipe), tmp_path / "a.blend")
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
        (armature,) = [o for o in bpy.data.objects if o.type == "ARMATURE"]
        curves = [c for c in action_curves(armature) if c.data_path.endswith("location")]
        keys = [[point.co[1] for point in curve.keyframe_points] for curve in curves]
        return max(np.ptp(values) for values in keys)

    assert travel(in_place=True) < 0.3 * travel()
