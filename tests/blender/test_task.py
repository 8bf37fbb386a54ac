# SPDX-License-Identifier: GPL-3.0-or-later

"""Work beside Blender: its timer is called by hand, because it never fires on the wheels."""

from __future__ import annotations

import threading
import time

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from scene_reading import file_contents

import t2m_blender
from t2m_blender.blender import task
from t2m_blender.blender.operators import asked_in_panel, generating_job
from t2m_blender.blender.selection import check_target
from t2m_blender.engine.errors import InputError

pytestmark = pytest.mark.usefixtures("scene", "add_on")


def _job(armature: bpy.types.Object | None = None, **values: object) -> task.Job:
    settings = bpy.context.scene.t2m
    for name, value in ({"length": "SECONDS", "seconds": 1.5} | values).items():
        setattr(settings, name, value)
    if armature is not None:
        check_target(bpy.context, armature)
    return generating_job(asked_in_panel(bpy.context, armature), "Generate Action")


def _wait() -> None:
    """What Blender's timer would do."""
    end = time.monotonic() + 60
    while task._look() is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def _no_thread() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("t2m ")]


def test_a_figure_comes_when_the_thread_is_done() -> None:
    job = _job()
    task.start(job)
    running = task.Session.running
    assert running is not None and running.thread.is_alive()
    assert not [item for item in bpy.data.objects if item.type == "ARMATURE"]
    with pytest.raises(InputError, match="still going on"):
        task.start(job)
    _wait()
    assert running.done == running.most > 1
    (armature,) = [item for item in bpy.data.objects if item.type == "ARMATURE"]
    assert armature.animation_data.action is not None
    assert "New Action" in task.Session.notice.text and not task.Session.notice.details


def test_cancel_changes_nothing() -> None:
    before = file_contents()
    task.start(_job(seconds=100.0))
    thread = task.Session.running.thread
    assert bpy.ops.t2m.cancel() == {"FINISHED"}
    thread.join(20)
    assert not thread.is_alive()
    _wait()
    assert file_contents() == before
    assert task.Session.notice.text.startswith("Cancelled")


def test_a_deleted_armature_loses_no_motion() -> None:
    bpy.context.scene.t2m.seconds = 1.5
    bpy.ops.t2m.generate()
    armature = bpy.context.object
    task.start(_job(armature))
    bpy.data.objects.remove(armature)
    _wait()
    assert task.Session.waiting is not None
    assert "is gone" in task.Session.notice.text and "InputError" in task.Session.notice.details
    with pytest.raises(RuntimeError, match="is gone"):
        bpy.ops.t2m.place_waiting()
    assert task.Session.waiting is not None
    assert bpy.ops.t2m.discard_waiting() == {"FINISHED"}
    assert task.Session.waiting is None


def test_an_armature_in_edit_mode_gets_its_motion_later() -> None:
    bpy.ops.t2m.generate()
    armature = bpy.context.object
    before = armature.animation_data.action
    task.start(_job(armature))
    bpy.ops.object.mode_set(mode="EDIT")
    _wait()
    assert "Edit Mode" in task.Session.notice.text
    bpy.ops.object.mode_set(mode="OBJECT")
    assert armature.animation_data.action == before
    assert bpy.ops.t2m.place_waiting() == {"FINISHED"}
    assert armature.animation_data.action != before
    assert task.Session.waiting is None


def test_a_renamed_armature_is_still_the_one() -> None:
    bpy.ops.t2m.generate()
    armature = bpy.context.object
    task.start(_job(armature))
    armature.name, armature.data.name = "Hero", "Hero"
    armature.select_set(False)
    _wait()
    assert len([item for item in bpy.data.objects if item.type == "ARMATURE"]) == 1
    assert len(bpy.data.actions) == 2


def test_another_file_stops_the_work() -> None:
    task.start(_job(seconds=100.0))
    thread = task.Session.running.thread
    bpy.ops.wm.read_factory_settings()
    assert not thread.is_alive()
    assert task.Session.running is None and not bpy.app.timers.is_registered(task._look)


def test_disabling_stops_the_work() -> None:
    task.start(_job(seconds=100.0))
    t2m_blender.unregister()
    try:
        assert _no_thread() and not bpy.app.timers.is_registered(task._look)
    finally:
        t2m_blender.register()


def test_a_mistake_of_ours_has_details_to_report() -> None:
    def work(on_progress, is_cancelled):
        raise ZeroDivisionError("nobody expects this")

    task.start(task.Job(title="Test", work=work, finish=lambda *_: "", scene="Scene"))
    _wait()
    notice = task.Session.notice
    assert "ZeroDivisionError" in notice.text
    assert "nobody expects this" in notice.details and bpy.app.version_string in notice.details
