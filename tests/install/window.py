# SPDX-License-Identifier: GPL-3.0-or-later
"""A person with only the zip, in Blender's own window: installs it, types, presses, sees it move.

`blender --enable-event-simulate --python window.py -- ZIP FOLDER`: pictures of the screen go into
the folder. Every press is a simulated event; run it without a network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import driving as do

ZIP, FOLDER = do.arguments()
SENTENCE = "a person walks forward, turns around and waves."


def session() -> Iterator[float]:
    do.install(ZIP)
    yield 1.0
    yield from do.open_tab()
    yield from do.click_on(".prompt")
    yield from do.write(SENTENCE)
    assert bpy.context.scene.t2m.prompt == SENTENCE, bpy.context.scene.t2m.prompt
    do.picture(f"{FOLDER}/typed.png")
    yield from do.click_on("bpy.ops.t2m.generate()")
    yield from do.idle()
    (armature,) = do.armatures()
    action = armature.animation_data.action
    assert action["t2m_prompt"] == SENTENCE and do.curves(action)
    do.check_slots()
    places = []
    for frame in (1, 48):
        bpy.context.scene.frame_set(frame)
        hips = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["pelvis"]
        places.append(np.array(armature.matrix_world @ hips.head))
    assert np.linalg.norm(places[1] - places[0]) > 0.3, places
    with do.over():
        bpy.ops.view3d.view_selected()
    yield 2.0
    do.picture(f"{FOLDER}/moved.png")
    print("session done", flush=True)


do.play(session())
