# SPDX-License-Identifier: GPL-3.0-or-later
"""All benchmarks one after the other, each a process of its own.

    python -m benchmarks -o results [--bpy PYTHON --rig RIG.json] [--trials CMU] [--dataset FOLDER]

`--bpy` names a Python with the bpy wheel, for what happens in Blender; `--trials` are CMU's, for
the speed of `prepare`; `--dataset` was made by `prepare`, for a training step. The folder gets
Markdown and JSON of each, and all of it on one page, all.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split(".")[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each row (5)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="see report.py")
    parser.add_argument("--bpy", type=Path, metavar="PYTHON", help="with the bpy wheel")
    parser.add_argument("--rig", type=Path, help="for --bpy: a rig of 65 bones, as JSON")
    parser.add_argument("--trials", type=Path, help="CMU's, as benchmarks.preparation reads them")
    parser.add_argument("--dataset", type=Path, help="made by prepare")
    options = parser.parse_args()
    if bool(options.bpy) != bool(options.rig):
        parser.error("--bpy and --rig belong together")
    options.output.mkdir(parents=True, exist_ok=True)
    page, failed = ["# Benchmarks", ""], []
    for python, name, *words in jobs(options):
        print(f"{time.strftime('%H:%M:%S')} {name} {' '.join(words)}", file=sys.stderr, flush=True)
        command = [python, "-m", f"benchmarks.{name}", *words, "-o", options.output.resolve()]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        page.append(done.stdout)
        if done.returncode:
            failed.append(name)
    (options.output / "all.md").write_text("\n".join(page), encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def jobs(options: argparse.Namespace) -> list[tuple[str, ...]]:
    """(Python, name, arguments ...) of each."""
    ours, rows = sys.executable, []
    timing = ("--repeats", str(options.repeats), "--clock", options.clock)
    for words in (
        ("reference",),
        ("batches", "--runtime", "numpy"),
        ("batches", "--runtime", "torch"),
        ("length",),
        ("memory",),
        ("same_tokens",),
        ("products",),
    ):
        rows.append((ours, *words, *timing))
    if options.bpy:
        rig = str(options.rig.resolve())
        rows += [(str(options.bpy.absolute()), name, rig, *timing) for name in ("button", "keys")]
    if options.trials:
        rows.append((ours, "preparation", str(options.trials.resolve())))
    if options.dataset:
        rows.append((ours, "training_step", str(options.dataset.resolve())))
    return rows


if __name__ == "__main__":
    sys.exit(main())
