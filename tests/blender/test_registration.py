# SPDX-License-Identifier: GPL-3.0-or-later

"""On and off again, and the button's way through failures."""

from __future__ import annotations

import sys

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import file_contents

import t2m_blender
from t2m_blender.blender import models, operators
from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.pytorch import torch_state


def _registered() -> list[str]:
    return [name for name in dir(bpy.types) if name.startswith("T2M_")]


def test_on_and_off_twice(scene) -> None:
    for _ in range(2):
        t2m_blender.register()
        assert {"T2M_OT_generate", "T2M_PT_main"} <= set(_registered())
        assert bpy.context.scene.t2m.prompt
        t2m_blender.unregister()
        assert not _registered()
        assert not hasattr(bpy.types.Scene, "t2m")


def _press(expected: str) -> None:
    before, frame_end = file_contents(), bpy.context.scene.frame_end
    with pytest.raises(RuntimeError, match=expected):
        bpy.ops.t2m.generate()
    assert file_contents() == before
    assert bpy.context.scene.frame_end == frame_end


def test_an_error_of_the_engine_is_reported(scene, add_on, monkeypatch) -> None:
    def fails(*_):
        raise CheckpointError("The model is damaged; install it again.")

    monkeypatch.setattr(operators, "make_motions", fails)
    _press("The model is damaged; install it again")


def test_another_armature_is_reported_before_anything_is_generated(
    scene, add_on, monkeypatch
) -> None:
    monkeypatch.setattr(operators, "make_motions", lambda *_: pytest.fail("generated"))
    bpy.ops.object.armature_add()
    _press("too few bones")


def test_without_torch_it_works_and_says_what_computes(scene, add_on, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    torch_state.cache_clear()
    assert models.computing()[1] == "PyTorch is not installed"
    bpy.context.scene.t2m.length, bpy.context.scene.t2m.seconds = "SECONDS", 1.0
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    assert models.computing() == (
        "NumPy on the CPU",
        "the fastest for a model of this size",
        "PyTorch is not installed",
    )
    torch_state.cache_clear()


@pytest.mark.parametrize("prompt", ["", "   ", "walk " * 2000])
def test_a_bad_prompt_is_reported(scene, add_on, prompt) -> None:
    bpy.context.scene.t2m.prompt = prompt
    _press("prompt")


def test_a_length_the_model_cannot_make_is_reported(scene, add_on) -> None:
    bpy.context.scene.t2m.length = "SECONDS"
    bpy.context.scene.t2m.seconds = 500.0
    _press("500 s")


def test_a_sentence_becomes_keyframes(scene, add_on) -> None:
    settings = bpy.context.scene.t2m
    settings.prompt, settings.seed = "a person walks forward", 1
    settings.length, settings.seconds = "SECONDS", 3.0
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    armature = bpy.context.object
    first = armature.animation_data.action
    assert first["t2m_prompt"] == settings.prompt
    assert first["t2m_seed"] == 1
    assert tuple(first.frame_range) == (1.0, 72.0)
    settings.seed = 2
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    assert bpy.context.object == armature
    assert armature.animation_data.action != first
    assert len(bpy.data.actions) == 2
