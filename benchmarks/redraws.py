# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaps between redraws of Blender's window while a motion is made, against those of an idle scene.

Run by Blender with a window, the extension being installed:

    blender --python benchmarks/in_blender.py -- redraws [-o FOLDER] [--repeats N] [--seconds S]

A modal operator asks for a redraw of the 3D view 60 times a second and notes when it is drawn. Idle
and generating take turns on the same figure.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

from benchmarks.report import arguments, publish

_drawn: list[float] = []  # when, in seconds


class BENCH_OT_redraw(bpy.types.Operator):  # noqa: N801 - as Blender names them
    """Asks for redraws, as a modal tool of Blender's does"""

    bl_idname = "bench.redraw"
    bl_label = "Redraw"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.event_timer_add(1 / 60, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "TIMER":
            view().tag_redraw()
        return {"PASS_THROUGH"}


def view() -> bpy.types.Area:
    screen = bpy.context.window_manager.windows[0].screen
    return next(area for area in screen.areas if area.type == "VIEW_3D")


def generate(seconds: float, takes: int) -> None:
    window, area = bpy.context.window_manager.windows[0], view()
    fields = window.scene.t2m
    fields.prompt, fields.length, fields.seconds = "a person walks forward", "SECONDS", seconds
    fields.takes = takes
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.t2m.generate("INVOKE_DEFAULT")


def works() -> bool:
    return bpy.ops.t2m.cancel.poll()


def turns(repeats: int, seconds: float, output: Path | None) -> Iterator[float]:
    """The measurement, with seconds to wait between its parts."""
    view().spaces.active.show_region_ui = True
    generate(4.0, 1)
    while works():
        yield 0.2
    window, area = bpy.context.window_manager.windows[0], view()
    region = next(region for region in area.regions if region.type == "WINDOW")
    bpy.types.SpaceView3D.draw_handler_add(
        lambda: _drawn.append(time.perf_counter()), (), "WINDOW", "POST_PIXEL"
    )
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.bench.redraw("INVOKE_DEFAULT")
    yield 2.0
    gaps: dict[str, list[np.ndarray]] = {"idle": [], "generating": []}
    for _ in range(repeats):
        _drawn.clear()
        yield seconds
        gaps["idle"].append(np.diff(_drawn))
        generate(120.0, 32)  # more than is made in that time
        yield 0.5  # the thread begins, the model is read
        _drawn.clear()
        yield seconds
        assert works(), "it was done too soon to be measured"
        gaps["generating"].append(np.diff(_drawn))
        bpy.ops.t2m.cancel()
        while works():
            yield 0.2
        yield 0.5
    tell(gaps, seconds, output)


def tell(gaps: dict[str, list[np.ndarray]], seconds: float, output: Path | None) -> None:
    late = {name: [1000 * np.percentile(turn, 95) for turn in gaps[name]] for name in gaps}
    ratios = [busy / idle for busy, idle in zip(late["generating"], late["idle"], strict=True)]
    rows = [
        (
            name,
            f"{1000 * np.median(np.concatenate(turns)):.0f}",
            f"{np.median(late[name]):.0f} ({min(late[name]):.0f} to {max(late[name]):.0f})",
            f"{1000 * np.concatenate(turns).max():.0f}",
            sum(map(len, turns)),
        )
        for name, turns in gaps.items()
    ]
    ratio = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    rows.append(("generating / idle, median of the turns", "", ratio, "", ""))
    publish(
        f"Redraws, Blender {bpy.app.version_string}, {len(ratios)} turns of {seconds:g} s",
        ("", "median gap, ms", "95th percentile, ms", "longest, ms", "gaps"),
        rows,
        {"p95_ms": late, "ratios": ratios},
        output,
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of every turn's halves (6)")
    options = parser.parse_args()
    work = turns(options.repeats, options.seconds, options.output)

    def go_on() -> float:
        try:
            return next(work)
        except StopIteration:
            status = 0
        except Exception:  # noqa: BLE001 - Blender would go on
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        os._exit(status)

    bpy.context.preferences.view.show_splash = False
    bpy.utils.register_class(BENCH_OT_redraw)
    bpy.app.timers.register(go_on, first_interval=3.0)


if __name__ == "__main__":
    main()
