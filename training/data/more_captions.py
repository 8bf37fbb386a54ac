# SPDX-License-Identifier: GPL-3.0-or-later
"""More captions for clips that there are: measured ones, and other wordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.dataset import Clip
from training.data.facts import measure
from training.data.grown import sources_of
from training.data.phrases import read_phrase
from training.data.sentences import counted_sentences, sentences
from training.data.wordings import deeds_of, wordings

_TOLD = 3  # sentences of people for one of a clip's captions


def with_facts(clip: Clip, features: dict[str, NDArray[np.float32]], held_out: set[str]) -> Clip:
    """The clip with measured sentences, where a caption of its own speaks of the same.

    A clip that does more (parts, gestures) has none: they would be half the truth.
    """
    more = any(mark in clip.source for mark in (" then ", " over the legs of ", "], and "))
    if clip.split != "train" or more or held_out & set(sources_of(clip)):
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


def with_wordings(
    clip: Clip, number: int, told: Mapping[str, Sequence[str]], random: np.random.Generator
) -> Clip:
    """The clip with other wordings of those of its captions that the table knows.

    Args:
        clip: of the train split; others stay as they are.
        number: of wordings of the table in all.
        told: sentences of people for what is done; up to three are taken.
        random: chooses.
    """
    known = [text for text in clip.captions if deeds_of(text)]
    if clip.split != "train" or not known:
        return clip
    new: dict[str, str] = {}
    for text in known:
        for said in wordings(text, -(-number // len(known)), random):
            new[said] = f"wording: {text}"
        by_people = told.get(text.removeprefix("a person "), ())
        for _ in range(min(_TOLD, len(by_people))):
            new[by_people[random.integers(len(by_people))]] = f"humanml3d text: {text}"
    for text in clip.captions:
        new.pop(text, None)
    return replace(
        clip,
        captions=(*clip.captions, *new),
        caption_origins=(*clip.caption_origins, *new.values()),
    )
