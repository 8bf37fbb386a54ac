# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips made from clips: at another speed, joined in time, or of two bodies' parts.

Each function yields candidates in a random order that the seed fixes; what is kept is decided in
`training.data.augment`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from t2m_blender.engine.skeleton import Skeleton
from training.data.body_parts import combined_motion, does_what_is_said, liveliest_window
from training.data.cmu_clips import LONGEST, SHORTEST
from training.data.dataset import Clip
from training.data.facts import measure
from training.data.floor import Array
from training.data.joining import joined_motion
from training.data.phrases import (
    ArmPhrase,
    is_about_legs,
    joined_caption,
    read_arm_phrase,
    read_phrase,
    simultaneous_caption,
)
from training.data.sentences import travel_sentences
from training.data.speed import paced_captions, resampled

_TRIES, _MORE_TRIES = 60, 2000  # pairs that are tried for each that is wanted, and once
_CAPTIONS = 3  # of a new clip


@dataclass(frozen=True, eq=False)
class Material:
    """A train clip and its joints [T, J, 3]."""

    clip: Clip
    joints: Array


@dataclass(frozen=True, eq=False)
class New:
    """A new clip (its `frames` not yet known) and its joints [T, J, 3]."""

    clip: Clip
    joints: Array


def speed_clips(material: Sequence[Material], factor: float, skeleton: Skeleton) -> Iterator[New]:
    """Every clip that stays within the usual lengths, `factor` times as fast."""
    for m in material:
        joints = resampled(m.joints, factor, skeleton)
        if not SHORTEST <= len(joints) <= LONGEST:
            continue
        pairs = tuple(zip(m.clip.captions, m.clip.caption_origins, strict=True))
        captions = paced_captions(pairs, joints, factor, skeleton)
        if m.clip.captions and not captions:
            continue
        clip = replace(
            m.clip,
            id=f"S{factor:g}_{m.clip.id}",
            captions=tuple(text for text, _ in captions),
            caption_origins=tuple(origin for _, origin in captions),
            source=f"{part_of(m.clip, 0, len(m.joints))} at speed {factor:g}",
        )
        yield New(clip, joints)


def joined_clips(
    material: Sequence[Material], number: int, random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """Pairs whose captions and motions can be joined; every verb has the same chance."""
    by_verb: dict[str, list[Material]] = {}
    for m in material:
        verbs = {phrase.verb for text in m.clip.captions if (phrase := read_phrase(text))}
        if len(m.joints) <= LONGEST - SHORTEST // 2:
            for verb in sorted(verbs):
                by_verb.setdefault(verb, []).append(m)
    verbs_there = sorted(by_verb)
    if not verbs_there:
        return
    weights = np.sqrt([len(by_verb[verb]) for verb in verbs_there])
    tried = set()
    for _ in range(_MORE_TRIES + _TRIES * number):
        a, b = (
            pool[random.integers(len(pool))]
            for pool in (
                by_verb[verbs_there[k]]
                for k in random.choice(len(weights), 2, p=weights / weights.sum())
            )
        )
        if (a.clip.id, b.clip.id) in tried or a.clip.id == b.clip.id:
            continue
        tried.add((a.clip.id, b.clip.id))
        captions = _joined_captions(a.clip, b.clip)
        if not captions:
            continue
        joined = joined_motion(a.joints, b.joints, skeleton)
        if joined is None or len(joined.joints) > LONGEST:
            continue
        first = part_of(a.clip, 0, joined.first_end)
        second = part_of(b.clip, joined.second_start, len(b.joints))
        clip = of_both(a.clip, b.clip, "J", f"{first} then {second}", captions, "joined")
        yield New(replace(clip, end_frame=len(joined.joints)), joined.joints)


def body_part_clips(
    material: Sequence[Material], number: int, random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """Arms of one clip over legs of another; every thing that arms do has the same chance."""
    arms: dict[str, list[tuple[Material, list[ArmPhrase]]]] = {}
    legs = []
    for m in material:
        phrases = [p for text in m.clip.captions if (p := read_arm_phrase(text)) is not None]
        if phrases:
            arms.setdefault(phrases[0].verb, []).append((m, phrases))
        elif is_about_legs(m.clip.captions) and travel_sentences(measure(m.joints, skeleton)):
            legs.append(m)
    if not arms or not legs:
        return
    verbs = sorted(arms)
    tried = set()
    for _ in range(_MORE_TRIES + _TRIES * number):
        pool = arms[verbs[random.integers(len(verbs))]]
        upper, phrases = pool[random.integers(len(pool))]
        lower = legs[random.integers(len(legs))]
        if (upper.clip.id, lower.clip.id) in tried:
            continue
        tried.add((upper.clip.id, lower.clip.id))
        frames = min(len(upper.joints), len(lower.joints))
        if frames < SHORTEST:
            continue
        start = liveliest_window(upper.joints, phrases[0], frames, skeleton)
        under = int(random.integers(len(lower.joints) - frames + 1))
        joints = combined_motion(
            lower.joints[under : under + frames], upper.joints[start : start + frames], skeleton
        )
        if joints is None:
            continue
        true = [p for p in phrases if does_what_is_said(joints, p, skeleton)]
        said = travel_sentences(measure(lower.joints[under : under + frames], skeleton))
        captions = [simultaneous_caption(s, p.gerund) for s, p in product(said, true)][:_CAPTIONS]
        if not captions:
            continue
        source = (
            f"{part_of(upper.clip, start, start + frames)} over the legs of "
            f"{part_of(lower.clip, under, under + frames)}"
        )
        clip = of_both(upper.clip, lower.clip, "B", source, captions, "combined")
        yield New(replace(clip, end_frame=frames), joints)


def _joined_captions(a: Clip, b: Clip) -> list[str]:
    """Some of the ways to tell both, different in both parts where that can be."""
    count = max(len(a.captions), len(b.captions))
    together = [
        (a.captions[i % len(a.captions)], b.captions[(i + shift) % len(b.captions)])
        for shift in range(count)
        for i in range(count)
    ]
    texts = [joined_caption(first, second) for first, second in together]
    return list(dict.fromkeys(text for text in texts if text))[:_CAPTIONS]


def part_of(clip: Clip, start: int, end: int) -> str:
    """The frames of its source that a stretch of a clip's joints shows."""
    return f"{clip.source}[{clip.start_frame + start}:{clip.start_frame + end}]"


def of_both(
    a: Clip, b: Clip, letter: str, source: str, captions: Sequence[str], origin: str
) -> Clip:
    """The row of a clip made of two, with the licences and origins of both."""
    return Clip(
        id=f"{letter}_{a.id}_{b.id}",
        split="train",
        captions=tuple(captions),
        caption_origins=(origin,) * len(captions),
        source=source,
        start_frame=0,
        end_frame=0,
        frames=0,
        subject=_both(a.subject, b.subject),
        licence=_both(a.licence, b.licence),
        origin=_both(a.origin, b.origin),
        mirrored=False,
    )


def _both(first: str, second: str) -> str:
    return first if first == second else f"{first} + {second}"
