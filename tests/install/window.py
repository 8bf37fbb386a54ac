# SPDX-License-Identifier: GPL-3.0-or-later
"""In Blender's own window: the zip installed, a sentence set, the button pressed, a picture taken.

`blender --python window.py -- ZIP PICTURE`; leaves with status 0 if an armature moves in the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator

import bpy

ZIP, PICTURE = sys.argv[sys.argv.index("--") + 1 :]
LONGEST = 200  # looks, half a second apart


def session() -> Iterator[float]:
    """What happens, with the seconds until Blender has drawn what came of it."""
    bpy.ops.extensions.package_install_files(
        filepath=ZIP, repo="user_default", enable_on_install=True
    )
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    yield 1.0
    sidebar = next(region for region in area.regions if region.type == "UI")
    sidebar.active_panel_category = "T2M"
    window.scene.t2m.prompt = "a person walks forward"
    yield 1.0
    view = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=view):
        bpy.ops.t2m.generate("INVOKE_DEFAULT")
    for _ in range(LONGEST):
        if bpy.data.actions:
            break
        yield 0.5
    (armature,) = [item for item in bpy.data.objects if item.type == "ARMATURE"]
    assert armature.animation_data.action
    window.scene.frame_set(24)
    with bpy.context.temp_override(window=window, area=area, region=view):
        bpy.ops.view3d.view_all()
    yield 2.0
    subprocess.run(["import", "-window", "root", PICTURE], check=True)
    print("session done", flush=True)


def go_on() -> float:
    try:
        return next(STEPS)
    except StopIteration:
        os._exit(0)
    except Exception:  # noqa: BLE001 - Blender would go on without us
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


bpy.context.preferences.view.show_splash = False  # it would lie over everything
STEPS = session()
bpy.app.timers.register(go_on, first_interval=3.0)
