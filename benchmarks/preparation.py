# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast `prepare` is: clips a second, stage by stage, in one process and on all cores.

    python -m benchmarks.preparation FOLDER -o results

reads CMU trials as `prepare cmu` does, and times each stage over the same clips. Results go to
preparation.json and preparation.md in the folder given, or to the screen.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# One process, one core: otherwise the linear algebra library decides how many are used.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

from t2m_blender.engine.features import features_to_joints, motion_to_features
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.body_model import BodyModel, body_joints
from training.data.cmu_files import open_trials
from training.data.floor import Array, standing_features
from training.data.mirror import mirrored_joints
from training.data.published import mend_yaw

FRAMES = 120  # of a clip
TRIALS = 40
LONG = (60, 240, 960, 3840)  # frames, to see that time grows no faster than they do


@dataclass(frozen=True)
class Row:
    """One stage.

    Attributes:
        stage: what was done to each clip.
        clips_per_second: in one process.
        all_cores: the same with one process a core, at the same time.
    """

    stage: str
    clips_per_second: float
    all_cores: float


def main() -> None:
    """Measures, then prints or writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="trials.json, pairs.json, cmu.tar.xz or NN/")
    parser.add_argument("-o", "--output", type=Path, help="folder for preparation.json and .md")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    clips, reading = read_clips(arguments.folder)
    stages = stages_of(clips)
    rows = [measure(name, work, len(clips), arguments.processes) for name, work in stages.items()]
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "load": round(os.getloadavg()[0], 1),
        "processes": arguments.processes,
        "clips": len(clips),
        "frames_a_clip": FRAMES,
        "reading": reading,
        "stages": [asdict(row) for row in rows],
        "milliseconds_for_frames": growth(),
    }
    text = as_markdown(result, rows)
    print(text)
    if arguments.output:
        arguments.output.mkdir(exist_ok=True)
        (arguments.output / "preparation.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.output / "preparation.md").write_text(text)


def read_clips(folder: Path) -> tuple[list[Array], dict[str, float]]:
    """Clips [120, 22, 3] of some trials, and how fast the trials were read and converted."""
    clips: list[Array] = []
    with open_trials(folder) as trials:
        names = trials.names[:: max(len(trials.names) // TRIALS, 1)]
        start = time.perf_counter()
        converted = [trials.read(name, HUMANML3D).joints for name in names]
        seconds = time.perf_counter() - start
    for joints in converted:
        parts = range(0, len(joints) - FRAMES + 1, FRAMES)
        clips += [joints[at : at + FRAMES] for at in parts]
    motion = sum(len(joints) for joints in converted) / HUMANML3D.fps
    return clips, {
        "trials": len(names),
        "trials_per_second": round(len(names) / seconds, 1),
        "seconds_of_motion_per_second": round(motion / seconds, 1),
    }


def stages_of(clips: list[Array]) -> dict[str, Callable[[], object]]:
    """Stage -> what does it to all clips."""
    features = [motion_to_features(joints, HUMANML3D).astype(np.float32) for joints in clips]
    wide = [array.astype(np.float64) for array in features]
    random = np.random.default_rng(0)
    body = BodyModel(
        random.normal(size=(6890, 3)),
        random.normal(size=(6890, 3, 10)) * 0.01,
        np.full((22, 6890), 1.0 / 6890),
    )
    poses, trans = random.normal(size=(FRAMES, 156)) * 0.3, random.normal(size=(FRAMES, 3))
    return {
        "joints -> features": lambda: [motion_to_features(j, HUMANML3D) for j in clips],
        "features -> joints": lambda: [features_to_joints(f, HUMANML3D) for f in wide],
        "cmu: floor, features, check": lambda: [standing_features(j, HUMANML3D) for j in clips],
        "cmu: the same with mirrored copy": lambda: [
            (standing_features(j, HUMANML3D), standing_features(m, HUMANML3D))
            for j, m in ((j, mirrored_joints(j, HUMANML3D)) for j in clips)
        ],
        "humanml3d, kit: yaw mended": lambda: [mend_yaw(f, HUMANML3D) for f in features],
        "amass: SMPL-H poses -> joints": lambda: [
            body_joints(body, poses, np.zeros(10), trans) for _ in clips
        ],
    }


def measure(name: str, work: Callable[[], object], count: int, processes: int) -> Row:
    """Times a stage alone, then in several processes at once."""
    work()
    alone = min(timed(work) for _ in range(3))
    context = multiprocessing.get_context("fork")
    barrier, times = context.Barrier(processes), context.Queue()

    def run() -> None:
        work()
        barrier.wait()
        times.put(timed(work))

    workers = [context.Process(target=run) for _ in range(processes)]
    for worker in workers:
        worker.start()
    slowest = max(times.get() for _ in workers)
    for worker in workers:
        worker.join()
    return Row(name, round(count / alone, 1), round(processes * count / slowest, 1))


def growth() -> dict[int, float]:
    """Frames -> milliseconds of joints -> features for a clip of so many."""
    random = np.random.default_rng(0)
    result = {}
    for frames in LONG:
        joints = HUMANML3D.rest_pose + np.cumsum(random.normal(0, 1e-3, (frames, 22, 3)), axis=0)
        seconds = min(timed(lambda j=joints: motion_to_features(j, HUMANML3D)) for _ in range(3))
        result[frames] = round(1000 * seconds, 2)
    return result


def timed(work: Callable[[], object]) -> float:
    """Seconds that a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def as_markdown(result: dict[str, object], rows: Sequence[Row]) -> str:
    """The result as a table."""
    reading = result["reading"]
    grown = result["milliseconds_for_frames"]
    assert isinstance(reading, dict) and isinstance(grown, dict)
    lines = [
        "# Preparation, clips a second",
        "",
        f"{result['machine']}, Python {result['python']}, NumPy {result['numpy']}; "
        f"{result['clips']} clips of {FRAMES} frames at 20 fps; load average {result['load']}.",
        "",
        f"| stage | one process | {result['processes']} processes |",
        "|---|--:|--:|",
        *(f"| {r.stage} | {r.clips_per_second:.0f} | {r.all_cores:.0f} |" for r in rows),
        "",
        f"Reading and converting {reading['trials']} CMU trials: "
        f"{reading['trials_per_second']} trials a second, "
        f"{reading['seconds_of_motion_per_second']} seconds of motion a second.",
        "",
        "Joints to features, one clip of N frames: "
        + ", ".join(f"{n} frames {ms} ms" for n, ms in grown.items())
        + ".",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
