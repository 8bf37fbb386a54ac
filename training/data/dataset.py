# SPDX-License-Identifier: GPL-3.0-or-later
"""The prepared dataset on disk: what `prepare` writes and every trainer reads.

One folder:

    dataset.json     format 1, name, skeleton, fps, feature_size, licence, credit, counts, notes,
                     skipped (a list of {item, reason, expected})
    clips.jsonl      one JSON object a clip, in the order of the arrays: see `Clip`
    features.npz     one float32 array [T, D] a clip, named by the clip's id; not normalised
    statistics.npz   mean and std, float32 [D], over the frames of the split "train"; std is
                     averaged within each group of columns, as HumanML3D does

Nothing is pickled. T is at least 40 for clips with captions of HumanML3D.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError, OutputError
from t2m_blender.engine.features import feature_columns
from t2m_blender.engine.skeleton import Skeleton, skeleton_from_json, skeleton_to_json
from training.data.arrays import read_arrays

FORMAT = 1
SPLITS = ("train", "val", "test")
_FILES = ("dataset.json", "clips.jsonl", "features.npz", "statistics.npz")


@dataclass(frozen=True)
class Clip:
    """One row of clips.jsonl.

    Attributes:
        id: unique; mirrored copies begin with "M".
        split: train, val or test.
        captions: sentences, each about the whole clip; may be empty (then only for the VQ-VAE).
        caption_origins: where each came from, such as "humanml3d", "cmu description", "facts"; of
            one that says in other words what another of the clip's captions says, with that:
            "wording: a person sits down".
        source: the trial.
        start_frame, end_frame: of the source, at the skeleton's frame rate; end is not included.
        frames: T, the rows of features (one less than joints).
        subject: who moved; one person never has two names.
        licence, origin: of the motion.
        mirrored: left and right are swapped.
    """

    id: str
    split: str
    captions: tuple[str, ...]
    caption_origins: tuple[str, ...]
    source: str
    start_frame: int
    end_frame: int
    frames: int
    subject: str
    licence: str
    origin: str
    mirrored: bool


def origin_kind(origin: str) -> str:
    """Where a caption came from, without the caption that it words."""
    return origin.partition(": ")[0]


def caption_worded(origin: str) -> str:
    """The caption that a wording says in other words; empty where there is none."""
    return origin.partition(": ")[2]


@dataclass(frozen=True)
class Skipped:
    """Something of a source that is not in the dataset, and why.

    Attributes:
        item: clip, trial or file.
        reason: in words.
        expected: part of the plan (a clip too short), not a fault of the data.
    """

    item: str
    reason: str
    expected: bool


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared dataset in memory.

    Attributes:
        name: of the source.
        skeleton: joints, frame rate and feature size.
        clips: rows.
        features: id -> [T, D] float32, not normalised.
        mean, std: [D] float32 of the train split.
        licence, credit: for the whole.
        skipped: what was left out.
        notes: what else the reader of the summary should know.
    """

    name: str
    skeleton: Skeleton
    clips: tuple[Clip, ...]
    features: dict[str, NDArray[np.float32]]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    licence: str = ""
    credit: str = ""
    skipped: tuple[Skipped, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def split(self, name: str) -> tuple[Clip, ...]:
        """The clips of one split."""
        return tuple(clip for clip in self.clips if clip.split == name)


def statistics(
    arrays: Iterable[NDArray[Any]], skeleton: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and std [D] over all frames; std averaged within each group of columns.

    Raises:
        InputError: no frames.
    """
    count, total, squares = 0, np.zeros(skeleton.feature_size), np.zeros(skeleton.feature_size)
    for array in arrays:
        wide = np.asarray(array, dtype=np.float64)
        count += len(wide)
        total += wide.sum(axis=0)
        squares += (wide**2).sum(axis=0)
    if count == 0:
        raise InputError("The train split has no frames, so there are no statistics to take.")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    for columns in feature_columns(skeleton).values():
        std[columns] = std[columns].mean()
    return mean.astype(np.float32), std.astype(np.float32)


def counts(clips: Sequence[Clip], fps: float) -> dict[str, dict[str, float]]:
    """Clips, captions and hours a split, mirrored copies apart."""
    table: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        for mirrored in (False, True):
            rows = [c for c in clips if c.split == split and c.mirrored == mirrored]
            table[split + (" (mirrored)" if mirrored else "")] = {
                "clips": len(rows),
                "captioned": sum(1 for c in rows if c.captions),
                "captions": sum(len(c.captions) for c in rows),
                "frames": sum(c.frames for c in rows),
                "hours": round(sum(c.frames for c in rows) / fps / 3600, 4),
            }
    return table


def check_output(folder: Path) -> None:
    """Says before long work whether a dataset may be written there; makes nothing yet.

    Raises:
        OutputError: it holds other files than a dataset's, is a file, or cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a new folder.")
    strangers = {p.name for p in folder.iterdir()} - set(_FILES) if folder.is_dir() else set()
    if strangers:
        raise OutputError(
            f"{folder} holds other files ({sorted(strangers)[0]}); give an empty folder, a new one "
            "or that of a dataset to replace."
        )
    place = Path(os.path.realpath(folder)).parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be made: {place} is no folder that you may change.")


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Writes the folder, with those above it; a dataset that is there is replaced as a whole.

    The new one is written beside it and takes its place once it is complete.

    Raises:
        OutputError: it holds other files, or cannot be written.
    """
    check_output(folder)
    folder = Path(os.path.realpath(folder))
    header: dict[str, Any] = {
        "format": FORMAT,
        "name": dataset.name,
        "skeleton": skeleton_to_json(dataset.skeleton),
        "fps": dataset.skeleton.fps,
        "feature_size": dataset.skeleton.feature_size,
        "licence": dataset.licence,
        "credit": dataset.credit,
        "counts": counts(dataset.clips, dataset.skeleton.fps),
        "notes": list(dataset.notes),
        "skipped": [asdict(s) for s in dataset.skipped],
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=folder.name + ".") as beside:
            new, old = Path(beside) / "new", Path(beside) / "old"
            new.mkdir()
            (new / "dataset.json").write_text(json.dumps(header, indent=1), encoding="utf-8")
            with (new / "clips.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(clip)) + "\n" for clip in dataset.clips)
            arrays: dict[str, Any] = {clip.id: dataset.features[clip.id] for clip in dataset.clips}
            np.savez(new / "features.npz", **arrays)
            np.savez(new / "statistics.npz", mean=dataset.mean, std=dataset.std)
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error}); choose another folder.") from None


def read_dataset(folder: Path) -> Dataset:
    """Reads a prepared folder.

    Raises:
        InputError: a file is missing, damaged, of another format, or they do not agree.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder} is no prepared dataset: it has no {missing[0]}. Make one with "
            "'python -m training prepare'."
        )
    try:
        header = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        rows = (folder / "clips.jsonl").read_text(encoding="utf-8").splitlines()
        names = {f.name for f in fields(Clip)}
        clips = tuple(_clip(json.loads(row), names) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: dataset.json or clips.jsonl is damaged ({error}).") from None
    if header.get("format") != FORMAT:
        raise InputError(
            f"{folder} has format {header.get('format')}; this version reads format {FORMAT}. "
            "Prepare it again."
        )
    skeleton = skeleton_from_json(header.get("skeleton"))
    try:
        features = read_arrays(folder / "features.npz")
        stored = read_arrays(folder / "statistics.npz")
    except InputError as error:
        raise InputError(f"{folder}: {error} Prepare it again.") from None
    size = (skeleton.feature_size,)
    if any(name not in stored or stored[name].shape != size for name in ("mean", "std")):
        raise InputError(
            f"{folder}: statistics.npz needs mean and std of {size[0]} numbers. Prepare it again."
        )
    for clip in clips:
        array = features.get(clip.id)
        if array is None or array.shape != (clip.frames, skeleton.feature_size):
            raise InputError(f"{folder}: the features of clip {clip.id} are missing or misshapen.")
    skipped = tuple(Skipped(**row) for row in header.get("skipped", []))
    return Dataset(
        header["name"], skeleton, clips, features, stored["mean"], stored["std"],
        header.get("licence", ""), header.get("credit", ""), skipped,
        tuple(header.get("notes", ())),
    )  # fmt: skip


def _clip(row: dict[str, Any], names: set[str]) -> Clip:
    row = {name: row[name] for name in names}
    row["captions"] = tuple(row["captions"])
    row["caption_origins"] = tuple(row["caption_origins"])
    return Clip(**row)
