# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training merge DATA... -o OUT`: several prepared datasets as one.

Every clip keeps its split, licence and origin; the dataset's own licence, credit and notes are
those of all. The skeletons must be the same. An id that two of them have is a fault: the later clip
is left out and named.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from t2m_blender.engine.errors import InputError
from training.data.dataset import (
    Clip,
    Dataset,
    Skipped,
    check_output,
    read_dataset,
    statistics,
    write_dataset,
)


def merged(datasets: Sequence[Dataset]) -> Dataset:
    """All clips of several datasets, with statistics of their train clips together.

    Raises:
        InputError: fewer than two, or their skeletons differ.
    """
    if len(datasets) < 2:
        raise InputError("Merging needs two datasets or more.")
    first = datasets[0]
    clips: list[Clip] = []
    features = {}
    skipped: list[Skipped] = []
    for dataset in datasets:
        if dataset.skeleton != first.skeleton:
            raise InputError(
                f"{dataset.name} has the skeleton {dataset.skeleton.name} and {first.name} has "
                f"{first.skeleton.name}; only datasets of one skeleton can be merged."
            )
        skipped += dataset.skipped
        for clip in dataset.clips:
            if clip.id in features:
                reason = f"another dataset has a clip of this id (left out: {dataset.name}'s)"
                skipped.append(Skipped(clip.id, reason, expected=False))
                continue
            clips.append(clip)
            features[clip.id] = dataset.features[clip.id]
    held_out = {clip.source for clip in clips if clip.split != "train"}
    both = {clip.source for clip in clips if clip.split == "train"} & held_out
    if both:
        raise InputError(
            f"{sorted(both)[0]} has clips in train and in val or test; prepare both from one list "
            "of splits."
        )
    mean, std = statistics((features[c.id] for c in clips if c.split == "train"), first.skeleton)
    return Dataset(
        " + ".join(dict.fromkeys(dataset.name for dataset in datasets)),
        first.skeleton,
        tuple(clips),
        features,
        mean,
        std,
        " ".join(dict.fromkeys(d.licence for d in datasets if d.licence)),
        " ".join(dict.fromkeys(d.credit for d in datasets if d.credit)),
        tuple(skipped),
        tuple(f"{d.name}: {note}" for d in datasets for note in d.notes),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `merge`."""
    parser.add_argument("datasets", type=Path, nargs="+", help="dataset folders made by prepare")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the dataset folder to make, or to replace as a whole",
    )


def run(args: argparse.Namespace) -> int:
    """Runs `merge`; returns the exit status: 3 where clips were left out."""
    from training.data.prepare import report

    if args.output.resolve() in [folder.resolve() for folder in args.datasets]:
        raise InputError("The output is one of the datasets; give a new folder.")
    check_output(args.output)
    dataset = merged([read_dataset(folder) for folder in args.datasets])
    write_dataset(dataset, args.output)
    print(report(dataset))
    return 0 if all(s.expected for s in dataset.skipped) else 3
