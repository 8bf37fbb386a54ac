# SPDX-License-Identifier: GPL-3.0-or-later
"""From the button to keyframes inside Blender, by phase, cold and warm.

    python -m benchmarks.button RIG.json -o results                               with the bpy wheel
    blender -b --python benchmarks/in_blender.py -- button RIG.json -o results    in Blender itself

10 seconds of motion on a rig (`shared/data/rigs/mixamo.json` has 65 bones). Cold is the first press
of this process, warm the median of the next ones. Blender has imported NumPy before.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bpy

from benchmarks.report import arguments, median, publish
from benchmarks.zoo import read_rig
from t2m_blender.blender.armature import rig_to_armature

PROMPT = "a person walks forward and waves"
PHASES = ("import the engine", "read the model", "sentence to motion", "motion to keyframes")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("rig", type=Path)
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    rig = read_rig(options.rig)
    armature = rig_to_armature(rig, bpy.context)
    now = time.perf_counter if options.clock == "wall" else time.process_time
    presses = [press(now) for _ in range(options.repeats + 1)]
    cold, warm = presses[0], [median(phase) for phase in zip(*presses[1:], strict=True)]
    rows = [
        (name, f"{first:.3f} s", f"{later:.3f} s", f"{later / sum(warm):.0%}")
        for name, first, later in zip(PHASES, cold, warm, strict=True)
    ]
    rows.append(("together", f"{sum(cold):.3f} s", f"{sum(warm):.3f} s", "100%"))
    values = {
        "clock": options.clock,
        "blender": bpy.app.version_string,
        "bones": len(rig.bones),
        "presses": presses,
    }
    title = f"Button to keyframes, Blender {bpy.app.version_string}, {len(rig.bones)} bones"
    publish(title, ("phase", "cold", "warm", "of warm"), rows, values, options.output)
    assert armature.animation_data.action is not None


def press(now: Callable[[], float]) -> list[float]:
    """Seconds of each phase."""
    times = [now()]
    from t2m_blender.blender.placement import place_motion
    from t2m_blender.engine.generate import generate

    times.append(now())
    model = _model()
    times.append(now())
    generated = generate(PROMPT, model=model, seed=1, seconds=10.0)
    times.append(now())
    place_motion(bpy.context, generated)
    times.append(now())
    return [after - before for before, after in itertools.pairwise(times)]


def _model():
    from t2m_blender.blender.models import loaded

    return loaded("default", "auto", "auto")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender's own end can crash or hang on the wheel
