# SPDX-License-Identifier: GPL-3.0-or-later

"""What is set once: defaults for new scenes, models in memory, devices; and the menus."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

import t2m_blender
from t2m_blender.blender import menu, models
from t2m_blender.blender.preferences import preferences
from t2m_blender.engine import pytorch
from t2m_blender.engine.pytorch import device_states

pytestmark = pytest.mark.usefixtures("scene", "add_on")


@pytest.fixture
def chosen() -> Iterator[bpy.types.AddonPreferences]:
    """The preferences, as of an add-on that Blender has enabled."""
    entry = bpy.context.preferences.addons.new()
    entry.module = "t2m_blender"
    yield preferences()
    bpy.context.preferences.addons.remove(bpy.context.preferences.addons["t2m_blender"])


def test_new_files_begin_with_the_defaults_and_old_ones_keep_theirs(chosen, tmp_path) -> None:
    scene = bpy.context.scene
    scene.t2m.takes, scene.t2m_placement.foot_lock = 5, True
    old = str(tmp_path / "old.blend")
    bpy.ops.wm.save_as_mainfile(filepath=old)
    chosen.defaults.takes, chosen.defaults.seed_locked = 3, False
    chosen.defaults.foot_lock, chosen.defaults.travel = False, "none"
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    scene = bpy.context.scene
    assert (scene.t2m.takes, scene.t2m.seed_locked) == (3, False)
    assert (scene.t2m_placement.foot_lock, scene.t2m_placement.travel) == (False, "none")
    assert not scene.t2m.is_property_set("closeness"), "nothing is written that nobody has set"
    bpy.ops.wm.open_mainfile(filepath=old)
    scene = bpy.context.scene
    assert (scene.t2m.takes, scene.t2m_placement.foot_lock) == (5, True), "its own"
    assert (scene.t2m.seed_locked, scene.t2m_placement.travel) == (False, "none"), "never set there"


def test_without_defaults_no_scene_is_touched(chosen) -> None:
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    scene = bpy.context.scene
    fields = [*scene.t2m.bl_rna.properties.keys(), *scene.t2m_placement.bl_rna.properties.keys()]
    groups = (scene.t2m, scene.t2m_placement)
    written = [
        name
        for group in groups
        for name in fields
        if name in group.bl_rna.properties and name != "rna_type" and group.is_property_set(name)
    ]
    assert not written


def test_a_scene_becomes_the_default_and_takes_it_back(chosen) -> None:
    scene = bpy.context.scene
    scene.t2m.variety, scene.t2m_placement.reduce_keys = "WILD", True
    assert bpy.ops.t2m.save_defaults() == {"FINISHED"}
    assert (chosen.defaults.variety, chosen.defaults.reduce_keys) == ("WILD", True)
    scene.t2m.variety, scene.t2m_placement.reduce_keys = "CALM", False
    scene.t2m.prompt = "a person jumps"
    assert bpy.ops.t2m.use_defaults() == {"FINISHED"}
    assert (scene.t2m.variety, scene.t2m_placement.reduce_keys) == ("WILD", True)
    assert scene.t2m.prompt == "a person jumps", "a sentence is no habit"


def test_memory_is_told_and_freed() -> None:
    models.unload()
    assert not bpy.ops.t2m.free_memory.poll()
    bpy.context.scene.t2m.length, bpy.context.scene.t2m.seconds = "SECONDS", 1.0
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    model = models.last_loaded()
    weights = 4 * model.gpt.weights
    assert 0.2 * weights < models.held(model) < 6 * weights
    assert bpy.ops.t2m.free_memory() == {"FINISHED"}
    assert models.last_loaded() is None


def test_devices_say_why_they_cannot_be_used(monkeypatch) -> None:
    def builds(version: dict[str, str | None] | None, torch: object) -> dict[str, str]:
        monkeypatch.setattr(pytorch, "_torch_version", lambda: version)
        monkeypatch.setitem(sys.modules, "torch", torch)
        pytorch._builds.cache_clear()
        pytorch.torch_state.cache_clear()
        return device_states()

    try:
        nothing = builds(None, None)
        assert set(nothing.values()) == {"PyTorch is not installed"}
        only_cpu = {"__version__": "2.13.0", "cuda": None, "hip": None}
        assert builds(only_cpu, None)["cuda"] == "this PyTorch is not built for it"
        with_cuda = {"__version__": "2.13.0", "cuda": "12.8", "hip": None}
        assert builds(with_cuda, None)["cuda"] == pytorch.UNKNOWN
        monkeypatch.setattr(pytorch, "import_torch", lambda: torch)
        torch = SimpleNamespace(
            cuda=SimpleNamespace(is_available=lambda: True),
            xpu=SimpleNamespace(is_available=lambda: False),
            backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False)),
        )
        assert builds(with_cuda, torch)["cuda"] == ""
        torch.cuda.is_available = lambda: False
        assert "driver" in builds(with_cuda, torch)["cuda"]
    finally:
        monkeypatch.undo()
        pytorch._builds.cache_clear()
        pytorch.torch_state.cache_clear()


def test_all_operators_without_a_row_are_in_the_menus() -> None:
    """F3 searches menus; rows of lists and what belongs to the preferences are not in any."""
    listed = {operator.bl_idname for group in menu._GROUPS for operator in group}
    rows = {"set_prompt", "remove_prompt", "show_take", "keep_take", "discard_take"}
    machine = {"import_model", "find_models", "find_devices", "free_memory"}
    files = {"add_smpl_body", "save_smpl_parameters"}  # in Add > Armature and File > Export
    assert listed == {
        f"t2m.{name}" for name in dir(bpy.ops.t2m) if name not in rows | machine | files
    }
    for owner in (bpy.types.VIEW3D_MT_object, bpy.types.VIEW3D_MT_pose):
        assert menu._draw in owner._dyn_ui_initialize()
    t2m_blender.unregister()
    try:
        for owner in (bpy.types.VIEW3D_MT_object, bpy.types.VIEW3D_MT_pose):
            assert menu._draw not in owner._dyn_ui_initialize()
    finally:
        t2m_blender.register()


def test_what_changes_the_file_can_be_undone() -> None:
    """The end of work that goes on beside Blender makes its own step."""
    beside = {"generate", "regenerate", "continue_motion", "repair_motion"}
    nothing = {"cancel", "discard_waiting", "copy_details", "copy_recipe", "save_rig_preset",
               "import_model", "find_models", "find_devices", "free_memory", "save_defaults",
               "save_smpl_parameters"}  # fmt: skip
    for name in dir(bpy.ops.t2m):
        options = getattr(getattr(bpy.types, f"T2M_OT_{name}"), "bl_options", set())
        assert ("UNDO" in options) == (name not in beside | nothing), name
