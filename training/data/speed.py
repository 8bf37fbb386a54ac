# SPDX-License-Identifier: GPL-3.0-or-later
"""The same motion slower or faster, with captions that are still true of it."""

from __future__ import annotations

import re

import numpy as np

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import Skeleton
from training.data.facts import Facts, measure
from training.data.floor import Array
from training.data.phrases import Phrase, read_phrase
from training.data.sentences import sentences

_FAST = re.compile(r"\b(?:quick|fast|rapid|brisk|swift|hurr|sprint|rush|energetic|vigorous)\w*\b")
_SLOW = re.compile(r"\b(?:slow|leisure|careful|cautious|gradual|calm|lazy|lazily|casual)\w*\b")
_MEASURED = re.compile(r"\b(?:normal|medium|moderate|regular|average|speed|pace|seconds?)\b")
# metres a second in which people usually do so
_USUAL = {"walk": (0.75, 1.6), "jog": (1.9, 3.2), "run": (2.1, 4.5)}


def resampled(joints: Array, factor: float, skeleton: Skeleton) -> Array:
    """The motion [T, J, 3] `factor` times as fast, at the same frame rate and bone lengths."""
    frames = round((len(joints) - 1) / factor) + 1
    motion = Motion(joints.astype(np.float32), skeleton.fps, skeleton)
    again = motion.resampled(frames, skeleton.fps).joints.astype(np.float64)
    return rigid_joints(again, skeleton)


def paced_captions(
    captions: tuple[tuple[str, str], ...], joints: Array, factor: float, skeleton: Skeleton
) -> tuple[tuple[str, str], ...]:
    """(sentence, origin) that hold for the resampled motion [T, J, 3].

    Measured ones are measured again; those that name a pace which may no longer be true are left
    out; a gait whose speed is now out of its usual range is called slow or quick.
    """
    facts = measure(joints, skeleton)
    kept: list[tuple[str, str]] = []
    for text, origin in captions:
        if origin == "facts":
            continue
        plain = text.lower()
        if _MEASURED.search(plain) or (_FAST if factor < 1.0 else _SLOW).search(plain):
            continue
        kept.append((_paced(text, facts), origin))
    if any(origin == "facts" for _, origin in captions):
        kept += [(text, "facts") for text in sentences(facts)]
    return tuple(dict.fromkeys(kept))


def _paced(text: str, facts: Facts) -> str:
    phrase = read_phrase(text)
    if phrase is None or phrase.adverb or phrase.verb not in _USUAL or facts.moving < 0.8:
        return text
    if _FAST.search(text.lower()) or _SLOW.search(text.lower()):
        return text
    low, high = _USUAL[phrase.verb]
    word = "slowly" if facts.speed < low else "quickly" if facts.speed > high else ""
    if not word:
        return text
    said = Phrase(phrase.who, "", phrase.verb, f" {word}{phrase.rest}")
    return f"{said.who} {said.predicate}"
