# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training augment DATASET -o OUT`: more training clips made from those that there are.

Only the train split grows, and nothing is made of a trial that val or test has clips of. New clips
say in `source` how they were made and of which frames of which trials (`sources_of` reads it):

    16_17[0:80] at speed 0.85
    02_01[0:52] then 16_17[5:90]
    29_03[20:90] over the legs of 02_01[0:70]

Their ids begin with "S" and the speed, "J" or "B"; mirrored copies, as everywhere, with "M".
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.balance import balance
from training.data.dataset import (
    Clip,
    Dataset,
    check_output,
    read_dataset,
    statistics,
    write_dataset,
)
from training.data.grown import Grown, facing_of, sources_of
from training.data.made_clips import (
    backward_clips,
    curved_clips,
    gesture_clips,
    stooping_clips,
    turning_clips,
)
from training.data.mirror import mirrored_clip, mirrored_motion
from training.data.more_captions import with_facts, with_wordings
from training.data.new_clips import Material, body_part_clips, joined_clips, speed_clips
from training.data.sequences import sequence_clips
from training.data.told import read_told

_JOINED, _COMBINED = "joined", "with the upper body of another"
_CURVED = "continued or bent"


@dataclass(frozen=True)
class Augmentations:
    """What to add.

    Attributes:
        mirror: a mirrored copy of every clip that has none, also of the new ones.
        speeds: a copy at each of these multiples of the speed.
        compose: so many pairs, one motion after the other.
        body_parts: so many pairs, the upper body of one over the legs of the other.
        facts: measured sentences for clips whose captions speak of the same.
        curves: so many straight walks and runs, continued and most of them bent.
        backward: so many walks played from their end.
        turns: so many turns on the spot.
        gestures: so many drawn gestures over captured bodies.
        stoops: so many pick-ups and squats of people who stand.
        sequences: so many pairs of actions with a step between.
        balance: copies at slightly other speeds of what has fewer clips than so many.
        wordings: so many other wordings of the captions of a clip.
        seed: of the choice of pairs.
    """

    mirror: bool = False
    speeds: tuple[float, ...] = ()
    compose: int = 0
    body_parts: int = 0
    facts: bool = False
    curves: int = 0
    backward: int = 0
    turns: int = 0
    gestures: int = 0
    stoops: int = 0
    sequences: int = 0
    balance: int = 0
    wordings: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for speed in self.speeds:
            if not 0.5 <= speed <= 2.0 or speed == 1.0:
                raise InputError(f"A speed is between 0.5 and 2 and not 1; {speed} is not.")
        numbers = (self.compose, self.body_parts, self.curves, self.backward, self.turns,
                   self.stoops, self.sequences)  # fmt: skip
        if min(*numbers, self.gestures, self.balance, self.wordings, self.seed) < 0:
            raise InputError("The numbers of clips to make and the seed cannot be negative.")


def augment(
    dataset: Dataset, wanted: Augmentations, told: Mapping[str, Sequence[str]] | None = None
) -> Dataset:
    """The dataset with new clips in its train split, and new statistics.

    The same dataset, settings and seed give the same clips. Wordings also draw on `told`: sentences
    of people for what is done (`training.data.told`).

    Raises:
        InputError: the dataset is not of HumanML3D's skeleton, or has no train clips.
    """
    if dataset.skeleton.name != HUMANML3D.name:
        raise InputError(
            f"Augmentation measures in metres on {HUMANML3D.name}; this dataset is of "
            f"{dataset.skeleton.name}. KIT-ML's mirrored clips are in its own folder."
        )
    held_out = {s for clip in dataset.clips if clip.split != "train" for s in sources_of(clip)}
    material = [_material(clip, dataset) for clip in _usable(dataset, held_out)]
    if not material:
        raise InputError(f"{dataset.name} has no train clip that may be augmented.")
    grown = Grown(list(dataset.clips), dict(dataset.features), facing_of(dataset, material))
    numbers: dict[str, int] = {}
    numbers["at another speed"] = sum(
        grown.add(new.clip, new.joints)
        for speed in wanted.speeds
        for new in speed_clips(material, speed, dataset.skeleton)
    )
    for name, number, make, stream in (
        (_CURVED, wanted.curves, curved_clips, 3),
        ("backward", wanted.backward, backward_clips, 4),
        ("turned on the spot", wanted.turns, turning_clips, 5),
        ("with a drawn gesture", wanted.gestures, gesture_clips, 6),
        ("going down and up again", wanted.stoops, stooping_clips, 10),
    ):
        random = np.random.default_rng([wanted.seed, stream])
        numbers[name] = grown.fill(make(material, random, dataset.skeleton), number)
    if wanted.sequences:
        random = np.random.default_rng([wanted.seed, 9])
        own = [m.clip.id for m in material]
        parts = material + [
            Material(clip, grown.joints(clip))
            for clip in grown.clips[len(dataset.clips) :]
            if clip.id not in own
        ]
        numbers["one after another"] = grown.fill(
            sequence_clips(parts, random, dataset.skeleton), wanted.sequences
        )
    for name, number, make_pairs, stream in (
        (_JOINED, wanted.compose, joined_clips, 1),
        (_COMBINED, wanted.body_parts, body_part_clips, 2),
    ):
        random = np.random.default_rng([wanted.seed, stream])
        candidates = make_pairs(material, number, random, dataset.skeleton)
        numbers[name] = grown.fill(candidates, number)
    if wanted.facts:
        before = sum(len(clip.captions) for clip in grown.clips)
        grown.clips[:] = [with_facts(clip, grown.features, held_out) for clip in grown.clips]
        numbers["captions"] = sum(len(clip.captions) for clip in grown.clips) - before
    if wanted.balance:
        random = np.random.default_rng([wanted.seed, 7])
        numbers["copies of what is rare"] = balance(grown, wanted.balance, held_out, random)
    if wanted.mirror:
        numbers["mirrored"] = sum(
            grown.add(mirrored_clip(clip), mirrored_motion(grown.joints(clip), dataset.skeleton))
            for clip in _mirrorable(grown.clips, held_out)
        )
    if wanted.wordings:
        before = sum(len(clip.captions) for clip in grown.clips)
        random = np.random.default_rng([wanted.seed, 8])
        grown.clips[:] = [
            with_wordings(clip, wanted.wordings, told or {}, random) for clip in grown.clips
        ]
        numbers["wordings"] = sum(len(clip.captions) for clip in grown.clips) - before
    arrays = (grown.features[clip.id] for clip in grown.clips if clip.split == "train")
    mean, std = statistics(arrays, dataset.skeleton)
    return replace(
        dataset,
        clips=tuple(grown.clips),
        features=grown.features,
        mean=mean,
        std=std,
        notes=(*dataset.notes, _note(numbers, wanted)),
        skipped=(*dataset.skipped, *grown.skipped),
    )


def _usable(dataset: Dataset, held_out: set[str]) -> list[Clip]:
    """Train clips as they were captured, of trials that are in train alone."""
    return [
        clip
        for clip in dataset.clips
        if clip.split == "train"
        and not clip.mirrored
        and sources_of(clip) == (clip.source,)
        and clip.source not in held_out
    ]


def _material(clip: Clip, dataset: Dataset) -> Material:
    array = dataset.features[clip.id].astype(np.float64)
    return Material(clip, features_to_joints(array, dataset.skeleton))


def _mirrorable(clips: list[Clip], held_out: set[str]) -> list[Clip]:
    """Train clips without a mirrored copy."""
    ids = {clip.id for clip in clips}
    return [
        clip
        for clip in clips
        if clip.split == "train"
        and not clip.mirrored
        and "M" + clip.id not in ids
        and not held_out & set(sources_of(clip))
    ]


def _note(numbers: dict[str, int], wanted: Augmentations) -> str:
    said = ", ".join(f"{number} {name}" for name, number in numbers.items() if number)
    note = f"augmented (seed {wanted.seed}): {said or 'nothing'}"
    for name, number in (
        (_CURVED, wanted.curves),
        (_JOINED, wanted.compose),
        (_COMBINED, wanted.body_parts),
    ):
        if numbers[name] < number:
            note += f"; no more than {numbers[name]} of {number} {name} fit"
    return note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `augment`."""
    parser.add_argument("dataset", type=Path, help="dataset folder made by prepare")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the dataset folder to make, or to replace as a whole",
    )
    parser.add_argument(
        "--mirror", action="store_true", help="a mirrored copy of every clip that has none"
    )
    parser.add_argument(
        "--speed", default="", metavar="F,F", help="copies at these speeds, such as 0.85,1.15"
    )
    parser.add_argument(
        "--compose", type=int, default=0, metavar="N", help="N clips of one motion, then another"
    )
    parser.add_argument(
        "--body-parts",
        type=int,
        default=0,
        metavar="N",
        help="N clips of one motion's upper body over another's legs",
    )
    parser.add_argument(
        "--facts", action="store_true", help="captions with measured distances, steps, heights ..."
    )
    for name, what in (
        ("curves", "straight walks and runs continued and bent"),
        ("backward", "walks played from their end"),
        ("turns", "turns on the spot"),
        ("gestures", "drawn gestures of the arms over captured bodies"),
        ("stoops", "pick-ups and squats of people who stand"),
        ("sequences", "actions one after another with a step between"),
    ):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=f"N {what}")
    parser.add_argument(
        "--balance", type=int, default=0, metavar="N",
        help="copies at slightly other speeds, until every action has N clips",
    )  # fmt: skip
    parser.add_argument(
        "--wordings", type=int, default=0, metavar="N", help="N other wordings a clip"
    )
    parser.add_argument(
        "--texts",
        type=Path,
        help="HumanML3D's captions.json, for wordings from its sentences",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs (0)")


def run(args: argparse.Namespace) -> int:
    """Runs `augment`; returns the exit status."""
    from training.data.prepare import report

    try:
        speeds = tuple(float(part) for part in args.speed.split(",") if part)
    except ValueError:
        raise InputError(f"--speed takes numbers such as 0.85,1.15, not '{args.speed}'.") from None
    names = [field.name for field in fields(Augmentations) if field.name != "speeds"]
    wanted = Augmentations(speeds=speeds, **{name: getattr(args, name) for name in names})
    if wanted == Augmentations(seed=args.seed):
        raise InputError(
            "Nothing to add: give --mirror, --speed, --compose, --curves ...; see --help."
        )
    if args.output.resolve() == args.dataset.resolve():
        raise InputError("The output is the dataset itself; give a new folder.")
    check_output(args.output)
    dataset = augment(
        read_dataset(args.dataset), wanted, read_told(args.texts) if args.texts else None
    )
    write_dataset(dataset, args.output)
    print(report(dataset))
    return 0
