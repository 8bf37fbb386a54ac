# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a batch: a file of prompts in JSON lines, CSV or plain text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .engine.errors import InputError
from .recipe import Recipe, read_parts, read_rig, read_seconds, read_seed

__all__ = ["Row", "read_rows"]

_KEYS = ("prompt", "id", "seed", "seconds", "rig")
_LONGEST_ID = 120  # bytes; file systems allow 255 for the whole name
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # by Windows


@dataclass(frozen=True, kw_only=True)
class Row:
    """One motion of a batch.

    Attributes:
        number: From 1, counting rows and not lines; takes of a row share it.
        id: Names its files.
        recipe: None where `error` says what is wrong with the row.
        prompt: As given, for the manifest.
    """

    number: int
    id: str
    prompt: str
    recipe: Recipe | None = None
    error: str | None = None


def read_rows(path: Path, defaults: Recipe, *, takes: int = 1) -> list[Row]:
    """Read a batch: JSON lines, CSV with a header, or plain text with one prompt a line.

    A bad row is kept with its error, so that the others can be made.

    Args:
        path: Ends with .jsonl, .csv or .txt.
        defaults: Seed, length and settings of rows that have none of their own.
        takes: How many motions of each row, of seeds in a row; their ids end with -1, -2 ...

    Raises:
        InputError: The file cannot be read or has no row.
    """
    readers = {".jsonl": _json_records, ".csv": _csv_records, ".txt": _text_records}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"The batch {path} is of no known kind: use .jsonl, .csv or .txt.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"The batch {path} is not UTF-8 text: save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"The batch {path} cannot be read: {error.strerror}.") from error
    taken: set[str] = set()
    rows = [
        _once(take, taken)
        for number, record in enumerate(reader(text), start=1)
        for take in _takes(_read_row(number, record, defaults, path.parent), takes)
    ]
    if not rows:
        raise InputError(f"The batch {path} has no rows: write one prompt a line.")
    return rows


def _once(row: Row, taken: set[str]) -> Row:
    """The row, or if an earlier one has its id, what is wrong with it."""
    if row.id.casefold() in taken:
        error = f"The id {row.id!r} is taken by an earlier row: give another."
        return replace(row, recipe=None, error=row.error or error)
    if row.recipe is not None:
        taken.add(row.id.casefold())
    return row


def _takes(row: Row, count: int) -> Iterator[Row]:
    """The row, or if there are several takes each of them."""
    try:
        recipes = row.recipe.takes(count) if row.recipe is not None else []
    except InputError as error:
        recipes, row = [], replace(row, recipe=None, error=str(error))
    if count == 1 or not recipes:
        yield row
        return
    for take, recipe in enumerate(recipes, start=1):
        yield replace(row, id=f"{row.id}-{take}", recipe=recipe)


def _read_row(
    number: int,
    record: dict[str, Any] | InputError,
    defaults: Recipe,
    folder: Path,
) -> Row:
    row = Row(number=number, id=f"{number:04d}", prompt="")
    try:
        if isinstance(record, InputError):
            raise record
        prompts = record.get("prompt")
        prompts = prompts if isinstance(prompts, list) else [prompts]
        row = replace(row, prompt=", then ".join(str(prompt or "") for prompt in prompts))
        if record.get("id") not in (None, ""):
            row = replace(row, id=_file_name(record["id"]))
        for key in record.keys() - set(_KEYS):
            raise InputError(f"The key {key!r} is not known: a row has {', '.join(_KEYS)}.")
        if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
            raise InputError("The row has no prompt: give it one, in quotes.")
        recipe = replace(defaults, parts=read_parts(prompts))
        if record.get("seed") not in (None, ""):
            recipe = replace(recipe, seed=read_seed(record["seed"]))
        if record.get("seconds") not in (None, ""):
            recipe = replace(recipe, frames=None).with_length(read_seconds(record["seconds"]))
        else:
            recipe = recipe.with_default_length(defaults.parts[0].seconds)
        if record.get("rig") not in (None, ""):
            recipe = replace(recipe, rig=read_rig(record["rig"], folder))
        return replace(row, recipe=recipe)
    except InputError as error:
        return replace(row, error=str(error))


def _file_name(id: object) -> str:
    """An id as the beginning of a file's name: no folders, nothing that a system reserves."""
    if isinstance(id, bool) or not isinstance(id, (str, int)):
        raise InputError(f"The id is {id!r}: give text or a whole number.")
    name = re.sub(r"[^\w.-]+", "_", str(id)).lstrip(".")
    if not name.strip("._"):
        raise InputError(f"The id {str(id)!r} names no file: use letters and digits.")
    if len(name.encode()) > _LONGEST_ID:
        raise InputError(f"The id {name[:20]}... is too long: use {_LONGEST_ID} letters or fewer.")
    return f"_{name}" if _RESERVED.match(name) or name.startswith("-") else name


def _json_records(text: str) -> Iterator[dict[str, Any] | InputError]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield InputError(f"The line is not JSON ({error}): write one object a line.")
            continue
        if isinstance(record, dict):
            yield record
        else:
            yield InputError('The line is no JSON object: write {"prompt": "..."}.')


def _csv_records(text: str) -> Iterator[dict[str, Any] | InputError]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="rest", strict=True)
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        if "prompt" not in reader.fieldnames:
            raise InputError("The CSV file has no column named prompt: name the columns in line 1.")
        for record in reader:
            if "rest" in record:
                yield InputError("The row has more cells than the header: quote the prompt.")
            else:
                yield {key: value for key, value in record.items() if value}
    except csv.Error as error:
        raise InputError(f"The CSV file is damaged at line {reader.line_num}: {error}.") from error


def _text_records(text: str) -> Iterator[dict[str, Any] | InputError]:
    return ({"prompt": line} for line in text.split("\n") if line.strip())
