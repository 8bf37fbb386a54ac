# SPDX-License-Identifier: GPL-3.0-or-later
"""Real motion on every rig of the zoo, measured off Blender's evaluated bones.

    /path/to/bpy-venv/bin/python -m benchmarks.rig_zoo ../shared/data -o docs/rig-zoo.md

Every rig is recognised with no help, moved by real clips, and played. Columns, for each rig as the
worst of its variants: how many of its variants were recognised; by how many degrees arms and legs
point elsewhere than in the motion (mean, and the worst clip's mean); feet likewise; by how much the
path is not the motion's path times the ratio of the leg lengths; on how many frames left and right
are swapped; on how many frames a bone jumps though nothing in the motion does; how far a planted
foot slides a frame with foot lock on (as the rig is and under nonsense names), on a leg of human
length.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import bpy
import numpy as np

from benchmarks import zoo
from benchmarks.zoo_measures import Measures, measure
from t2m_blender.blender.surroundings import quiet
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import HUMANML3D

# CMU trials of all kinds, and the second in which each clip begins.
CLIPS = {
    "02_01": 0.0,  # walk
    "02_04": 0.5,  # jump, balance
    "02_05": 2.0,  # punch
    "02_06": 3.0,  # bend over, scoop up
    "05_06": 1.0,  # cartwheel-like start, pirouettes
    "06_13": 5.0,  # dribble through legs
    "07_04": 0.0,  # slow walk
    "09_01": 0.0,  # run
    "127_23": 0.0,  # dive over, roll
    "13_10": 4.0,  # jump up to grab, tiptoe
    "135_07": 2.0,  # roundhouse kick
    "14_06": 4.0,  # jumping jacks
    "14_24": 6.0,  # direct traffic
    "14_27": 3.0,  # sit on a high stool, stand up
    "14_31": 3.0,  # sit on a stepstool
    "16_17": 0.0,  # 90-degree turn
    "29_24": 8.0,  # snake
    "49_06": 0.5,  # cartwheel
    "60_01": 4.0,  # salsa
    "91_47": 0.5,  # jump and turn
}
FRAMES = 48


def main() -> None:
    """Measures, then prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("data", type=Path, help="the shared folder's data: cmu/, rigs/")
    parser.add_argument("-o", "--output", type=Path, help="a Markdown file for the table")
    parser.add_argument("--clips", type=int, default=len(CLIPS), help="only the first so many")
    parser.add_argument("--rigs", nargs="+", default=zoo.NAMES, choices=zoo.NAMES)
    parser.add_argument("--variants", nargs="+", default=zoo.VARIANTS, choices=zoo.VARIANTS)
    arguments = parser.parse_args()
    motions = list(read_clips(arguments.data / "cmu", arguments.clips))
    rows = []
    for name in arguments.rigs:
        for variant in arguments.variants:
            rows.append(try_rig(name, variant, arguments.data / "rigs", motions))
            print(as_line(rows[-1]), flush=True)
    text = as_table(rows, len(motions))
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


class _Raw(argparse.RawDescriptionHelpFormatter):
    """The text above as it stands."""


def read_clips(folder: Path, count: int) -> Iterator[Motion]:
    """Clips of `FRAMES` frames out of the CMU trials."""
    from training.data.cmu_files import open_trials

    with open_trials(folder) as trials:
        for name, seconds in list(CLIPS.items())[:count]:
            start = round(seconds * HUMANML3D.fps)
            joints = trials.read(name, HUMANML3D).joints
            yield Motion(joints[start : start + FRAMES].astype(np.float32), HUMANML3D.fps)


def try_rig(name: str, variant: str, rigs: Path, motions: list[Motion]) -> SimpleNamespace:
    """All clips on one rig."""
    with quiet():
        specimen = zoo.build(name, variant, rigs)
    row = SimpleNamespace(name=name, variant=variant, refused="", measures=[])
    for number, motion in enumerate(motions):
        try:
            lock = variant in (zoo.VARIANTS[0], zoo.NONSENSE)
            row.measures.append(measure(specimen, motion, f"clip {number}", lock=lock))
        except InputError as error:
            row.refused = str(error)
            break
    return row


def as_line(row: SimpleNamespace) -> str:
    """One variant of one rig."""
    if row.refused:
        return f"{row.name:20s} {row.variant:16s} REFUSED: {row.refused}"
    m = Measures.worst(row.measures)
    return (
        f"{row.name:20s} {row.variant:16s} joints {m.misplaced:2d} wrong, limbs {m.limbs_deg:5.2f} "
        f"(worst {m.worst_limbs_deg:5.2f}), feet {m.feet_deg:5.2f}, path {100 * m.path:5.2f}%, "
        f"swapped {m.swapped}, jumps {m.jumps}, slide {m.slide_mm:5.2f} mm"
    )


def as_table(rows: list[SimpleNamespace], clips: int) -> str:
    """A Markdown table, one line a rig, and a line for every variant that was refused."""
    lines = [
        f"{clips} clips of {FRAMES} frames; Blender {bpy.app.version_string}. Angles in degrees.",
        "",
        "| rig | recognised | arms, legs | worst clip | feet | path | swapped | jumps | slide |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row.name for row in rows):
        mine = [row for row in rows if row.name == name]
        known = [row for row in mine if not row.refused]
        right = [row for row in known if Measures.worst(row.measures).misplaced == 0]
        if not known:
            lines.append(f"| {name} | 0 of {len(mine)} | | | | | | | |")
            continue
        m = Measures.worst([measures for row in known for measures in row.measures])
        lines.append(
            f"| {name} | {len(right)} of {len(mine)} | {m.limbs_deg:.2f} | {m.worst_limbs_deg:.2f} "
            f"| {m.feet_deg:.2f} | {100 * m.path:.2f} % | {m.swapped} | {m.jumps} "
            f"| {m.slide_mm:.1f} mm |"
        )
    lines += [f"\n{row.name}, {row.variant}: {row.refused}" for row in rows if row.refused]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender's own end can crash or hang on the wheel
