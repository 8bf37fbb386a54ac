# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of CMU trials: trials.json, pairs.json and the files, packed or not."""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from training.data.cmu import Trial, read_trial


@dataclass(frozen=True)
class Pair:
    """A HumanML3D clip cut from a trial.

    Attributes:
        id: of HumanML3D.
        trial: where it was cut.
        start, end: frames at 20 fps from the trial's first frame.
        split: train, val or test.
        captions: lines as published.
    """

    id: str
    trial: str
    start: int
    end: int
    split: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Trials:
    """The trials of an opened folder.

    Attributes:
        folder: where their files are.
        table: trial -> its row of trials.json (file, fps, description).
        pairs: HumanML3D's clips.
    """

    folder: Path
    table: dict[str, dict[str, Any]]
    pairs: tuple[Pair, ...]
    _digests: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All trials in the table's order."""
        return tuple(self.table)

    def description(self, name: str) -> str:
        """CMU's own words about a trial."""
        return str(self.table[name].get("description") or "")

    def read(self, name: str, skeleton: Skeleton = HUMANML3D) -> Trial:
        """One trial on the skeleton.

        Raises:
            InputError: the file is absent, damaged, or the same as another trial's.
        """
        row = self.table[name]
        path = self.folder / str(row["file"])
        asf = path.with_name(f"{path.parent.name}.asf")
        text = _text(path)
        digest = hashlib.sha256(text.encode()).hexdigest()
        twin = self._digests.setdefault(digest, name)
        if twin != name:
            raise DuplicateTrialError(f"{name} holds the same motion as {twin}.")
        return read_trial(
            text,
            name=path.name,
            fps=float(row["fps"]),
            asf=_text(asf) if path.suffix.lower() == ".amc" and asf.exists() else None,
            skeleton=skeleton,
        )


class DuplicateTrialError(InputError):
    """Two trials of one name have the same file content."""


@contextmanager
def open_trials(folder: Path) -> Iterator[Trials]:
    """Opens a folder of trials; a cmu.tar.xz is unpacked to a temporary folder for the time.

    Raises:
        InputError: a table is missing or malformed, or there are no trial files.
    """
    table = _json(folder / "trials.json")
    pairs = _json(folder / "pairs.json")
    if not isinstance(table, dict) or not all(
        isinstance(row, dict) and {"file", "fps"} <= set(row) for row in table.values()
    ):
        raise InputError(f"{folder / 'trials.json'} must map trials to their file and fps.")
    for name, row in table.items():
        fps = row["fps"]
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < math.inf:
            raise InputError(
                f"{folder / 'trials.json'} gives {name} the frame rate {fps!r}: no positive number."
            )
    if not isinstance(pairs, list):
        raise InputError(f"{folder / 'pairs.json'} must be a list of clips.")
    try:
        rows = tuple(
            Pair(
                r["id"], r["trial"], int(r["start_frame_20fps"]), int(r["end_frame_20fps"]),
                r["split"], _strings(r["captions"]),
            )
            for r in pairs
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'pairs.json'} has a row without {error}.") from None
    packed = folder / "cmu.tar.xz"
    for unpacked in (folder, folder / "cmu"):
        if any((unpacked / str(row["file"])).is_file() for row in table.values()):
            yield Trials(unpacked, table, rows)
            return
    if not packed.is_file():
        raise InputError(f"{folder} has neither cmu.tar.xz nor the folders of the trials (NN/).")
    with tempfile.TemporaryDirectory(prefix="t2m-cmu-") as place:
        try:
            with tarfile.open(packed) as archive:
                archive.extractall(place, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"{packed} cannot be unpacked ({error}); download it again.") from None
        inner = Path(place) / "cmu"
        yield Trials(inner if inner.is_dir() else Path(place), table, rows)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value or [], list) or not all(isinstance(v, str) for v in value or []):
        raise ValueError("captions that are a list of sentences")
    return tuple(value or ())


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).") from None
