# SPDX-License-Identifier: GPL-3.0-or-later
"""Random presses in Blender's own window, many while something is being generated.

`blender --enable-event-simulate --python many_calls.py -- ZIP FOLDER [CALLS [SEED]]`: undo, redo,
saving, opening, deleting, modes, the add-on off and on, cancelling. In the end no exception was
raised or told, no thread or timer is left, and the user's own data are what they were.
"""

from __future__ import annotations

import random
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))

import driving as do

ZIP, FOLDER, *MORE = do.arguments()
CALLS, SEED = (int(word) for word in (*MORE, *("60", "1")[len(MORE) :]))
FILE = f"{FOLDER}/calls.blend"
CHANCE = random.Random(SEED)
PROMPTS = ("a person walks", "a person jumps", "")
FAULTS: list[str] = []


def session() -> Iterator[float]:
    do.install(ZIP)
    users_own()
    with do.over():
        bpy.ops.wm.save_as_mainfile(filepath=FILE)
        bpy.ops.wm.open_mainfile(filepath=FILE)
    yield 1.0
    wanted, counted = owned(), Counter()
    for number in range(CALLS):
        name = CHANCE.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not hasattr(bpy.types.Scene, "t2m") and CHANCE.random() < 0.5:
            name = "switch"  # on again
        try:
            said = ACTS[name]()
        except RuntimeError as error:  # what an operator reports
            said = "refused"
            if "Traceback" in str(error) or "unexpected" in str(error):
                FAULTS.append(f"{number} {name}: {error}")
        except Exception:  # noqa: BLE001 - all of them are counted
            said = "raised"
            FAULTS.append(f"{number} {name}: {traceback.format_exc()}")
        counted[name, said or "done"] += 1
        yield CHANCE.choice((0.1, 0.2, 0.4))
        if hasattr(bpy.types.Scene, "t2m"):
            notice = task().Session.notice
            if notice is not None and "unexpected" in notice.text:
                FAULTS.append(f"{number} {name}: {notice.details}")
        if owned() != wanted:
            FAULTS.append(f"{number} {name}: the user's own data: {owned()}")
    if not hasattr(bpy.types.Scene, "t2m"):
        bpy.ops.preferences.addon_enable(module=do.MODULE)
    if do.works():
        do.call(bpy.ops.t2m.cancel)
    yield from do.idle()
    look = task()._look
    assert not bpy.app.timers.is_registered(look), "a timer is left"
    assert not working(), working()
    if not in_object_mode():
        bpy.ops.object.mode_set(mode="OBJECT")
    for item in bpy.context.selected_objects:
        item.select_set(False)
    generate(60.0)
    assert working() and bpy.app.timers.is_registered(look)
    bpy.ops.preferences.addon_disable(module=do.MODULE)
    assert not working() and not bpy.app.timers.is_registered(look), "left after disabling"
    print(*sorted(f"{name} {said}: {count}" for (name, said), count in counted.items()), sep=", ")
    assert not FAULTS, "\n".join(FAULTS)
    print(f"{sum(counted.values())} calls done, seed {SEED}", flush=True)


def users_own() -> None:
    """A mesh with an Action of its own, and an Action that nobody plays."""
    for name in ("Mine", "Unplayed"):
        bpy.ops.mesh.primitive_cube_add()
        cube = bpy.context.object
        for frame in (1, 20):
            cube.location.x = frame
            cube.keyframe_insert("location", frame=frame)
        cube.name = cube.animation_data.action.name = name
    cube.animation_data.action.use_fake_user = True
    cube.animation_data.action = None
    for item in bpy.context.selected_objects:
        item.select_set(False)


def owned() -> dict[str, object]:
    found: dict[str, object] = {
        name: do.digest(bpy.data.actions[name]) if name in bpy.data.actions else None
        for name in ("Mine", "Unplayed")
    }
    for name in ("Mine", "Unplayed"):
        cube = bpy.data.objects.get(name)
        data = cube.animation_data if cube else None
        played = data.action.name if data and data.action else None
        found[f"object {name}"] = (len(cube.data.vertices), played) if cube else None
    return found


def task() -> object:
    return sys.modules[f"{do.MODULE}.blender.task"]


def working() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("t2m ")]


def pick(choices: list[bpy.types.Object]) -> bpy.types.Object | None:
    return CHANCE.choice(choices) if choices else None


def press(name: str, **values: object) -> str:
    operator = getattr(bpy.ops.t2m, name)
    with do.over():
        if not hasattr(bpy.types.Scene, "t2m") or not operator.poll():
            return "greyed out"
    return "/".join(do.call(operator, **values)).lower()


def ask(seconds: float | None = None) -> None:
    scene = bpy.context.scene
    if hasattr(scene, "t2m"):
        fields = scene.t2m
        fields.length = "SECONDS"
        fields.seconds = seconds or CHANCE.choice((1.0, 1.0, 3.0, 30.0))
        fields.where = CHANCE.choice(("START", "PLAYHEAD", "STRIP"))
        fields.takes, fields.seed = CHANCE.choice((1, 1, 2)), CHANCE.randrange(99)
        fields.loop, fields.prompt = CHANCE.random() < 0.2, CHANCE.choice(PROMPTS)
        if seconds:
            fields.prompt, fields.takes = PROMPTS[0], 8
    scene.frame_set(CHANCE.randint(1, 50))


def generate(seconds: float | None = None) -> str:
    ask(seconds)
    return press("generate")


def go_on() -> str:
    ask()
    return press("continue_motion")


def repair() -> str:
    ask()
    scene = bpy.context.scene
    scene.use_preview_range = True
    scene.frame_preview_start = 10 + CHANCE.randrange(10)
    scene.frame_preview_end = 20 + CHANCE.randrange(10)
    return press("repair_motion")


def in_object_mode() -> bool:
    active = bpy.context.view_layer.objects.active
    return active is None or active.mode == "OBJECT"


def select() -> str:
    if not in_object_mode() or not do.armatures():
        return "not now"
    for item in bpy.context.view_layer.objects:
        item.select_set(False)
    armature = pick([one for one in do.armatures() if one.name in bpy.context.view_layer.objects])
    if armature is None:
        return "not now"
    armature.select_set(True)
    bpy.context.view_layer.objects.active = armature
    with do.over():
        bpy.ops.ed.undo_push(message="Select")
    return "done"


def delete() -> str:
    """An armature, also the one that something is being generated for."""
    if select() == "not now":
        return "not now"
    with do.over():
        bpy.ops.object.delete("EXEC_DEFAULT", True)
    return "done"


def mode() -> str:
    active = bpy.context.view_layer.objects.active
    if active is None or active.type != "ARMATURE" or not active.select_get():
        return "not now"
    with do.over():
        bpy.ops.object.mode_set(
            "EXEC_DEFAULT", True, mode=CHANCE.choice(("OBJECT", "OBJECT", "POSE", "EDIT"))
        )
    return "done"


def rename() -> str:
    armature = pick(do.armatures())
    if armature is None:
        return "not now"
    armature.name = f"Renamed {CHANCE.randrange(99)}"
    return "done"


def save() -> str:
    with do.over():
        bpy.ops.wm.save_as_mainfile(filepath=FILE)
    return "done"


def load() -> str:
    with do.over():
        bpy.ops.wm.open_mainfile(filepath=FILE)
    return "done"


def switch() -> str:
    """The add-on off, or on again."""
    on = hasattr(bpy.types.Scene, "t2m")
    preferences = bpy.ops.preferences
    (preferences.addon_disable if on else preferences.addon_enable)(module=do.MODULE)
    return "off" if on else "on"


def history(redo: bool) -> Callable[[], None]:
    def go() -> None:
        place = do.region()
        do.move(place.x + place.width // 3, place.y + place.height // 3)
        do.key("Z", ctrl=True, shift=redo)

    return go


def numbered(name: str) -> Callable[[], str]:
    return lambda: press(name, index=CHANCE.randrange(3))


def of_strip(name: str) -> Callable[[], str]:
    return lambda: press(name, strip=CHANCE.random() < 0.5)


ACTS: dict[str, Callable[[], object]] = {
    "generate": generate, "generate long": lambda: generate(60.0),
    "cancel": lambda: press("cancel"),
    "undo": history(False), "redo": history(True), "show": numbered("show_take"),
    "keep": numbered("keep_take"), "discard": numbered("discard_take"),
    "discard all": lambda: press("discard_takes"), "push down": lambda: press("push_down"),
    "regenerate": of_strip("regenerate"), "recipe": of_strip("copy_recipe"), "continue": go_on,
    "repair": repair, "asset": lambda: press("mark_asset"), "select": select, "delete": delete,
    "mode": mode, "rename": rename, "save": save, "load": load, "switch": switch,
    "place again": lambda: press("place_waiting"), "discard it": lambda: press("discard_waiting"),
    "new seed": lambda: press("new_seed"), "add prompt": lambda: press("add_prompt"),
    "remove prompt": lambda: press("remove_prompt", index=0),
}  # fmt: skip
WEIGHTS = dict.fromkeys(ACTS, 1) | {
    "generate": 9, "generate long": 3, "cancel": 5, "undo": 7, "redo": 5, "select": 4, "keep": 2,
}  # fmt: skip
do.play(session())
