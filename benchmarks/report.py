# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of speed share: timing by turns, the machine in words, Markdown and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Row = Sequence[str | float | int]

_LOAD = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None  # of other programs


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="folder for NAME.json and NAME.md")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each row (5)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu counts only this process's own seconds: for one thread on a busy machine",
    )  # fmt: skip
    return parser


def interleaved(
    work: Mapping[str, Callable[[], object]], repeats: int, clock: str
) -> dict[str, list[float]]:
    """Seconds of each of several works, taken in turn so that all see the same machine.

    The first round is not counted: it loads what is loaded once.
    """
    now = time.perf_counter if clock == "wall" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(repeats + 1):
        for name, run in work.items():
            start = now()
            run()
            if round_:
                seconds[name].append(now() - start)
    return seconds


def median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds)


def spread(seconds: Sequence[float]) -> str:
    """Such as "1.23 s (1.20 to 1.40)": median, fastest and slowest."""
    return f"{median(seconds):.3g} s ({min(seconds):.3g} to {max(seconds):.3g})"


def machine() -> dict[str, Any]:
    """Where this ran: processor, cores, threads, versions, load."""
    words: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "default"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "openblas": os.environ.get("OPENBLAS_CORETYPE", "as detected"),
        "load before": _LOAD,
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        words["torch"] = torch.__version__
        if torch.cuda.is_available():
            words["gpu"] = torch.cuda.get_device_name()
    return words


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    fields = dict(
        (part.strip() for part in line.split(":", 1)) for line in text.split("\n") if ":" in line
    )
    name, model = fields.get("model name", ""), fields.get("model", "")
    return f"{name} (family {fields.get('cpu family', '')} model {model})"


def publish(
    title: str,
    header: Row,
    rows: Sequence[Row],
    values: Mapping[str, Any],
    output: Path | None,
    *,
    variant: str = "",
) -> None:
    """Prints the table, and writes it with all values into the folder, as NAME-variant."""
    where = machine()
    lines = [f"### {title}", "", *table(header, rows), ""]
    lines += [", ".join(f"{name} {value}" for name, value in where.items()), ""]
    text = "\n".join(lines)
    print(text)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        name = "-".join(part for part in (Path(sys.argv[0]).stem, variant) if part)
        content = {"title": title, "machine": where, **values}
        (output / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (output / f"{name}.md").write_text(text, encoding="utf-8")


def table(header: Row, rows: Sequence[Row]) -> list[str]:
    """The lines of a Markdown table."""
    return [
        "| " + " | ".join(str(cell) for cell in row) + " |"
        for row in (header, ["---"] * len(header), *rows)
    ]
