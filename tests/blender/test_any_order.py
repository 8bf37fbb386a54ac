# SPDX-License-Identifier: GPL-3.0-or-later

"""Operators in any order, and deletions, names, modes, files and the add-on itself in between."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

import t2m_blender
from t2m_blender.blender import task
from t2m_blender.blender.operators import asked_in_panel, generating_job
from t2m_blender.blender.selection import check_target
from t2m_blender.engine.errors import T2MError

CALLS = 300


class Hand:
    """An animator with no plan."""

    def __init__(self, seed: int, file: Path) -> None:
        self.chance, self.file, self.done = random.Random(seed), file, 0
        number = self.chance.randrange
        self.operators: dict[str, Callable[[], dict[str, object]]] = {
            **dict.fromkeys(
                ("show_take", "keep_take", "discard_take"), lambda: {"index": number(3)}
            ),
            **dict.fromkeys(("regenerate", "copy_recipe"), lambda: {"strip": number(2) == 0}),
            **dict.fromkeys(
                ("generate", "discard_takes", "push_down", "continue_motion", "repair_motion",
                 "mark_asset", "place_waiting", "discard_waiting", "cancel", "new_seed",
                 "add_prompt", "remove_prompt", "recognise_rig", "relock_feet", "use_defaults",
                 "free_memory", "copy_details"), dict,
            ),
        }  # fmt: skip
        self.others = (
            self.start, self.start, self.look, self.rename, self.delete_armature, self.mode,
            self.delete_action, self.select, self.save, self.load, self.switch_off_and_on,
        )  # fmt: skip

    def act(self) -> None:
        choices = [*self.operators, *self.others]
        chosen = self.chance.choice(choices)
        if callable(chosen):
            chosen()
            return
        self.fields()
        operator = getattr(bpy.ops.t2m, chosen)
        if not operator.poll():
            return
        try:
            operator(**self.operators[chosen]())
            self.done += 1
        except RuntimeError as error:  # a sentence is right, a traceback is not
            if "Traceback" in str(error):
                raise

    def fields(self) -> None:
        scene, settings = bpy.context.scene, bpy.context.scene.t2m
        scene.frame_end, scene.use_preview_range = 60, True
        scene.frame_preview_start, scene.frame_preview_end = 10, self.chance.randint(12, 30)
        scene.frame_set(self.chance.randint(1, 50))
        settings.length = self.chance.choice(("SECONDS", "FRAMES", "RANGE"))
        settings.seconds, settings.frames = 1.0, self.chance.randint(12, 40)
        settings.where = self.chance.choice(("START", "PLAYHEAD", "STRIP"))
        settings.takes = self.chance.choice((1, 1, 2))
        settings.loop = self.chance.random() < 0.2
        settings.prompt = self.chance.choice(("a person walks", "a person jumps", ""))

    def start(self) -> None:
        self.fields()
        try:
            armature, _ = check_target(bpy.context)
            asked = asked_in_panel(bpy.context, armature)
            task.start(generating_job(asked, "Generate Action"))
        except T2MError:
            return

    def look(self) -> None:
        for _ in range(40):
            if task._look() is None:
                return
            time.sleep(0.01)

    def armature(self) -> bpy.types.Object | None:
        found = [item for item in bpy.data.objects if item.type == "ARMATURE"]
        return self.chance.choice(found) if found else None

    def rename(self) -> None:
        if armature := self.armature():
            armature.name = f"Figure {self.chance.randrange(9)}"

    def delete_armature(self) -> None:
        if (armature := self.armature()) and self.chance.random() < 0.3:
            bpy.data.objects.remove(armature)

    def delete_action(self) -> None:
        if bpy.data.actions and self.chance.random() < 0.3:
            bpy.data.actions.remove(self.chance.choice(list(bpy.data.actions)))

    def mode(self) -> None:
        if bpy.context.object and bpy.context.object.type == "ARMATURE":
            bpy.ops.object.mode_set(mode=self.chance.choice(("OBJECT", "OBJECT", "POSE", "EDIT")))

    def select(self) -> None:
        armature = self.armature()
        if armature and (not bpy.context.object or bpy.context.object.mode == "OBJECT"):
            bpy.ops.object.select_all(action="DESELECT")
            armature.select_set(True)
            bpy.context.view_layer.objects.active = armature

    def save(self) -> None:
        bpy.ops.wm.save_as_mainfile(filepath=str(self.file))

    def load(self) -> None:
        if self.file.is_file():
            bpy.ops.wm.open_mainfile(filepath=str(self.file))

    def switch_off_and_on(self) -> None:
        t2m_blender.unregister()
        t2m_blender.register()


def test_nothing_breaks_in_any_order(scene, add_on, tmp_path) -> None:
    hand = Hand(bpy.app.version[0], tmp_path / "file.blend")
    cube = bpy.data.objects["Cube"].data
    corners = [tuple(vertex.co) for vertex in cube.vertices]
    hand.save()
    for _ in range(CALLS):
        hand.act()
        notice = task.Session.notice
        assert notice is None or "unexpected" not in notice.text, notice.details
    task.stop()
    assert hand.done > CALLS // 10
    assert not [one for one in threading.enumerate() if one.name.startswith("t2m ")]
    assert not bpy.app.timers.is_registered(task._look)
    assert [tuple(v.co) for v in bpy.data.objects["Cube"].data.vertices] == corners
