# SPDX-License-Identifier: GPL-3.0-or-later
"""Many motions into a folder with a manifest: what is finished is skipped, what fails is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import version
from .batch_rows import Row
from .engine.errors import InputError, OutputError, T2MError
from .engine.text import PROMPT_LIMIT
from .manifest import LISTS, Entry, Manifest, Shard, read_manifests
from .output import check_rig, write_output
from .recipe import Recipe, check_recipe, make_motions

if TYPE_CHECKING:
    from .engine.generate import GeneratedMotion, TextToMotion
    from .telling import Teller

__all__ = ["make_batch"]

_SIDE_BY_SIDE = 16
"""Rows that go through the model together; more are lost when the program is killed."""


@dataclass(frozen=True, eq=False)
class _Job:
    """A row to make.

    Attributes:
        recipe: Of the row.
        names: Of its files.
        entry: Of the manifest.
        owned: Names that were a batch's before.
        place: Says which row it is.
    """

    recipe: Recipe
    names: frozenset[str]
    entry: Entry
    owned: frozenset[str]
    place: str

    def disown(self) -> None:
        """What was not written is not a batch's now."""
        self.entry["owned"] = sorted(self.owned.union(self.entry["files"]))


def make_batch(
    rows: Sequence[Row],
    folder: Path,
    suffixes: Sequence[str],
    *,
    model: TextToMotion,
    overwrite: bool,
    tell: Teller,
    shard: Shard | None = None,
) -> int:
    """Make every row that is not finished already, and keep the manifest.

    Args:
        rows: From `read_rows`; those of the shard.
        folder: For the files; made here if only its parent exists.
        suffixes: Formats, each a file of every row.
        model: From `load_model`.
        overwrite: Make finished rows again, and replace files that no manifest knows.
        tell: Told of progress, bad rows and warnings.
        shard: Which one; None for all rows.

    Returns:
        How many rows failed.

    Raises:
        OutputError: The folder or its manifest cannot be written.
    """
    kept = read_manifests(folder)
    entries = []
    for row in rows:
        before = kept.pop(row.id, {})  # of two rows of one id, the first one's
        entry = _entry(row, before, model, folder)
        made = before.get("status") == "done" and _names(row, suffixes) <= set(entry["files"])
        if made and not overwrite:
            entry = before | {key: entry[key] for key in ("row", *LISTS)}
        entries.append(entry)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    others = [*reversed(kept.values())] if shard is None else []
    manifest = Manifest(folder, [*entries, *others], shard)
    jobs = []
    for place, (row, entry) in enumerate(zip(rows, entries, strict=True), start=1):
        named = f"[{place}/{len(rows)}] {row.id}"
        if entry["status"] == "done":
            tell.say(f"{named}: finished before, skipped")
            continue
        try:
            if row.recipe is None:
                raise InputError(row.error or "")
            names, owned = frozenset(_names(row, suffixes)), frozenset(entry["owned"])
            check_recipe(row.recipe, model)
            check_rig(row.recipe.rig, suffixes)
            if not overwrite:
                _check_unknown_files(folder, names - owned)
            jobs.append(_Job(row.recipe, names, entry, owned, named))
        except T2MError as error:
            _fail(entry, error, tell)
    try:
        for start in range(0, len(jobs), _SIDE_BY_SIDE):
            _make(jobs[start : start + _SIDE_BY_SIDE], folder, manifest, model, tell)
    finally:
        manifest.write()
    return sum(entry["status"] == "failed" for entry in entries)


def _make(
    jobs: Sequence[_Job], folder: Path, manifest: Manifest, model: TextToMotion, tell: Teller
) -> None:
    """Some rows, side by side."""
    for job in jobs:
        job.entry["owned"] = sorted(job.owned | job.names)
    manifest.write()  # now: a kill may come right after a file
    reached = 0
    try:
        for job, generated in _generated(jobs, model, tell):
            reached += 1
            _write(job, generated, folder, tell)
            manifest.note()
    finally:
        for job in jobs[reached:]:
            job.disown()


def _generated(
    jobs: Sequence[_Job], model: TextToMotion, tell: Teller
) -> Iterator[tuple[_Job, GeneratedMotion]]:
    try:
        motions = make_motions([job.recipe for job in jobs], model, on_progress=tell.progress)
    except T2MError as error:
        for job in jobs:
            _fail(job.entry, error, tell)
        return
    yield from zip(jobs, motions, strict=True)


def _write(job: _Job, generated: GeneratedMotion, folder: Path, tell: Teller) -> None:
    entry = job.entry
    try:
        for name in sorted(job.names):
            write_output(generated, folder / name, frames=job.recipe.frames, rig=job.recipe.rig)
            entry["files"] = sorted({*entry["files"], name})
    except T2MError as error:
        job.disown()
        _fail(entry, error, tell)
        return
    entry |= {"status": "done", "warnings": list(generated.warnings)}
    for warning in generated.warnings:
        tell.complain(f"warning: row {entry['row']} ({entry['id']}): {warning}")
    tell.say(f"{job.place}: {generated.motion.seconds:.1f} s")
    tell.result(entry)


def _fail(entry: Entry, error: T2MError, tell: Teller) -> None:
    entry |= {"status": "failed", "error": str(error)}
    tell.complain(f"row {entry['row']} ({entry['id']}): {error}")
    tell.result(entry)


def _entry(row: Row, before: Entry, model: TextToMotion, folder: Path) -> Entry:
    """The manifest's record of a row that is still to be made, with the files that it has."""
    recipe: Entry = row.recipe.as_json() if row.recipe else {}
    for name in ("guidance", "temperature"):
        if row.recipe and recipe[name] is None:
            recipe[name] = model.checkpoint.sampling[name]
    recipe |= {"model_sha256": model.checkpoint.sha256, "version": version()}
    entry: Entry = {"id": row.id, "row": row.number, "status": "pending", "error": None}
    entry |= {"prompt": row.prompt[:PROMPT_LIMIT]} | recipe | {"model": model.name}
    entry |= {key: [n for n in before.get(key, ()) if (folder / n).is_file()] for key in LISTS}
    if row.recipe is None or any(before.get(key) != value for key, value in recipe.items()):
        entry["files"] = []
    return entry


def _names(row: Row, suffixes: Sequence[str]) -> set[str]:
    return {row.id + suffix for suffix in suffixes}


def _check_unknown_files(folder: Path, names: frozenset[str]) -> None:
    for name in sorted(names):
        if (folder / name).exists():
            raise OutputError(
                f"{folder / name} is there already and not from a batch: "
                "move it away, or give --overwrite."
            )
