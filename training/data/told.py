# SPDX-License-Identifier: GPL-3.0-or-later
"""How people say what the table of wordings holds: sentences of HumanML3D that say the same.

Two sentences say the same here where they have the same words of content, in whatever form and
order: "this man is waving with his left hand" and "*wave the {side} hand"; or where they are near
each other among MiniLM's sentence features, and every side, direction, number, manner and joint of
one is in the other too: "a person tosses an object overhand" and "*throw a ball overhand". A
sentence that would say two different things of the table is not used (one that names no side is,
for both), nor a paraphrase of the prompt checks in any form: they test what was not trained on.
Only texts are taken, and only those of the train split.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.model import MODELS
from t2m_blender.engine.text import TextEncoder
from training.checks.suite import read_suite
from training.data.captions import is_mirrorable, mirror_caption
from training.data.phrases import base_form, gerund_of, third_person_of
from training.data.wordings import all_ways, plainly, verbs

_DROPPED = frozenset(
    "a an the this that these person persons man woman figure human someone somebody individual"
    " guy character boxer dancer fighter pitcher runner he she they it sim stick toon body one who"
    " is are was be being been his her their its him them himself herself themself themselves to of"
    " and while as if by for with in on at into so".split()
)
_SAME = dict(
    pair.split("=")
    for pair in (
        "backwards=backward forwards=forward upwards=up anticlockwise=counterclockwise hands=hand"
        " arms=arm legs=leg feet=foot circles=circle steps=step ground=floor chairs=chair"
        " jumped=jump walked=walk kicked=kick waved=wave ran=run sat=sit threw=throw raised=raise"
        " picked=pick"
    ).split()
)
_LONGEST = 16  # words
# What a sentence may not say more or less of than the one that it is near to.
_TELLING = frozenset(
    "left right forward backward ahead back up down sideways side diagonally clockwise"
    " counterclockwise around circle once twice one two three four five six seven eight nine ten"
    " times time several few couple 1 2 3 4 5 6 7 8 9 10 slow slowly fast quick quickly both not"
    " without stop run jog".split()
)
_JOINING = frozenset("and or but then than after before while whilst when followed".split())
_NEAR = 0.88  # cosine of sentence features
_NEARER = 0.03  # than to anything else in the table


def told_of(sentences: Iterable[str], encoder: TextEncoder) -> dict[str, list[str]]:
    """What is done ("kicks with the left leg") -> sentences that say it, without repeats."""
    held_back = {content_of(text) for check in read_suite() for text in check.paraphrases}
    texts = list(
        dict.fromkeys(" ".join(text.lower().strip().rstrip(".").split()) for text in sentences)
    )
    contents = {text: content_of(text) for text in texts if len(text.split()) <= _LONGEST}
    usable = [text for text, content in contents.items() if content not in held_back]
    meanings: dict[tuple[str, ...], set[str]] = {}
    for deed, way in all_ways():
        meanings.setdefault(content_of(way), set()).add(deed)
    found: dict[str, dict[str, None]] = {}
    unsaid = []
    for text in usable:
        deeds = meanings.get(contents[text], set())
        if not deeds:
            unsaid.append(text)
        elif len({_without_side(deed) for deed in deeds}) == 1:
            for deed in sorted(deeds):
                found.setdefault(deed, {})[text] = None
    for deed, text in _near(unsaid, encoder):
        found.setdefault(deed, {})[text] = None
    for deed, said in list(found.items()):
        for text in list(said):
            if is_mirrorable(text):
                found.setdefault(mirror_caption(deed), {})[mirror_caption(text)] = None
    return {deed: list(said) for deed, said in found.items()}


def _near(texts: Sequence[str], encoder: TextEncoder) -> list[tuple[str, str]]:
    """(what is done, a sentence near to a way to say it) of those that are near to one alone."""
    ways = all_ways()
    deeds = np.array([deed for deed, _ in ways])
    neutral = np.array([_without_side(deed) for deed in deeds])
    told = [_telling(plainly(way)) for _, way in ways]
    same = {telling: np.array([telling == one for one in told]) for telling in set(told)}
    texts = [text for text in texts if _telling(text) in same]
    likeness = _directions(texts, encoder) @ _directions_of_ways(encoder).T
    found = []
    for text, row in zip(texts, likeness, strict=True):
        telling = _telling(text)
        row = np.where(same[telling], row, -1.0)
        best = neutral[row.argmax()]
        second = row[neutral != best].max()
        if row.max() > max(_NEAR, second + _NEARER):
            said = deeds[(neutral == best) & (row > row.max() - 1e-6)]
            found += [(str(deed), text) for deed in dict.fromkeys(said)]
    return found


@lru_cache(maxsize=1)
def _directions_of_ways(encoder: TextEncoder) -> NDArray[np.float32]:
    """Of `all_ways`, in their order."""
    return _directions([plainly(way) for _, way in all_ways()], encoder)


def _directions(texts: Sequence[str], encoder: TextEncoder) -> NDArray[np.float32]:
    """Sentence features [N, C] of length 1."""
    features = encoder.encode(texts, encoder.token_limit, batch_size=32).pooled
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True))


def _telling(text: str) -> tuple[str, ...]:
    joining = (word for word in re.findall("[a-z]+", text) if word in _JOINING)
    return (*(word for word in content_of(text) if word in _TELLING), *joining)


def _without_side(deed: str) -> str:
    return re.sub(r"\b(left|right|clockwise|counterclockwise)\b", "side", deed)


def read_told(path: Path) -> dict[str, list[str]]:
    """The same of HumanML3D's captions.json: id -> {captions, split}.

    Raises:
        InputError: the file cannot be read, or is of another form.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        texts = [t for row in rows.values() if row["split"] == "train" for t in row["captions"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no captions.json of HumanML3D ({error!r}).") from None
    return told_of(texts, TextEncoder.load(MODELS / "minilm.safetensors"))


def content_of(text: str) -> tuple[str, ...]:
    """The words that tell what is done, in the order of the alphabet, each as often as it is there.

    Two sentences with the same ones say the same, in other forms and orders.
    """
    text = re.sub(r"\b(counter|anti)[\s-]*clock[\s-]?wise", "counterclockwise", text)
    words = re.findall(r"[a-z0-9]+", re.sub(r"\{\w+\}", " ", text.lower()))
    kept = (_SAME.get(word, word) for word in words if word not in _DROPPED)
    return tuple(sorted(_bases().get(word) or base_form(word) for word in kept))


@cache
def _bases() -> dict[str, str]:
    """Third person or gerund -> base form, of the verbs of the table."""
    return {form(verb): verb for verb in verbs() for form in (third_person_of, gerund_of)}
