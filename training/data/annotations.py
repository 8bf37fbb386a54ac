# SPDX-License-Identifier: GPL-3.0-or-later
"""HumanML3D's annotation files, which KIT-ML shares: splits, captions, and the index into AMASS.

A folder holds `train.txt`, `val.txt`, `test.txt` (one clip id a line) and the captions, in one of
three forms: `texts/ID.txt` or `texts.zip`, whose lines are `caption#word/POS ...#from#to` (seconds;
0.0#0.0 is the whole clip), or `captions.json` (id -> captions, split). Mirrored clips ("M000002")
are ids of their own, with caption files of their own. `index.csv` says where each clip was cut.
"""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from t2m_blender.engine.errors import InputError
from training.data.captions import Caption, part_letters, read_caption
from training.data.dataset import SPLITS, Skipped

TOO_LONG = 200  # the published loaders take clips of fewer frames than this

FPS = 20  # frames a second in which index.csv counts
# Seconds that HumanML3D drops from the start of some sets' trials (calibration poses).
TRIMS = {
    "Eyes_Japan_Dataset": 3.0,
    "MPI_HDM05": 3.0,
    "TotalCapture": 1.0,
    "MPI_Limits": 1.0,
    "Transitions_mocap": 0.5,
}

_COLUMNS = ("source_path", "start_frame", "end_frame", "new_name")
Lines = Callable[[str], list[str] | None]


@dataclass(frozen=True)
class Row:
    """A row of index.csv.

    Attributes:
        id: of the clip.
        source: path of the trial without the leading "pose_data" and without suffix.
        start, end: frames at 20 fps after the set's trim; end is not included. HumanAct12's clips
            are whole files: there end is -1.
    """

    id: str
    source: str
    start: int
    end: int

    @property
    def collection(self) -> str:
        """The set of AMASS, which is the first folder."""
        return self.source.split("/")[0]

    @property
    def first(self) -> int:
        """The first frame counted from the trial's beginning, at 20 fps."""
        return self.start + int(TRIMS.get(self.collection, 0.0) * FPS)


@dataclass(frozen=True)
class Part:
    """A clip that one annotated clip gives: all of it, or what one caption speaks of.

    Attributes:
        id: the clip's id, for a part with a letter behind it.
        start, end: rows of the clip's features; end is not included.
        captions: sentences about this part.
    """

    id: str
    start: int
    end: int
    captions: tuple[str, ...]


def read_splits(folder: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Clip id -> split, in the order of the files; an id of two splits goes to the later one.

    Raises:
        InputError: a split file is missing, or they are all empty.
    """
    splits: dict[str, str] = {}
    faults = []
    for split in SPLITS:
        for line in _text(folder / f"{split}.txt").splitlines():
            name = line.strip()
            if name and splits.get(name, split) != split:
                reason = f"is in {splits[name]}.txt and {split}.txt; used for {split} only"
                faults.append(Skipped(name, reason, expected=False))
            if name:
                splits[name] = split
    if not splits:
        raise InputError(f"train.txt, val.txt and test.txt of {folder} name no clip.")
    return splits, faults


def open_texts(folder: Path) -> Lines:
    """A function from a clip's id to the lines of its captions; None where it has no file.

    Raises:
        InputError: there are no captions in any of the three forms.
    """
    if (folder / "texts").is_dir():

        def from_folder(name: str) -> list[str] | None:
            path = folder / "texts" / f"{name}.txt"
            return _text(path).splitlines() if path.is_file() else None

        return from_folder
    if (folder / "texts.zip").is_file():
        try:
            with zipfile.ZipFile(folder / "texts.zip") as archive:
                packed = {
                    Path(member).stem: archive.read(member).decode("utf-8", "replace").splitlines()
                    for member in archive.namelist()
                    if member.endswith(".txt")
                }
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{folder / 'texts.zip'} cannot be unpacked ({error}).") from None
        return packed.get
    if (folder / "captions.json").is_file():
        try:
            rows = json.loads(_text(folder / "captions.json"))
            known = {name: [f"{text}###" for text in row["captions"]] for name, row in rows.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{folder / 'captions.json'} is malformed ({error!r}): it maps ids to 'captions'."
            ) from None
        return known.get
    raise InputError(f"{folder} has no captions: it needs texts/, texts.zip or captions.json.")


def read_captions(name: str, lines: list[str] | None) -> tuple[list[Caption], list[Skipped]]:
    """The captions of one clip; lines of another form are named, the others are kept."""
    if lines is None:
        reason = "has no caption file; kept without captions"
        return [], [Skipped(name, reason, expected=False)]
    captions, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        columns = line.split("#")
        try:
            if len(columns) != 4:
                raise InputError(
                    f"the line has {len(columns)} columns, not 4 (caption#tokens#from#to)"
                )
            # `captions.json` has no times of its own; read_caption finds those in the sentence
            captions.append(read_caption(columns[0] if columns[2:] == ["", ""] else line))
        except InputError as error:
            faults.append(Skipped(f"{name}.txt:{number}", str(error), expected=False))
    return captions, faults


def cut_parts(
    name: str, captions: list[Caption], frames: int, *, fps: float, shortest: int
) -> tuple[list[Part], list[Skipped]]:
    """The clips of one annotated clip, as the published loaders make them.

    A caption about a part of the clip makes a clip of its own where the part has at least
    `shortest` and fewer than 200 frames. The whole clip stays also where no caption is about all of
    it; it then has none, and serves stage 1 only.
    """
    if not shortest <= frames < TOO_LONG:
        limit = f"shorter than {shortest}" if frames < shortest else f"{TOO_LONG} or more"
        return [], [Skipped(name, f"{limit} frames, as the published loader leaves out", True)]
    parts = [Part(name, 0, frames, tuple(c.text for c in captions if math.isinf(c.end)))]
    skipped = []
    timed = [c for c in captions if not math.isinf(c.end)]
    for k, caption in enumerate(timed):
        start, end = int(caption.start * fps), min(int(caption.end * fps), frames)
        part = Part(name + part_letters(k), start, end, (caption.text,))
        if shortest <= end - start < TOO_LONG:
            parts.append(part)
        else:
            reason = f"its part of {max(end - start, 0)} frames is shorter than {shortest}"
            skipped.append(Skipped(part.id, reason, expected=True))
    return parts, skipped


def read_index(path: Path) -> tuple[list[Row], list[Skipped]]:
    """The rows of index.csv; malformed ones are named.

    Raises:
        InputError: it is missing or has other columns.
    """
    reader = csv.DictReader(_text(path).splitlines())
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        raise InputError(
            f"{path} must have the columns {','.join(_COLUMNS)}; "
            f"it has {','.join(reader.fieldnames or ['none'])}."
        )
    rows, faults = [], []
    for number, row in enumerate(reader, start=2):
        try:
            start, end = int(row["start_frame"]), int(row["end_frame"])
            source = Path(row["source_path"]).with_suffix("").as_posix()
            rows.append(
                Row(Path(row["new_name"]).stem, source.removeprefix("pose_data/"), start, end)
            )
        except (TypeError, ValueError):
            item = f"{path.name}:{number}"
            reason = "is no row of source_path,start_frame,end_frame,new_name"
            faults.append(Skipped(item, reason, expected=False))
    return rows, faults


def subject_of(source: str) -> str:
    """Who moved, from a path in AMASS: "CMU 80", "KIT 3"; "HumanAct12" for that set's clips."""
    if source.startswith("humanact12/"):
        return "HumanAct12 " + Path(source).name[:3]  # P01, P02 ...: its twelve people
    return " ".join(Path(source).parent.parts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
