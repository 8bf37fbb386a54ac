# SPDX-License-Identifier: GPL-3.0-or-later
"""Many motions from a file of prompts, into a folder with a manifest that remembers every recipe.

The manifest is rewritten, whole, after each row: whatever stops the program, finished rows stay
finished and the next run goes on with the others. Of each row it keeps two lists of names: `files`
were written with its recipe, `owned` are all that a batch has written or was about to write, with
whatever recipe. What exists and is not owned is the user's, and is left alone.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import version
from .engine.errors import InputError, OutputError, T2MError
from .engine.files import new_file
from .engine.text import PROMPT_LIMIT
from .output import write_output
from .recipe import Recipe, read_prompt, read_seconds, read_seed

if TYPE_CHECKING:
    from .engine.generate import TextToMotion

__all__ = ["MANIFEST", "Row", "make_batch", "read_manifest", "read_rows"]

MANIFEST = "manifest.json"
_KEYS = ("prompt", "id", "seed", "seconds")
_LISTS = ("files", "owned")
_LONGEST_ID = 120  # bytes; file systems allow 255 for the whole name
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # by Windows


@dataclass(frozen=True, kw_only=True)
class Row:
    """One motion of a batch.

    Attributes:
        number: From 1, counting rows and not lines.
        id: Names its files.
        recipe: None where `error` says what is wrong with the row.
        prompt: As given, for the manifest.
    """

    number: int
    id: str
    prompt: str
    recipe: Recipe | None = None
    error: str | None = None


def read_rows(path: Path, defaults: Recipe) -> list[Row]:
    """Read a batch: JSON lines, CSV with a header, or plain text with one prompt a line.

    A bad row is kept with its error, so that the others can be made.

    Args:
        path: Ends with .jsonl, .csv or .txt.
        defaults: Seed, length and settings of rows that have none of their own.

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
        _read_row(number, record, defaults, taken)
        for number, record in enumerate(reader(text), start=1)
    ]
    if not rows:
        raise InputError(f"The batch {path} has no rows: write one prompt a line.")
    return rows


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what an earlier run left in the folder: entries by id, empty where none ran.

    Raises:
        InputError: There is a manifest that cannot be understood.
    """
    path = folder / MANIFEST
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {
            str(entry["id"]): entry | {key: [*map(str, entry.get(key, ()))] for key in _LISTS}
            for entry in reversed(entries)
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or not ours: move it away, or choose another folder."
        ) from error


def make_batch(
    rows: Sequence[Row],
    folder: Path,
    suffixes: Sequence[str],
    *,
    model: TextToMotion,
    overwrite: bool,
    say: Callable[[str], None],
    complain: Callable[[str], None],
) -> int:
    """Make every row that is not finished already, and keep the manifest.

    Args:
        rows: From `read_rows`.
        folder: For the files; made here if only its parent exists.
        suffixes: Formats, each a file of every row.
        model: From `load_model`.
        overwrite: Make finished rows again, and replace files that no manifest knows.
        say: Told of progress.
        complain: Told of bad rows and warnings.

    Returns:
        How many rows failed.

    Raises:
        OutputError: The folder or its manifest cannot be written.
    """
    kept = read_manifest(folder)
    entries = []
    for row in rows:
        before = kept.pop(row.id, {})  # of two rows of one id, the first one's
        entry = _entry(row, before, model, folder)
        made = before.get("status") == "done" and _names(row, suffixes) <= set(entry["files"])
        if made and not overwrite:
            entry = before | {key: entry[key] for key in ("row", *_LISTS)}
        entries.append(entry)
    manifest = [*entries, *reversed(kept.values())]
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    _write_manifest(folder, manifest)
    for row, entry in zip(rows, entries, strict=True):
        place = f"[{row.number}/{len(rows)}] {row.id}"
        if entry["status"] == "done":
            say(f"{place}: finished before, skipped")
            continue
        names, owned = _names(row, suffixes), set(entry["owned"])
        try:
            if row.recipe is None:
                raise InputError(row.error or "")
            if not overwrite:
                _check_unknown_files(folder, names - owned)
            generated = row.recipe.make(model)
            if not names <= owned:
                entry["owned"] = sorted(owned | names)
                _write_manifest(folder, manifest)  # now: a kill may come right after the file
            for name in sorted(names):
                write_output(generated, folder / name, frames=row.recipe.frames)
                entry["files"] = sorted({*entry["files"], name})
        except T2MError as error:
            entry["owned"] = sorted(owned | set(entry["files"]))
            entry |= {"status": "failed", "error": str(error)}
            complain(f"row {row.number} ({row.id}): {error}")
        else:
            entry |= {"status": "done", "warnings": list(generated.warnings)}
            for warning in generated.warnings:
                complain(f"warning: row {row.number} ({row.id}): {warning}")
            say(f"{place}: {generated.motion.seconds:.1f} s")
        _write_manifest(folder, manifest)
    return sum(entry["status"] == "failed" for entry in entries)


def _entry(row: Row, before: dict[str, Any], model: TextToMotion, folder: Path) -> dict[str, Any]:
    """The manifest's record of a row that is still to be made, with the files that it has."""
    recipe: dict[str, Any] = asdict(row.recipe) if row.recipe else {}
    for name in ("guidance", "temperature"):
        if row.recipe and recipe[name] is None:
            recipe[name] = model.checkpoint.sampling[name]
    recipe |= {"model_sha256": model.checkpoint.sha256, "version": version()}
    entry: dict[str, Any] = {"id": row.id, "row": row.number, "status": "pending", "error": None}
    entry |= {"prompt": row.prompt[:PROMPT_LIMIT]} | recipe | {"model": model.name}
    entry |= {key: [n for n in before.get(key, ()) if (folder / n).is_file()] for key in _LISTS}
    if row.recipe is None or any(before.get(key) != value for key, value in recipe.items()):
        entry["files"] = []
    return entry


def _names(row: Row, suffixes: Sequence[str]) -> set[str]:
    return {row.id + suffix for suffix in suffixes}


def _check_unknown_files(folder: Path, names: set[str]) -> None:
    for name in sorted(names):
        if (folder / name).exists():
            raise OutputError(
                f"{folder / name} is there already and not from a batch: "
                "move it away, or give --overwrite."
            )


def _write_manifest(folder: Path, entries: Sequence[dict[str, Any]]) -> None:
    content = {"version": version(), "rows": list(entries)}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    with new_file(folder / MANIFEST) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))  # a lone surrogate: \udc80


def _read_row(
    number: int, record: dict[str, Any] | InputError, defaults: Recipe, taken: set[str]
) -> Row:
    row = Row(number=number, id=f"{number:04d}", prompt="")
    try:
        if isinstance(record, InputError):
            raise record
        prompt = record.get("prompt")
        row = replace(row, prompt=str(prompt or ""))
        if record.get("id") not in (None, ""):
            row = replace(row, id=_file_name(record["id"]))
        if row.id.casefold() in taken:
            raise InputError(f"The id {row.id!r} is taken by an earlier row: give another.")
        taken.add(row.id.casefold())
        for key in record.keys() - set(_KEYS):
            state = "built yet" if key == "rig" else "known"
            raise InputError(f"The key {key!r} is not {state}: a row has {', '.join(_KEYS)}.")
        if not isinstance(prompt, str):
            raise InputError("The row has no prompt: give it one, in quotes.")
        recipe = replace(defaults, prompt=read_prompt(prompt))
        if record.get("seed") not in (None, ""):
            recipe = replace(recipe, seed=read_seed(record["seed"]))
        if record.get("seconds") not in (None, ""):
            recipe = replace(recipe, seconds=read_seconds(record["seconds"]), frames=None)
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
