# SPDX-License-Identifier: GPL-3.0-or-later
"""Every clip that the embedded model was trained on or measured with, as a table of text.

Columns of docs/model/clips.csv: `split`; `kind`, see `KINDS`; `id` in the dataset, left out where
`clip` says how it was made; `clip`: trial and frames at 20 a second, or how it was made of such;
`frames`; `mirrored`: 1 where its mirror image was used too; `licence`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.data.dataset import Clip
from training.data.grown import sources_of

CLIPS = "clips.csv"
FPS = 20
KINDS = {
    "captured": "captured as it is",
    "keyed": "hand-keyed by an animator (CC0 libraries)",
    "repeated": "a captured step or two of running, repeated",
    "changed": "a capture at another speed, continued, bent into a curve, or backward",
    "combined": "parts of two clips: one after the other with a step made between, or the arms of "
    "one over the legs of another",
    "drawn": "a gesture, stoop or turn drawn by formulas over a captured body: no capture",
}
_DRAWN = (", and ", " turned on the spot")
_COMBINED = (" then ", " over the legs of ")
_HEADER = ("split", "kind", "id", "clip", "frames", "mirrored", "licence")

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]


def kind_of(clip: Clip) -> str:
    """What was made of captures to have this clip; the strongest word of `KINDS` that holds."""
    if any(word in clip.source for word in _DRAWN):
        return "drawn"
    if any(word in clip.source for word in _COMBINED):
        return "combined"
    if sources_of(clip) != (clip.source,):
        return "changed"
    if clip.origin.endswith("gait repeated"):
        return "repeated"
    return "keyed" if "CMU" not in clip.licence else "captured"


def write_clips(dataset: Path, path: Path) -> None:
    """Writes the table of a prepared dataset."""
    lines = (dataset / "clips.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    clips = [Clip(**row) for row in rows]
    mirrored = {clip.id.removeprefix("M") for clip in clips if clip.mirrored}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        for clip in clips:
            if clip.mirrored:
                continue
            whole = sources_of(clip) == (clip.source,)
            source = f"{clip.source}[{clip.start_frame}:{clip.end_frame}]" if whole else clip.source
            licence = " + ".join(sorted(set(clip.licence.split(" + "))))
            writer.writerow(
                (
                    clip.split, kind_of(clip), clip.id if whole else "", source, clip.frames,
                    int(clip.id in mirrored), licence,
                )
            )  # fmt: skip


def trials_of(row: Mapping[str, str]) -> list[str]:
    """The trials and files of which a row was made."""
    parts = re.split(r" then | over the legs of ", row["clip"])
    return [re.sub(r"\[\d+:\d+\].*$", "", part) for part in parts]


def shared_trials(rows: Sequence[Mapping[str, str]]) -> set[str]:
    """Trials that give clips to training and to val or test; there must be none."""
    train, others = (
        {trial for row in rows if (row["split"] == "train") == wanted for trial in trials_of(row)}
        for wanted in (True, False)
    )
    return train & others


def clip_tables(rows: Sequence[Mapping[str, str]], table: Table) -> str:
    """Counts and hours, for people."""
    train = [row for row in rows if row["split"] == "train"]
    kinds = [(meant, [r for r in train if r["kind"] == kind]) for kind, meant in KINDS.items()]
    licences = [
        (name, [r for r in train if r["licence"] == name])
        for name in sorted({r["licence"] for r in train})
    ]
    splits = [(name, [r for r in rows if r["split"] == name]) for name in ("train", "val", "test")]
    counts = {
        name: len({trial for row in found for trial in trials_of(row)}) for name, found in splits
    }
    text = [
        _counted("clips of the train split", kinds, table),
        "",
        _counted("licence of the motion, and of its captions", licences, table),
        "",
        table(
            ("split", "clips", "hours", "trials and files"),
            ((name, len(found), _hours(found), counts[name]) for name, found in splits),
        ),
        "",
        "Mirror images, which double each row, are not counted. Trials that give clips to training "
        f"and to val or test: **{len(shared_trials(rows))}**.",
    ]
    return "\n".join(text)


def _counted(
    title: str, groups: Sequence[tuple[str, Sequence[Mapping[str, str]]]], table: Table
) -> str:
    found = [(name, len(rows), _hours(rows)) for name, rows in groups if rows]
    return table((title, "clips", "hours"), found)


def _hours(rows: Sequence[Mapping[str, str]]) -> str:
    return f"{sum(int(row['frames']) for row in rows) / FPS / 3600:.2f}"
