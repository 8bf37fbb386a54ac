# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch remembers: every recipe, beside the files that were made with it.

The manifest is rewritten, whole, as rows are finished: whatever stops the program, finished rows
stay finished and the next run goes on with the others. Of each row it keeps two lists of names:
`files` were written with its recipe, `owned` are all that a batch has written or was about to
write, with whatever recipe. What exists and is not owned is the user's, and is left alone.

Machines that share the work each keep a manifest of their own; a run without --shard makes one of
them all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import version
from .engine.errors import InputError
from .engine.files import new_file

__all__ = ["LISTS", "MANIFEST", "Manifest", "Shard", "read_manifests"]

MANIFEST = "manifest.json"
LISTS = ("files", "owned")
_PATIENCE = 20.0  # times as long as a manifest takes to write, until the next one is written

Entry = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """The rows of one machine among several: `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def read(cls, value: str) -> Shard:
        """Read "2/5".

        Raises:
            InputError: Not two such numbers.
        """
        number, _, count = value.partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise InputError(f"The shard is {value[:40]!r}: give i/n with i from 1 to n, such as 2/5.")

    @property
    def rows(self) -> slice:
        """Which of all rows are this machine's."""
        return slice(self.number - 1, None, self.count)

    @property
    def manifest(self) -> str:
        return f"manifest.{self.number}of{self.count}.json"


def read_manifests(folder: Path) -> dict[str, Entry]:
    """Read what earlier runs left in the folder: entries by id, empty where none ran.

    Raises:
        InputError: There is a manifest that cannot be understood.
    """
    found: dict[str, Entry] = {}
    for path in [folder / MANIFEST, *_of_shards(folder)]:
        found |= _read(path)
    return found


class Manifest:
    """The file that is being kept.

    Args:
        folder: Of the batch.
        entries: All that it is to hold; they change as rows are finished.
        shard: Whose rows they are; None for all.
    """

    def __init__(self, folder: Path, entries: Sequence[Entry], shard: Shard | None) -> None:
        self._path = folder / (MANIFEST if shard is None else shard.manifest)
        self._entries = entries
        self._took, self._written = 0.0, 0.0
        self.write()
        if shard is None:
            for path in _of_shards(folder):
                path.unlink()  # it is in this one now

    def write(self) -> None:
        """Now.

        Raises:
            OutputError: It cannot be written.
        """
        began = time.monotonic()
        content = {"version": version(), "rows": list(self._entries)}
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        with new_file(self._path) as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))  # a lone surrogate: \udc80
        self._written = time.monotonic()
        self._took = self._written - began

    def note(self) -> None:
        """Soon: at once, but for a batch so long that this would take most of the time."""
        if time.monotonic() - self._written > _PATIENCE * self._took:
            self.write()


def _of_shards(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("manifest.*of*.json"), key=lambda path: path.stat().st_mtime)


def _read(path: Path) -> dict[str, Entry]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {
            str(entry["id"]): entry | {key: [*map(str, entry.get(key, ()))] for key in LISTS}
            for entry in reversed(entries)
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or not ours: move it away, or choose another folder."
        ) from error
