# SPDX-License-Identifier: GPL-3.0-or-later
"""Many wordings of one caption: other subjects, forms of the verb, synonyms and word orders.

`wordings.json` holds, for what somebody does ("kicks with the {side} leg"), ways to say it. Verbs
that change their form are marked: "*squat down and *stand back up". {side} is left or right,
{clock} counterclockwise where {side} is left; {their}, {them}, {themself} and {they} follow the
subject; of "(up|into the air)" one is said. A caption is read where it is "a person DOES", "a
person DOES, then DOES" or "a person DOES while DOING" of these, and its wordings say the same, no
more; others keep their captions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from t2m_blender.engine.errors import InputError
from training.data.phrases import gerund_of, third_person_of

_TABLE = Path(__file__).with_name("wordings.json")
_CLOCK = {"left": "counterclockwise", "right": "clockwise"}
# How often a word stands for counterclockwise; the others are rarer spellings.
_COUNTER = ("counterclockwise", "counterclockwise", "counter-clockwise", "counter clockwise",
            "anti-clockwise", "anticlockwise")  # fmt: skip
# subject -> possessive, object, reflexive, pronoun; those that stand oftener come more than once
_SUBJECTS = (
    *[("a person", "their", "them", "themself", "they")] * 8,
    *[("someone", "their", "them", "themself", "they")] * 3,
    *[("a man", "his", "him", "himself", "he")] * 3,
    *[("the person", "their", "them", "themself", "they")] * 3,
    ("a woman", "her", "her", "herself", "she"),
    ("somebody", "their", "them", "themself", "they"),
    ("a human", "their", "them", "themself", "they"),
    ("a figure", "its", "it", "itself", "it"),
    ("the figure", "its", "it", "itself", "it"),
    ("the man", "his", "him", "himself", "he"),
    ("he", "his", "him", "himself", "he"),
    ("she", "her", "her", "herself", "she"),
    ("the character", "its", "it", "itself", "it"),
    ("a guy", "his", "him", "himself", "he"),
    ("a human figure", "its", "it", "itself", "it"),
    ("an individual", "their", "them", "themself", "they"),
    ("person", "their", "them", "themself", "they"),
    ("the woman", "her", "her", "herself", "she"),
    ("a boy", "his", "him", "himself", "he"),
    ("a girl", "her", "her", "herself", "she"),
    ("a lady", "her", "her", "herself", "she"),
    ("the guy", "his", "him", "himself", "he"),
    ("the actor", "their", "them", "themself", "they"),
    ("a young man", "his", "him", "himself", "he"),
    ("a human being", "their", "them", "themself", "they"),
)
# what comes before and between a subject and its verbs: form -> (start, form of the verbs, chance)
_FORMS = {
    "third": ("{who} ", "third", 0.56),
    "is": ("{who} is ", "gerund", 0.14),
    "gerund": ("", "gerund", 0.1),
    "order": ("", "order", 0.07),
    "participle": ("{who} ", "gerund", 0.06),
    "who": ("{who} who ", "third", 0.02),
    "who is": ("{who} who is ", "gerund", 0.02),
    "there": ("there is {who} ", "gerund", 0.015),
    "make": ("make {who} ", "order", 0.015),
}
# Two steps in one sentence: {a} and {b} in its own form, {doing_a} and {doing_b} as gerunds.
_FRAMES = (
    "{who}{a} before {doing_b}",
    "{who}{b} after {doing_a}",
    "after {doing_a}, {who}{b}",
    "before {doing_b}, {who}{a}",
    "{who}{a}, followed by {doing_b}",
    "{who}{a}; then {b}",
    "{who}{a}, and afterwards {b}",
    "{who}{a} and after that {b}",
    "first {who}{a}, then {b}",
    "{who}*start by {doing_a} and *finish by {doing_b}",
    "{who}*begin {doing_a} and *end {doing_b}",
    "{who}*go from {doing_a} to {doing_b}",
    "{who}*change from {doing_a} to {doing_b}",
    "{who}*move from {doing_a} into {doing_b}",
    "{who}*transition from {doing_a} to {doing_b}",
)
_FRAMED = 0.4  # of what has two steps
_PLAIN = ("", "their", "them", "themself", "they")  # of an imperative or a gerund alone
_ORDERS = ("your", "you", "yourself", "you")


@dataclass(frozen=True)
class _Deed:
    """One thing done, as the table knows it.

    Attributes:
        lines: of the table, each with its ways to say it; marked verbs and pronouns are still open.
    """

    lines: tuple[tuple[str, ...], ...]

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(way for line in self.lines for way in line))

    def drawn(self, random: np.random.Generator) -> str:
        """A way of any line, so that a line of many is not oftener said than one of one."""
        line = self.lines[random.integers(len(self.lines))]
        return line[random.integers(len(line))]


def wordings(caption: str, number: int, random: np.random.Generator) -> list[str]:
    """So many different wordings of a caption, or fewer, without the caption itself.

    Empty where the table does not hold what the caption says.
    """
    readings = _read(caption)
    if not readings:
        return []
    found: dict[str, None] = {}
    for _ in range(4 * number):
        text = _worded(readings[random.integers(len(readings))], random)
        if text != caption:
            found[text] = None
        if len(found) == number:
            break
    return list(found)


def is_known(caption: str) -> bool:
    """Whether the table holds what the caption says."""
    return bool(_read(caption))


def deeds_of(caption: str) -> tuple[str, ...]:
    """What somebody does, one after the other, as keys of the table ("kicks with the left leg")."""
    match = re.fullmatch(r"a person (.+)", caption)
    return tuple(re.split(r", then ", match[1])) if match and _read(caption) else ()


def all_ways() -> list[tuple[str, str]]:
    """(what is done, a way to say it) of the whole table, with marked verbs and open pronouns."""
    return [(deed, way) for deed, found in _deeds().items() for way in found.ways]


def verbs() -> frozenset[str]:
    """Base forms of the verbs that the table marks."""
    return frozenset(verb for _, way in all_ways() for verb in re.findall(r"\*(\w+)", way))


def plainly(way: str) -> str:
    """A way to say something, said of a person in the third person."""
    return f"a person {_said(way, 'third', _SUBJECTS[0])}"


def _read(caption: str) -> list[list[list[_Deed]]]:
    """Steps one after the other; each is one deed, or two at the same time.

    There are two readings where a key holds "then" and each of its parts is one too.
    """
    match = re.fullmatch(r"a person (.+)", caption)
    if match is None:
        return []
    whole = _deeds().get(match[1])
    readings = [[[whole]]] if whole else []
    steps = []
    for step in match[1].split(", then "):
        first, _, gerund = step.partition(" while ")
        deeds = [_deeds().get(first)] + ([_gerunds().get(gerund)] if gerund else [])
        steps.append([deed for deed in deeds if deed is not None])
        if len(steps[-1]) < len(deeds):
            return readings
    return readings if steps == [[whole]] else [*readings, steps]


@cache
def _deeds() -> dict[str, _Deed]:
    """The table with its sides filled in."""
    try:
        table = json.loads(_TABLE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{_TABLE} cannot be read ({error}).") from None
    found = {}
    for key, ways in table.items():
        sides = ("left", "right") if "{side}" in key or "{clock}" in key else ("",)
        for side in sides:
            lines = (_spread(_sided(line, side)) for line in ways)
            found[_sided(key, side)] = _Deed(tuple(lines))
    return found


def _spread(line: str) -> tuple[str, ...]:
    """All that a line with "(this|that)" says."""
    parts = [part.split("|") for part in re.split(r"[()]", line)]
    return tuple(" ".join("".join(chosen).split()) for chosen in product(*parts))


@cache
def _gerunds() -> dict[str, _Deed]:
    """The same under "waving with the left hand": the first way of each, as a gerund."""
    return {_said(deed.ways[0], "gerund", _PLAIN): deed for deed in _deeds().values()}


def _sided(text: str, side: str) -> str:
    return text.replace("{side}", side).replace("{clock}", _CLOCK.get(side, ""))


def _worded(steps: Sequence[Sequence[_Deed]], random: np.random.Generator) -> str:
    subject = _SUBJECTS[random.integers(len(_SUBJECTS))]
    names = list(_FORMS)
    name = names[random.choice(len(names), p=[chance for _, _, chance in _FORMS.values()])]
    start, form, _ = _FORMS[name]
    if "{who}" not in start:
        subject = ("", *_ORDERS) if form == "order" else _PLAIN
    said = [_step(step, form, subject, random) for step in steps]
    alone = name == "make" and subject[0] == subject[4]  # "make him", not "make he"
    start = start.replace("{who}", subject[2] if alone else subject[0])
    if len(steps) == 2 and random.random() < _FRAMED:
        gerunds = [_step(step, "gerund", subject, random) for step in steps]
        frame = _said(_FRAMES[random.integers(len(_FRAMES))], form, subject)
        parts = {"who": start, "a": said[0], "b": said[1], "doing_a": gerunds[0]}
        return _spelt(frame.format(**parts, doing_b=gerunds[1]), random)
    text = start + said[0]
    for number, clause in enumerate(said[1:], start=1):
        pronoun = subject[4] if subject[4] != "they" else ""
        join = random.integers(4 if number == len(said) - 1 else 2)
        if join == 3 and name == "third" and pronoun:
            text += f", then {pronoun} {clause}"
        else:
            text += (", then ", " and then ", " and ", ", and then ")[join] + clause
    return _spelt(text, random)


def _step(
    deeds: Sequence[_Deed], form: str, subject: Sequence[str], random: np.random.Generator
) -> str:
    ways = [deed.drawn(random) for deed in deeds]
    if len(ways) == 2 and random.random() < 0.4:
        ways.reverse()
    said = _said(ways[0], form, subject)
    if len(ways) == 2:
        if random.random() < 0.6:
            said += " while " + _said(ways[1], "gerund", subject)
        else:
            said += " and " + _said(ways[1], form, subject)
    return said


def _said(way: str, form: str, subject: Sequence[str]) -> str:
    """A way with its verbs in a form: third, gerund or order."""

    def verb(match: re.Match[str]) -> str:
        base = match[1]
        if base == "be":
            return "is" if subject[4] in ("he", "she", "it") else "are"
        if form == "gerund":
            return gerund_of(base)
        return third_person_of(base) if form == "third" else base

    text = re.sub(r"(?<=\{they\} )\*(\w+)", _after_pronoun(subject), way)
    text = re.sub(r"\*(\w+)", verb, text)
    for name, word in zip(("their", "them", "themself", "they"), subject[1:], strict=True):
        text = text.replace("{" + name + "}", word)
    return text


def _after_pronoun(subject: Sequence[str]) -> Callable[[re.Match[str]], str]:
    """The form of a verb that follows {they}."""

    def verb(match: re.Match[str]) -> str:
        single = subject[4] in ("he", "she", "it")
        if match[1] == "be":
            return "is" if single else "are"
        return third_person_of(match[1]) if single else match[1]

    return verb


def _spelt(text: str, random: np.random.Generator) -> str:
    word = _COUNTER[random.integers(len(_COUNTER))]
    text = text.replace("counterclockwise", word)
    return text.replace(" a anti", " an anti")
