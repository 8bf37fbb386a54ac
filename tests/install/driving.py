# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at Blender's window, played: simulated mouse and keys, and what the scene holds.

For scripts of `blender --enable-event-simulate --python SCRIPT -- ...`. A session is a generator
that yields the seconds until Blender has drawn what came of its last step. Of the extension only
what it registers is used.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import bpy
import numpy as np

REPOSITORY = "user_default"
MODULE = f"bl_ext.{REPOSITORY}.t2m_blender"
_LONGEST = 300.0  # seconds that one motion may take on a busy machine
_KEYS = {" ": "SPACE", ",": "COMMA", ".": "PERIOD"}
_mouse = [800, 400]


def play(session: Iterator[float]) -> None:
    """Plays a session from a timer; Blender then ends, with status 0 if nothing was wrong."""

    def go_on() -> float:
        try:
            return next(session)
        except StopIteration:
            status = 0
        except Exception:  # noqa: BLE001 - Blender would go on without us
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    bpy.context.preferences.view.show_splash = False  # it would lie over everything
    bpy.app.timers.register(go_on, first_interval=3.0, persistent=True)


def arguments() -> list[str]:
    return sys.argv[sys.argv.index("--") + 1 :]


def install(zip_file: str) -> None:
    """From disk, as the preferences do; then a scene with nothing in it."""
    bpy.ops.extensions.package_install_files(
        filepath=zip_file, repo=REPOSITORY, enable_on_install=True
    )
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    with over():
        bpy.ops.ed.undo_push(message="Empty")


def window() -> bpy.types.Window:
    return bpy.context.window_manager.windows[0]


def view() -> bpy.types.Area:
    return next(area for area in window().screen.areas if area.type == "VIEW_3D")


def region(kind: str = "WINDOW") -> bpy.types.Region:
    return next(region for region in view().regions if region.type == kind)


def over(kind: str = "WINDOW") -> AbstractContextManager[Any]:
    """The context of the 3D view, or of its sidebar ("UI")."""
    return bpy.context.temp_override(window=window(), area=view(), region=region(kind))


def move(x: float, y: float) -> None:
    """The mouse, in pixels of the window from below."""
    _mouse[:] = round(x), round(y)
    _event("MOUSEMOVE", "NOTHING")


def click(x: float, y: float) -> Iterator[float]:
    move(x, y)
    yield 0.2
    key("LEFTMOUSE")
    yield 0.4


def key(name: str, unicode: str = "", **modifiers: bool) -> None:
    _event(name, "PRESS", unicode=unicode, **modifiers)
    _event(name, "RELEASE", **modifiers)


def undo(*, redo: bool = False) -> Iterator[float]:
    """Ctrl-Z with the mouse over the 3D view, or Ctrl-Shift-Z."""
    place = region()
    move(place.x + place.width // 3, place.y + place.height // 3)
    yield 0.2
    key("Z", ctrl=True, shift=redo)
    yield 0.6


def open_tab() -> Iterator[float]:
    """N over the 3D view, then a click on one tab after the other until ours is open."""
    place = region()
    move(place.x + place.width // 2, place.y + place.height // 2)
    yield 0.3
    if not view().spaces.active.show_region_ui:
        key("N")
        yield 1.0
    assert view().spaces.active.show_region_ui, "N has opened no sidebar"
    sidebar = region("UI")
    for down in range(30, sidebar.height, 20):
        if sidebar.active_panel_category == "T2M":
            yield 0.5
            return
        yield from click(sidebar.x + sidebar.width - 8, sidebar.y + sidebar.height - down)
        sidebar = region("UI")
    raise AssertionError(f'no tab "T2M"; the last one is "{sidebar.active_panel_category}"')


def click_on(what: str, across: float = 0.35) -> Iterator[float]:
    """Moves down the sidebar until a property of that name, or a button of that call, is hit.

    Args:
        what: Such as ".prompt", or "bpy.ops.t2m.generate()".
        across: Of the sidebar's width.
    """
    sidebar, seen = region("UI"), []
    for down in range(20, sidebar.height, 10):
        move(sidebar.x + across * sidebar.width, sidebar.y + sidebar.height - down)
        yield 0.1
        found = _under_mouse()
        if found.startswith(what):
            yield from click(*_mouse)
            return
        if found and found not in seen:
            seen.append(found)
    raise AssertionError(f"no {what} in the sidebar, only {seen}")


def write(text: str) -> Iterator[float]:
    """Into the field that was clicked, in place of what it held; Return."""
    key("A", ctrl=True)
    for letter in text:
        key(_KEYS.get(letter, letter.upper()), unicode=letter)
    yield 0.3
    key("RET")
    yield 0.4


def call(operator: Any, **values: Any) -> set[str]:
    """Presses a button: invoked, with its undo step."""
    with over():
        return operator("INVOKE_DEFAULT", True, **values)


def works() -> bool:
    """Whether something is being generated: only then can it be cancelled."""
    return bpy.ops.t2m.cancel.poll()


def idle() -> Iterator[float]:
    """Until nothing is being generated."""
    waited = 0.0
    while works():
        assert waited < _LONGEST, "it does not end"
        waited += 0.2
        yield 0.2
    yield 0.4


def picture(path: str) -> None:
    """The whole screen; `screen.screenshot` is black with software drawing."""
    subprocess.run(["import", "-window", "root", path], check=True)


def armatures() -> list[bpy.types.Object]:
    return [item for item in bpy.data.objects if item.type == "ARMATURE"]


def curves(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """The F-curves of every slot."""
    if not hasattr(action, "slots"):
        return list(action.fcurves)
    bags = (bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags)
    return [curve for bag in bags for curve in bag.fcurves]


def keys(action: bpy.types.Action) -> dict[tuple[str, int], np.ndarray]:
    """(data path, index) -> [K, 6] float32: each key and its two handles."""
    found = {}
    for curve in curves(action):
        parts = []
        for name in ("co", "handle_left", "handle_right"):
            values = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
            curve.keyframe_points.foreach_get(name, values)
            parts.append(values.reshape(-1, 2))
        found[curve.data_path, curve.array_index] = np.concatenate(parts, axis=1)
    return found


def digest(action: bpy.types.Action) -> str:
    """Of every byte of the Action's keys and of its recipe."""
    whole = hashlib.sha256()
    for name, values in sorted(keys(action).items()):
        whole.update(repr(name).encode() + values.tobytes())
    recipe = sorted((name, value) for name, value in action.items() if name.startswith("t2m_"))
    return hashlib.sha256(whole.digest() + repr(recipe).encode()).hexdigest()[:12]


def contents() -> dict[str, Any]:
    """What undo, redo, saving and the extension must keep: objects, Actions, takes, strips."""
    found: dict[str, Any] = {"objects": sorted(item.name for item in bpy.data.objects)}
    for action in bpy.data.actions:
        found[f"action {action.name}"] = digest(action)
    for armature in armatures():
        takes = [take.action.name if take.action else None for take in armature.t2m_takes]
        found[armature.name] = {"plays": _played(armature), "takes": takes}
        for track, strip in strips(armature):
            played = (strip.frame_start, strip.frame_end, strip.action_frame_start)
            found[f"strip {strip.name}"] = (track, strip.action.name, _slot(strip), *played)
    return found


def strips(armature: bpy.types.Object) -> list[tuple[str, bpy.types.NlaStrip]]:
    data = armature.animation_data
    return [
        (track.name, strip) for track in (data.nla_tracks if data else ()) for strip in track.strips
    ]


def check_slots() -> None:
    """Whoever plays an Action plays a slot of it that is meant for objects and holds its curves."""
    for armature in armatures():
        players = [strip for _, strip in strips(armature)]
        players += [armature.animation_data] if armature.animation_data else []
        for player in players:
            if player.action is None:
                continue
            assert curves(player.action), f"{player.action.name} is empty"
            if hasattr(player, "action_slot"):
                slot = player.action_slot
                assert slot is not None, f"{player.action.name} is played without a slot"
                assert slot.target_id_type == "OBJECT" and slot in list(player.action.slots)


def _played(armature: bpy.types.Object) -> tuple[str, str] | None:
    data = armature.animation_data
    return (data.action.name, _slot(data)) if data and data.action else None


def _slot(player: Any) -> str:
    slot = getattr(player, "action_slot", None)
    return slot.identifier if slot is not None else ""


def _event(name: str, value: str, **more: Any) -> None:
    window().event_simulate(type=name, value=value, x=_mouse[0], y=_mouse[1], **more)


def _under_mouse() -> str:
    """Of the button under the mouse: its property after a dot, or the call of its operator."""
    with over("UI"):
        if bpy.context.property is not None:
            return "." + bpy.context.property[1].rpartition(".")[2]  # the path differs by version
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
            return bpy.context.window_manager.clipboard
    return ""
