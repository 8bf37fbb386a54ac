# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak memory of a process that generates once, above one that has only imported NumPy.

    python -m benchmarks.memory -o results

Each row is a process of its own: 10 s of motion, the embedded model.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.report import arguments, median, publish

PEAK = (
    "import resource, sys, numpy; {}; "
    "unit = 1024 ** (1 + (sys.platform == 'darwin')); "  # macOS counts bytes, Linux 1024 of them
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)"
)
WORK = (
    "from t2m_blender.engine.generate import generate_batch, load_model; "
    "model = load_model(runtime={!r}, device='cpu'); "
    "generate_batch(['a person walks'] * {clips}, model=model, seeds=range({clips}), "
    "seconds=[10.0] * {clips})"
)


def main() -> None:
    options = arguments(__doc__).parse_args()
    work = {"NumPy imported": "pass"}
    for runtime, clips in (("numpy", 1), ("numpy", 32), ("torch", 1), ("torch", 32)):
        work[f"{runtime}, {clips} at once"] = WORK.format(runtime, clips=clips)
    peaks = {name: [peak(code) for _ in range(options.repeats)] for name, code in work.items()}
    base = median(peaks["NumPy imported"])
    rows = [(name, f"{median(p):.0f}", f"{median(p) - base:.0f}") for name, p in peaks.items()]
    header = ("process", "peak, MiB", "above NumPy imported, MiB")
    publish("Memory", header, rows, {"peak_mebibytes": peaks}, options.output)


def peak(code: str) -> float:
    """The peak of a fresh process in MiB."""
    folder = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PEAK.format(code)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
