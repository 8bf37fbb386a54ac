# SPDX-License-Identifier: GPL-3.0-or-later

"""Rigs that went through Blender's own exporters and importers, and odd places in the scene."""

from __future__ import annotations

from math import pi
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from mathutils import Matrix
from rigs import zoo_rig

from benchmarks import zoo
from benchmarks.zoo_measures import measure
from t2m_blender.blender.surroundings import quiet
from t2m_blender.engine.motion import Motion


@pytest.fixture
def motion(clip: Motion) -> Motion:
    return Motion(clip.joints[40:80], 20.0)


def assert_moves(armature: bpy.types.Object, motion: Motion) -> None:
    specimen = zoo.Specimen(armature.name, "as it is", armature, zoo.truth("mixamo"))
    found = measure(specimen, motion, "walk")
    assert found.misplaced == 0 and found.limbs_deg < 0.1
    assert found.path < 0.02 and found.swapped == 0 and found.jumps == 0
    assert found.slide_mm < 5.0


@pytest.mark.parametrize(
    ("kind", "way_out", "way_in"),
    [
        ("fbx", {"add_leaf_bones": True}, {}),
        ("fbx", {"axis_up": "Z", "axis_forward": "Y"}, {"global_scale": 100.0}),
        ("fbx", {}, {"automatic_bone_orientation": True}),
        ("gltf", {"export_format": "GLB"}, {"bone_heuristic": "TEMPERANCE"}),
    ],
    ids=["fbx", "fbx in centimetres", "fbx turned bones", "glb"],
)
def test_rigs_out_of_files(scene, shared, motion, tmp_path: Path, kind, way_out, way_in) -> None:
    armature = zoo_rig(shared, "mixamo")
    path = str(tmp_path / f"rig.{'glb' if kind == 'gltf' else kind}")
    with quiet():
        getattr(bpy.ops.export_scene, kind)(filepath=path, use_selection=True, **way_out)
        bpy.data.objects.remove(armature)
        getattr(bpy.ops.import_scene, kind)(filepath=path, **way_in)
    (armature,) = (item for item in bpy.data.objects if item.type == "ARMATURE")
    assert_moves(armature, motion)


@pytest.mark.parametrize(
    "place",
    [
        Matrix.Diagonal((-1.0, 1.0, 1.0, 1.0)) @ Matrix.Rotation(0.7, 4, "Z"),
        Matrix.Rotation(pi / 2, 4, "X") @ Matrix.Scale(0.01, 4),
        Matrix.Diagonal((1.0, 1.3, 1.0, 1.0)),
    ],
    ids=["mirrored", "turned and small", "unequal"],
)
def test_whatever_the_rig_hangs_on(scene, shared, motion, place) -> None:
    armature = zoo_rig(shared, "mixamo")
    parent = bpy.data.objects.new("parent", None)
    scene.collection.objects.link(parent)
    parent.matrix_world, armature.parent = place, parent
    armature.rotation_euler = (0.0, 0.5, 2.0)
    assert_moves(armature, motion)
