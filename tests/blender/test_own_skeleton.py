# SPDX-License-Identifier: GPL-3.0-or-later

"""A dog in Blender: its own figure, made to move joint for joint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import file_contents

from docs.examples.dog import DOG, clips_of, pose
from t2m_blender.blender import models, operators
from t2m_blender.blender.models import FoundModel
from t2m_blender.blender.placement import place_motion
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion


@pytest.fixture
def trot() -> Motion:
    joints = pose(clips_of("trots, left", np.random.default_rng(1))[0])
    return Motion(joints.astype(np.float32), DOG.fps, DOG)


def _posed(armature, scene, frames: int) -> np.ndarray:
    """World positions [T, J, 3] of the bones' heads, along the motion's axes."""
    read = []
    for frame in range(scene.frame_start, scene.frame_start + frames):
        scene.frame_set(frame)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        read.append([posed.matrix_world @ posed.pose.bones[name].head for name in DOG.joint_names])
    x, y, z = np.moveaxis(np.array(read), -1, 0)
    return np.stack((x, z, -y), axis=-1)


def test_the_dogs_figure_does_what_the_dog_does(scene, generated, trot) -> None:
    scene.render.fps = 20
    armature = place_motion(bpy.context, generated("a dog trots", motion=trot))
    assert set(armature.data.bones.keys()) == set(DOG.joint_names)
    assert armature.animation_data.action["t2m_prompt"] == "a dog trots"
    assert np.abs(_posed(armature, scene, trot.frames) - trot.joints).max() < 0.002
    first = armature.animation_data.action
    place_motion(bpy.context, generated("a dog trots", seed=2, motion=trot))
    assert bpy.context.object == armature and armature.animation_data.action != first
    assert len(bpy.data.armatures) == 1


def test_a_person_cannot_move_as_a_dog(scene, generated, trot) -> None:
    person = place_motion(bpy.context, generated())
    before, action = file_contents(), person.animation_data.action
    with pytest.raises(InputError, match="has no bone for"):
        place_motion(bpy.context, generated(motion=trot))
    assert file_contents() == before and person.animation_data.action == action


def test_a_dog_cannot_move_as_a_person(scene, generated, trot) -> None:
    place_motion(bpy.context, generated(motion=trot))
    before = file_contents()
    with pytest.raises(InputError):
        place_motion(bpy.context, generated())
    assert file_contents() == before


def test_the_panel_asks_a_model_of_dogs_for_a_dog(
    scene, generated, trot, add_on, monkeypatch
) -> None:
    """A rig that no person's motion fits is no mistake where the model is of no people."""
    made = generated("a dog trots", motion=trot)
    monkeypatch.setattr(operators, "make_motions", lambda *_: [made])
    dogs = FoundModel(path=Path("dog.safetensors"), licence="", size=0, skeleton=DOG.name)
    monkeypatch.setattr(models, "found", lambda: {"dog": dogs})
    bpy.context.scene.t2m.model = "dog"
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    armature = bpy.context.object
    first = armature.animation_data.action
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    assert bpy.context.object == armature and armature.animation_data.action != first
