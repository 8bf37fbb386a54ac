# SPDX-License-Identifier: GPL-3.0-or-later
"""An animator's session in Blender's own window, each step undone, done again and looked at.

`blender --enable-event-simulate --python session.py -- ZIP FOLDER`: pictures of the screen and the
saved file go into the folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import driving as do

ZIP, FOLDER = do.arguments()
EXACT = 96  # frames of 4.0 s at the scene's 24 a second


def session() -> Iterator[float]:
    do.install(ZIP)
    yield 1.0
    yield from do.open_tab()
    yield from step("type and generate", typed())
    own_action()
    yield from cancelled()
    yield from step("three takes", takes())
    yield from step("keep one", kept())
    yield from step("discard the others", others_discarded())
    yield from step("exactly 4 s", exact())
    yield from step("push down", pushed_down())
    yield from step("a loop", loop())
    yield from step("two sentences as a strip", two_sentences())
    yield from step("another sentence for a strip", regenerated("a person jumps up and down"))
    yield from step("a motion to go on with", exact())
    yield from step("go on", continued())
    yield from step("repair", repaired())
    yield from deleted_meanwhile()
    yield from off_and_on()
    yield from reopened()
    yield from step("another sentence after opening", regenerated("a person walks in a circle"))
    print("session done", flush=True)


def step(name: str, work: Iterator[float]) -> Iterator[float]:
    """One step of it; undo and redo take it back and bring it again, to the byte."""
    before = do.contents()
    yield from work
    after = do.contents()
    assert after != before, "nothing has changed"
    yield from do.undo()
    same(do.contents(), before)
    yield from do.undo(redo=True)
    same(do.contents(), after)
    do.check_slots()
    print("step done:", name, flush=True)


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    names = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    assert not names, {name: (found.get(name), wanted.get(name)) for name in names}


def ask(**values: object) -> bpy.types.PropertyGroup:
    """The panel's fields: as they are at first but for these. Undo has taken others back."""
    fields = bpy.context.scene.t2m
    fields.next_prompts.clear()
    usual = {"prompt": "a person walks forward", "length": "FREE", "takes": 1, "loop": False}
    for name, value in {**usual, "where": "START", "seed": 1, **values}.items():
        setattr(fields, name, value)
    return fields


def pressed(operator: Any, **values: Any) -> Iterator[float]:
    """A button, and the end of what it began."""
    assert do.call(operator, **values) == {"FINISHED"}
    yield from do.idle()


def figure() -> bpy.types.Object:
    (armature,) = do.armatures()
    return armature


def action() -> bpy.types.Action:
    return figure().animation_data.action


def frames_of(made: bpy.types.Action) -> set[tuple[int, int, int]]:
    """First and last key and how many, of every curve that moves."""
    found = {
        (int(values[0, 0]), int(values[-1, 0]), len(values)) for values in do.keys(made).values()
    }
    return {one for one in found if one[2] > 1}


def show(name: str) -> Iterator[float]:
    """A picture of the screen with the whole figure in view."""
    with do.over():
        bpy.ops.view3d.view_selected()
    yield 1.0
    do.picture(f"{FOLDER}/{name}.png")


def typed() -> Iterator[float]:
    yield from do.click_on(".prompt")
    yield from do.write("a person walks forward and waves")
    yield from do.click_on("bpy.ops.t2m.generate()")
    yield from do.idle()
    assert action()["t2m_prompt"] == "a person walks forward and waves"
    with do.over():
        bpy.ops.view3d.view_selected()


def own_action() -> None:
    """An Action of the user's own, which the figure plays when the next motion comes."""
    armature = figure()
    armature.animation_data.action = None
    for frame, height in ((1, 0.0), (10, 0.5)):
        armature.location.z = height
        armature.keyframe_insert("location", frame=frame)
    action().name = "Mine"
    armature.location.z = 0.0
    with do.over():
        bpy.ops.ed.undo_push(message="An Action of my own")
    OWN.append(do.digest(action()))


def check_own() -> None:
    mine = bpy.data.actions["Mine"]
    assert do.digest(mine) == OWN[0], "the user's own Action has changed"


def cancelled() -> Iterator[float]:
    before = do.contents()
    ask(length="SECONDS", seconds=120.0, takes=32)  # not done before the button is found
    assert do.call(bpy.ops.t2m.generate) == {"FINISHED"}
    yield 0.5
    assert do.works()
    yield from do.click_on("bpy.ops.t2m.cancel()", across=0.83)
    yield from do.idle()
    same(do.contents(), before)
    print("step done: cancel", flush=True)


def takes() -> Iterator[float]:
    ask(takes=3)
    yield from pressed(bpy.ops.t2m.generate)
    made = [take.action for take in figure().t2m_takes]
    assert sorted(one["t2m_seed"] for one in made) == [1, 2, 3]
    assert action() == made[0]
    assert bpy.data.actions["Mine"].use_fake_user
    check_own()
    bpy.context.scene.frame_set(24)
    yield from show("takes")


def kept() -> Iterator[float]:
    wanted = figure().t2m_takes[1].action.name
    yield from pressed(bpy.ops.t2m.keep_take, index=1)
    assert action().name == wanted and len(figure().t2m_takes) == 2


def others_discarded() -> Iterator[float]:
    wanted, others = action().name, [take.action.name for take in figure().t2m_takes]
    yield from pressed(bpy.ops.t2m.discard_takes)
    assert action().name == wanted and not len(figure().t2m_takes)
    assert not any(name in bpy.data.actions for name in others)


def exact() -> Iterator[float]:
    ask(length="SECONDS", seconds=4.0)
    before = action()
    yield from pressed(bpy.ops.t2m.generate)
    assert frames_of(action()) == {(1, EXACT, EXACT)}, frames_of(action())
    assert before is None or (action() != before and before.use_fake_user)


def pushed_down() -> Iterator[float]:
    ask()
    wanted = action().name
    yield from pressed(bpy.ops.t2m.push_down)
    assert action() is None
    ((_, strip),) = do.strips(figure())
    assert (strip.action.name, strip.frame_start, strip.frame_end) == (wanted, 1, EXACT)


def loop() -> Iterator[float]:
    ask(length="FRAMES", frames=60, loop=True)
    yield from pressed(bpy.ops.t2m.generate)
    made = action()
    assert frames_of(made) == {(1, 60, 60)} and made.use_cyclic
    assert all(
        [modifier.type for modifier in curve.modifiers] == ["CYCLES"]
        for curve in do.curves(made)
        if len(curve.keyframe_points) > 1
    )
    turns: dict[str, list[np.ndarray]] = {}
    for (path, _), values in do.keys(made).items():
        if path.endswith("rotation_quaternion"):
            turns.setdefault(path, []).append(values[:, 1])
    for path, parts in turns.items():
        first, last = np.array([values[0] for values in parts]), [values[-1] for values in parts]
        assert abs(first @ last) > 1.0 - 1e-5, path


def two_sentences() -> Iterator[float]:
    fields = ask(length="SECONDS", seconds=6.0, where="STRIP")
    bpy.context.scene.frame_set(120)
    do.call(bpy.ops.t2m.add_prompt)
    fields = bpy.context.scene.t2m
    fields.next_prompts[0].prompt = "a person sits down"
    plays, before = action(), [strip.name for _, strip in do.strips(figure())]
    yield from pressed(bpy.ops.t2m.generate)
    assert action() == plays, "a strip leaves the armature's own Action"
    (strip,) = (strip for _, strip in do.strips(figure()) if strip.name not in before)
    assert (strip.frame_start, strip.frame_end) == (120, 263), strip.frame_end
    said = [part[0] for part in json.loads(strip.action["t2m_parts"])]
    assert said == ["a person walks forward", "a person sits down"], said


def regenerated(sentence: str) -> Iterator[float]:
    """Another sentence for the first strip; the other one and the Action stay."""
    ask()
    chosen, other = (strip for _, strip in do.strips(figure()))
    chosen.select, other.select = True, False
    before, plays = chosen.action.name, action()
    stays = (other.action.name, do.digest(other.action), other.frame_start, other.frame_end)
    place = (chosen.frame_start, chosen.frame_end)
    chosen.action.t2m_prompt_edit = sentence
    yield from pressed(bpy.ops.t2m.regenerate, strip=True)
    chosen, other = (strip for _, strip in do.strips(figure()))
    assert chosen.action["t2m_prompt"] == sentence and chosen.action.name != before
    assert before in bpy.data.actions and action() == plays
    assert (chosen.frame_start, chosen.frame_end) == place
    assert frames_of(chosen.action) == {(1, EXACT, EXACT)}
    assert stays == (
        other.action.name, do.digest(other.action), other.frame_start, other.frame_end
    )  # fmt: skip


def continued() -> Iterator[float]:
    ask(prompt="a person turns around", length="FRAMES", frames=48)
    bpy.context.scene.frame_set(80)
    before, was = do.keys(action()), action()
    yield from pressed(bpy.ops.t2m.continue_motion)
    after = do.keys(action())
    assert action() != was and was.use_fake_user
    for name, values in before.items():
        assert after[name][:80].tobytes() == values[:80].tobytes(), name
    assert frames_of(action()) == {(1, 128, 128)}, frames_of(action())


def repaired() -> Iterator[float]:
    scene = bpy.context.scene
    ask(prompt="a person jumps", seed=5)
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 40, 59
    before, was, changed = do.keys(action()), action(), 0
    yield from pressed(bpy.ops.t2m.repair_motion)
    after = do.keys(action())
    bpy.context.scene.use_preview_range = False
    assert action() != was and before.keys() == after.keys()
    for name, values in before.items():
        outside = (values[:, 0] < 40) | (values[:, 0] > 59)
        assert after[name][outside].tobytes() == values[outside].tobytes(), name
        changed += after[name][~outside].tobytes() != values[~outside].tobytes()
    assert changed > 20, changed
    yield from show("repaired")


def deleted_meanwhile() -> Iterator[float]:
    """The armature is deleted while it works: the motion waits until undo has brought it back."""
    before = do.contents()
    ask(length="SECONDS", seconds=10.0, takes=4)
    assert do.call(bpy.ops.t2m.generate) == {"FINISHED"}
    with do.over():
        bpy.ops.object.delete("EXEC_DEFAULT", True)
    assert not do.armatures()
    yield from do.idle()
    assert bpy.ops.t2m.place_waiting.poll()
    yield from do.undo()
    same(do.contents(), before)
    yield from pressed(bpy.ops.t2m.place_waiting)
    assert len(figure().t2m_takes) == 4
    yield from do.undo()
    same(do.contents(), before)
    print("step done: deleted meanwhile", flush=True)


def off_and_on() -> Iterator[float]:
    before = do.contents()
    bpy.ops.preferences.addon_disable(module=do.MODULE)
    yield 1.0
    assert not hasattr(bpy.types.Scene, "t2m")
    bpy.ops.preferences.addon_enable(module=do.MODULE)
    yield 1.0
    same(do.contents(), before)
    yield from do.open_tab()
    print("step done: off and on", flush=True)


def reopened() -> Iterator[float]:
    """Saved and opened: everything is there, and a recipe gives the same keys to the byte."""
    before = do.contents()
    path = f"{FOLDER}/session.blend"
    with do.over():
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
    yield 2.0
    same(do.contents(), before)
    check_own()
    chosen, _ = (strip for _, strip in do.strips(figure()))
    wanted = do.keys(chosen.action)
    yield from step("the same again", regenerated(chosen.action["t2m_prompt"]))
    chosen, _ = (strip for _, strip in do.strips(figure()))
    again = do.keys(chosen.action)
    assert all(again[name].tobytes() == values.tobytes() for name, values in wanted.items())
    yield from show("reopened")


OWN: list[str] = []  # of the user's own Action
do.play(session())
