# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bone's name says, whatever the program that wrote it: the side, the words, the numbers.

`mixamorig:LeftUpLeg`, `Bip01 L Thigh`, `DEF-thigh.L`, `J_Bip_L_UpperLeg` and `左足` differ in
prefix, case, separators and in how they tell a side. What is left when these are taken off can be
compared. `words.json` lists what the words mean in rigs of no known family.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LEFT, RIGHT = "left", "right"
_SIDES = {
    **dict.fromkeys(("left", "l", "lf", "lft", "lt"), LEFT),
    **dict.fromkeys(("right", "r", "rt", "rgt", "rg"), RIGHT),
}
# Written into the names of a whole rig, they tell nothing about one bone.
_NOISE = frozenset(
    "mixamorig def org mch bip biped valve valvebiped cc base j c m b bn bone jnt joint skel skin "
    "sk rig character rl fk bind jt x sim".split()
)
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_GLUED = re.compile(r"^(left|right)(\w{2,})$|^(\w{2,})(left|right)$")
_SERIAL = re.compile(r"_\d+$")
_WORDS = Path(__file__).parent / "words.json"


NameKey = tuple[str, str, tuple[int, ...]]


@dataclass(frozen=True)
class BoneName:
    """A name taken apart.

    Attributes:
        side: "left", "right" or "".
        words: Lower case, without prefixes, sides and numbers.
        numbers: In their order, `spine.001` and `Spine1` alike.
    """

    side: str
    words: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def stem(self) -> str:
        return "".join(self.words)

    @property
    def key(self) -> NameKey:
        """What two names of the same bone have in common."""
        return self.side, self.stem, self.numbers


@cache
def parse_name(name: str) -> BoneName:
    """Takes a bone's name apart."""
    text = unicodedata.normalize("NFKC", name)
    text = re.split(r"[:|]", text)[-1] or text
    text = text.replace("左", " left ").replace("右", " right ")
    tokens = [part for token in _TOKEN.findall(text) for part in _unglued(token.lower())]
    side, words, numbers = "", [], []
    after_noise = False
    for token in tokens:
        if token.isdigit():
            if not after_noise:
                numbers.append(int(token))
            continue
        after_noise = token in _NOISE
        if token in _SIDES and not side:
            side = _SIDES[token]
        elif not after_noise:
            words.append(token)
    if not words:  # a name of one letter, or of nothing but prefixes: it stands for itself
        side = side if len(tokens) > 1 else ""
        words = [token for token in tokens if not token.isdigit() and token not in _SIDES] or tokens
        words = [word for word in words if not word.isdigit()]
        numbers = [int(token) for token in tokens if token.isdigit()]
    return BoneName(side, tuple(words), tuple(numbers))


def _unglued(token: str) -> list[str]:
    """`leftarm` and `armleft` as two words, `lthigh` too where the rest is a known word."""
    glued = _GLUED.match(token)
    if glued:
        return [part for part in glued.groups() if part]
    for letter, rest in ((token[:1], token[1:]), (token[-1:], token[:-1])):
        if letter in ("l", "r") and token not in _kinds() and rest in _kinds() and len(rest) > 2:
            return [letter, rest]
    return [token]


def without_serials(names: Iterable[str]) -> dict[str, str]:
    """Name -> the name without the serial number that some exporters put behind every bone."""
    names = tuple(names)
    serials = [match[0] for name in names if (match := _SERIAL.search(name))]
    numbered = len(serials) > 0.8 * len(names) and len(set(serials)) > 0.9 * len(serials)
    return {name: _SERIAL.sub("", name) if numbered else name for name in names}


def kinds_of(name: str) -> frozenset[str]:
    """The joints, without their side, that a bone of this name may play; empty if it says nothing.

    "other" is for what plays none: fingers, faces, hair, clothes, weapons, targets.
    """
    parsed = parse_name(name)
    if any(word in _others() for word in parsed.words):
        return frozenset({"other"})
    for stem in (parsed.stem, *(word for word in reversed(parsed.words) if len(word) > 2)):
        found = _kinds().get(stem, frozenset())
        # "hip" with a side is a thigh, without one the pelvis.
        found = found - {"pelvis"} if parsed.side else found - _SIDED
        if found:
            return frozenset(found)
    return frozenset()


_SIDED = frozenset(("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist"))


@cache
def _kinds() -> dict[str, frozenset[str]]:
    kinds: dict[str, set[str]] = {}
    for joint, stems in _words()["joints"].items():
        for stem in stems:
            kinds.setdefault(stem, set()).add(joint)
    return {stem: frozenset(joints) for stem, joints in kinds.items()}


@cache
def _others() -> frozenset[str]:
    return frozenset(_words()["others"])


@cache
def _words() -> Mapping[str, Any]:
    words: dict[str, Any] = json.loads(_WORDS.read_text(encoding="utf-8"))
    return words
