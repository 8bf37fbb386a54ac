# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips of one action after another, where one stops or starts: "walks forward, then sits down"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from t2m_blender.engine.skeleton import Skeleton
from training.data.cmu_clips import LONGEST
from training.data.new_clips import Material, New, of_both, part_of
from training.data.stepping import stepped_motion
from training.data.wordings import deeds_of

_LONGEST_PART = 120  # frames of a part of a sequence
# Actions, their sides left open, and how often they come first and second in a sequence.
_FIRST = {
    "walks forward": 10, "walks forward slowly": 2, "walks forward quickly": 2, "jogs forward": 2,
    "walks backward": 2, "turns to the side": 3, "turns around to the side": 2,
    "walks in a circle around": 2, "walks forward and turns side": 2, "stands up from a seat": 5,
    "waves with the side hand": 4, "raises both arms": 2, "raises the side arm": 1, "claps": 2,
    "squats down and stands back up": 3, "jumps up in place": 3, "jumps forward": 2, "bows": 1,
    "punches with the side hand": 2, "kicks with the side leg": 2, "stands still": 2,
    "throws something with the side hand": 1, "sidesteps to the side": 1,
    "bends down and picks something up": 2, "does jumping jacks": 1,
    "points forward with the side hand": 1,
}  # fmt: skip
_SECOND = {
    "sits down": 10, "sits down and stays seated": 4, "walks forward": 5, "walks backward": 3,
    "turns to the side": 3, "turns around to the side": 2, "jumps up in place": 4,
    "jumps forward": 3, "squats down and stands back up": 4, "waves with the side hand": 5,
    "raises both arms": 3, "raises the side arm": 1, "kicks with the side leg": 3,
    "does a roundhouse kick with the side leg": 1, "punches with the side hand": 3, "bows": 1,
    "stands still": 3, "claps": 2, "walks in a circle around": 2, "runs forward": 2,
    "jogs forward": 2, "throws something with the side hand": 2, "does jumping jacks": 1,
    "bends down and picks something up": 3, "points forward with the side hand": 1,
}  # fmt: skip
_ALIKE = {"sits down", "sits down and stays seated"}


def sequence_clips(
    material: Sequence[Material], random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """One action after another, with a step between them where one stops or starts there."""
    pools: dict[str, list[Material]] = {}
    for m in material:
        deeds = next((d for text in m.clip.captions if (d := deeds_of(text))), ())
        if len(deeds) == 1 and " while " not in deeds[0] and len(m.joints) <= _LONGEST_PART:
            pools.setdefault(_sideless(deeds[0]), []).append(m)
    tables = []
    for wanted in (_FIRST, _SECOND):
        names = [name for name in wanted if name in pools]
        weights = np.array([float(wanted[name]) for name in names])
        tables.append((names, weights / weights.sum() if names else weights))
    while tables[0][0] and tables[1][0]:
        one, two = (names[random.choice(len(names), p=weights)] for names, weights in tables)
        if one == two or {one, two} <= _ALIKE:
            continue
        a, b = (pools[name][random.integers(len(pools[name]))] for name in (one, two))
        joined = stepped_motion(a.joints, b.joints, skeleton)
        if joined is None or len(joined.joints) > LONGEST:
            continue
        first, second = (
            next(d for text in m.clip.captions if (d := deeds_of(text)))[0] for m in (a, b)
        )
        parts = (
            part_of(a.clip, 0, joined.first_end),
            part_of(b.clip, joined.second_start, len(b.joints)),
        )
        said = (f"a person {first}, then {second}",)
        clip = of_both(a.clip, b.clip, "Q", " then ".join(parts), said, "joined")
        yield New(replace(clip, end_frame=len(joined.joints)), joined.joints)


def _sideless(deed: str) -> str:
    return re.sub(r"counterclockwise|clockwise", "around", re.sub(r"left|right", "side", deed))
