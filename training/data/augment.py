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
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import Facing, features_to_joints, motion_to_features
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.dataset import (
    Clip,
    Dataset,
    Skipped,
    check_output,
    read_dataset,
    statistics,
    write_dataset,
)
from training.data.facts import measure
from training.data.floor import Array, standing_features
from training.data.mirror import mirrored_clip, mirrored_motion
from training.data.new_clips import Material, body_part_clips, joined_clips, speed_clips
from training.data.phrases import read_phrase
from training.data.sentences import counted_sentences, sentences

_JOINED, _COMBINED = "joined", "with the upper body of another"
_BONES = 1e-4  # metres by which a bone of a new clip may be off


@dataclass(frozen=True)
class Augmentations:
    """What to add.

    Attributes:
        mirror: a mirrored copy of every clip that has none, also of the new ones.
        speeds: a copy at each of these multiples of the speed.
        compose: so many pairs, one motion after the other.
        body_parts: so many pairs, the upper body of one over the legs of the other.
        facts: measured sentences for clips whose captions speak of the same.
        seed: of the choice of pairs.
    """

    mirror: bool = False
    speeds: tuple[float, ...] = ()
    compose: int = 0
    body_parts: int = 0
    facts: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for speed in self.speeds:
            if not 0.5 <= speed <= 2.0 or speed == 1.0:
                raise InputError(f"A speed is between 0.5 and 2 and not 1; {speed} is not.")
        if min(self.compose, self.body_parts, self.seed) < 0:
            raise InputError("The numbers of clips to make and the seed cannot be negative.")


def sources_of(clip: Clip) -> tuple[str, ...]:
    """The trials of which a clip was made: its own source, or those of all its parts."""
    parts = re.split(r" then | over the legs of ", clip.source)
    return tuple(dict.fromkeys(re.sub(r"\[\d+:\d+\].*$", "", part) for part in parts))


def augment(dataset: Dataset, wanted: Augmentations) -> Dataset:
    """The dataset with new clips in its train split, and new statistics.

    The same dataset, settings and seed give the same clips.

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
    grown = _Grown(list(dataset.clips), dict(dataset.features), facing_of(dataset, material))
    numbers: dict[str, int] = {}
    numbers["at another speed"] = sum(
        grown.add(new.clip, new.joints)
        for speed in wanted.speeds
        for new in speed_clips(material, speed, dataset.skeleton)
    )
    for name, number, make, stream in (
        (_JOINED, wanted.compose, joined_clips, 1),
        (_COMBINED, wanted.body_parts, body_part_clips, 2),
    ):
        random = np.random.default_rng([wanted.seed, stream])
        numbers[name] = 0
        candidates = make(material, number, random, dataset.skeleton)
        while numbers[name] < number and (new := next(candidates, None)) is not None:
            numbers[name] += grown.add(new.clip, new.joints)
    if wanted.facts:
        before = sum(len(clip.captions) for clip in grown.clips)
        grown.clips[:] = [_with_facts(clip, grown.features, held_out) for clip in grown.clips]
        numbers["captions"] = sum(len(clip.captions) for clip in grown.clips) - before
    if wanted.mirror:
        numbers["mirrored"] = sum(
            grown.add(mirrored_clip(clip), mirrored_motion(grown.joints(clip), dataset.skeleton))
            for clip in _mirrorable(grown.clips, held_out)
        )
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


@dataclass
class _Grown:
    """A dataset that grows."""

    clips: list[Clip]
    features: dict[str, NDArray[np.float32]]
    facing: Facing
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, clip: Clip, joints: Array) -> bool:
        """Adds a clip if it is new and sound."""
        if clip.id in self.features:
            return False
        try:
            array = _checked_features(joints, self.facing)
        except InputError as error:
            self.skipped.append(Skipped(clip.id, f"not made: {error}", expected=True))
            return False
        self.clips.append(replace(clip, frames=len(array)))
        self.features[clip.id] = array
        return True

    def joints(self, clip: Clip) -> Array:
        return features_to_joints(self.features[clip.id].astype(np.float64), HUMANML3D)


def facing_of(dataset: Dataset, material: list[Material]) -> Facing:
    """How the dataset's features face: new ones must do the same."""
    column = 0  # of the yaw's velocity

    def error(facing: Facing) -> float:
        found = []
        for m in material[:8]:
            again = motion_to_features(m.joints, dataset.skeleton, uniform=False, facing=facing)
            found.append(again[:, column] - dataset.features[m.clip.id][: len(again), column])
        return float(np.median(np.abs(np.concatenate(found))))

    facings: tuple[Facing, ...] = ("body", "continuous")
    return min(facings, key=error)


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


def _checked_features(joints: Array, facing: Facing) -> NDArray[np.float32]:
    """Features that give the joints back within 1 mm, with the skeleton's bone lengths.

    Raises:
        InputError: they do not, or are not finite.
    """
    array = standing_features(joints, HUMANML3D, facing=facing)
    back = features_to_joints(array.astype(np.float64), HUMANML3D)
    parents = np.array(HUMANML3D.parents[1:])
    lengths = np.linalg.norm(back[:, 1:] - back[:, parents], axis=-1)
    expected = np.linalg.norm(HUMANML3D.offsets[1:], axis=-1)
    if not np.isfinite(array).all() or np.abs(lengths - expected).max() > _BONES:
        raise InputError("a limb's length is off, or a value is not finite")
    return array


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


def _with_facts(clip: Clip, features: dict[str, NDArray[np.float32]], held_out: set[str]) -> Clip:
    """The clip with measured sentences, where a caption of its own speaks of the same."""
    joined = " then " in clip.source or " over the legs of " in clip.source
    if clip.split != "train" or joined or held_out & set(sources_of(clip)):
        return clip
    own = {phrase.verb for text in clip.captions if (phrase := read_phrase(text))}
    joints = features_to_joints(features[clip.id].astype(np.float64), HUMANML3D)
    facts = measure(joints, HUMANML3D)
    new = []
    for text in [*sentences(facts), *counted_sentences(facts)]:
        phrase = read_phrase(text)
        if phrase is not None and own == {phrase.verb} and text not in clip.captions:
            new.append(text)
    return replace(
        clip,
        captions=(*clip.captions, *new),
        caption_origins=(*clip.caption_origins, *["facts"] * len(new)),
    )


def _note(numbers: dict[str, int], wanted: Augmentations) -> str:
    said = ", ".join(f"{number} {name}" for name, number in numbers.items() if number)
    note = f"augmented (seed {wanted.seed}): {said or 'nothing'}"
    for name, number in (
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
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs (0)")


def run(args: argparse.Namespace) -> int:
    """Runs `augment`; returns the exit status."""
    from training.data.prepare import report

    try:
        speeds = tuple(float(part) for part in args.speed.split(",") if part)
    except ValueError:
        raise InputError(f"--speed takes numbers such as 0.85,1.15, not '{args.speed}'.") from None
    wanted = Augmentations(
        args.mirror, speeds, args.compose, args.body_parts, args.facts, args.seed
    )
    if wanted == Augmentations(seed=args.seed):
        raise InputError(
            "Nothing to add: give --mirror, --speed, --compose, --body-parts or --facts."
        )
    if args.output.resolve() == args.dataset.resolve():
        raise InputError("The output is the dataset itself; give a new folder.")
    check_output(args.output)
    dataset = augment(read_dataset(args.dataset), wanted)
    write_dataset(dataset, args.output)
    print(report(dataset))
    return 0
