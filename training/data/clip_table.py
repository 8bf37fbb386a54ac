# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that says what the clips of animation files show: CSV with a header, one caption a row.

    file      path under the prepared folder, with forward slashes; empty: every file
    clip      name of the animation in the file; empty: the whole file (only to skip it)
    caption   one sentence about the whole clip; a clip may have several rows; empty: no caption
    skip      why the clip, or the file, is left out
    repeat    how many times a cyclic clip is played in a row (1); clips of game libraries are often
              one cycle of a second. A clip may be wanted several times with different numbers, each
              with captions of its own
    travel    "feet": the clip plays on the spot as on a treadmill; the person is moved as the
              standing foot asks for. Empty: as it is
    split     train, val or test; empty: as the options say
    licence   of the motion; empty: as the options or the library's licence file say

Only the first three columns are needed. Lines that begin with # are comments.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from t2m_blender.engine.errors import InputError
from training.data.captions import read_caption
from training.data.dataset import SPLITS, Skipped

NEEDED = ("file", "clip", "caption")
COLUMNS = (*NEEDED, "skip", "repeat", "travel", "split", "licence")


@dataclass
class Wanted:
    """What the table says of one clip, or of a file (clip "").

    Attributes:
        captions: times played in a row -> captions.
        skip: why it is left out; "" where it is not.
        travel: whether it moves as its standing feet ask for.
        split, licence: "" where the table does not say.
    """

    captions: dict[int, list[str]] = field(default_factory=dict)
    skip: str = ""
    travel: bool = False
    split: str = ""
    licence: str = ""


class ClipTable:
    """The rows of a table, looked up by file and clip; it remembers which were never asked for."""

    def __init__(self, rows: dict[tuple[str, str], Wanted], faults: Sequence[Skipped] = ()) -> None:
        self.faults = tuple(faults)
        self._rows = rows
        self._found: set[tuple[str, str]] = set()

    def skipped_file(self, file: str) -> str:
        """Why a whole file is left out; "" where it is not."""
        row = self._row(file, "")
        return row.skip if row else ""

    def clip(self, file: str, clip: str) -> Wanted | None:
        """What is said of a clip; None where it is not in the table."""
        return self._row(file, clip)

    def without_clip(self) -> list[str]:
        """Rows whose file or clip was never asked for."""
        return [f"{file}: {clip}" for file, clip in self._rows if (file, clip) not in self._found]

    def _row(self, file: str, clip: str) -> Wanted | None:
        """What is said of the clip in this file, joined with what is said of it in every file."""
        keys = [(file, clip), ("", clip)] if clip else [(file, clip)]
        found = [key for key in keys if key in self._rows]
        self._found.update(found)
        if len(found) < 2:
            return self._rows[found[0]] if found else None
        here, anywhere = (self._rows[key] for key in found)
        captions = {times: list(texts) for times, texts in here.captions.items()}
        for times, texts in anywhere.captions.items():
            kept = captions.setdefault(times, [])
            kept += [text for text in texts if text not in kept]
        return Wanted(
            captions,
            here.skip or anywhere.skip,
            here.travel or anywhere.travel,
            here.split or anywhere.split,
            here.licence or anywhere.licence,
        )


def read_clip_table(path: Path) -> ClipTable:
    """Reads a table. What is wrong with it is in `faults`, and the rest of it holds.

    Raises:
        InputError: the file is missing or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The caption table {path} cannot be read ({error}).") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines)
    header = tuple(name.strip() for name in reader.fieldnames or ())
    wrong = [name for name in header if name not in COLUMNS]
    missing = [name for name in NEEDED if name not in header]
    if wrong or missing:
        reason = (
            f"the table has the columns {', '.join(header) or 'none'}; it needs "
            f"{', '.join(NEEDED)} and may have {', '.join(COLUMNS[3:])}. No caption was read"
        )
        return ClipTable({}, [Skipped(path.name, reason, expected=False)])
    reader.fieldnames = list(header)
    rows: dict[tuple[str, str], Wanted] = {}
    faults = []
    for number, cells in enumerate(reader, start=1):
        try:
            _add(rows, cells)
        except InputError as error:
            faults.append(Skipped(f"{path.name} row {number}", str(error), expected=False))
    return ClipTable(rows, faults)


def _add(rows: dict[tuple[str, str], Wanted], cells: dict[str | None, str | None]) -> None:
    if None in cells:
        raise InputError("has more cells than columns; put captions with commas in quotes")
    cell = {name: (cells.get(name) or "").strip() for name in COLUMNS}
    if not cell["clip"] and not (cell["file"] and cell["skip"]):
        raise InputError("names no clip")
    repeat = int(cell["repeat"] or 1) if (cell["repeat"] or "1").isdecimal() else 0
    if not 1 <= repeat <= 100:
        raise InputError(f"repeat is {cell['repeat']}, which is no number from 1 to 100")
    if cell["travel"] not in ("", "feet"):
        raise InputError(f'travel is {cell["travel"]}; it may be "feet" or empty')
    if cell["split"] not in ("", *SPLITS):
        raise InputError(f"split is {cell['split']}; it may be {', '.join(SPLITS)} or empty")
    caption = read_caption(cell["caption"]) if cell["caption"] else None
    row = rows.setdefault((cell["file"], cell["clip"]), Wanted())
    captions = row.captions.setdefault(repeat, [])
    if caption and caption.text not in captions:
        captions.append(caption.text)
    row.skip = row.skip or cell["skip"]
    row.travel = row.travel or bool(cell["travel"])
    row.split = row.split or cell["split"]
    row.licence = row.licence or cell["licence"]
