# SPDX-License-Identifier: GPL-3.0-or-later
"""How people say what the table of wordings holds: sentences of HumanML3D that say the same.

Two sentences say the same here where they have the same words of content, in whatever form and
order: "this man is waving with his left hand" and "*wave the {side} hand". What is dropped are
subjects, articles, pronouns and the like, never a side, a direction, a number or a manner. A
sentence that would say two different things of the table is not used. Only texts are taken, and
only those of the train split.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from t2m_blender.engine.errors import InputError
from training.data.captions import is_mirrorable, mirror_caption
from training.data.phrases import base_form
from training.data.wordings import all_ways

_DROPPED = frozenset(
    "a an the this that these person persons man woman figure human someone somebody individual"
    " guy character he she they it sim stick toon body one who is are was be being been his her"
    " their its him them himself herself themself themselves to of and while as if by for with in"
    " on at into so".split()
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


def told_of(sentences: Iterable[str]) -> dict[str, list[str]]:
    """What is done ("kicks with the left leg") -> sentences that say it, without repeats."""
    meanings: dict[tuple[str, ...], set[str]] = {}
    for deed, way in all_ways():
        meanings.setdefault(content_of(way), set()).add(deed)
    found: dict[str, dict[str, None]] = {}
    for sentence in sentences:
        text = " ".join(sentence.lower().strip().rstrip(".").split())
        if len(text.split()) > _LONGEST:
            continue
        deeds = meanings.get(content_of(text), set())
        if len(deeds) == 1:
            deed = next(iter(deeds))
            found.setdefault(deed, {})[text] = None
            if is_mirrorable(text):
                found.setdefault(mirror_caption(deed), {})[mirror_caption(text)] = None
    return {deed: list(texts) for deed, texts in found.items()}


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
    return told_of(texts)


def content_of(text: str) -> tuple[str, ...]:
    """The words that tell what is done, in the order of the alphabet, each as often as it is there.

    Two sentences with the same ones say the same, in other forms and orders.
    """
    text = re.sub(r"\b(counter|anti)[\s-]*clock[\s-]?wise", "counterclockwise", text)
    words = re.findall(r"[a-z0-9]+", re.sub(r"\{\w+\}", " ", text.lower()))
    kept = (_SAME.get(word, word) for word in words if word not in _DROPPED)
    return tuple(sorted(base_form(word) for word in kept))
