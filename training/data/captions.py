# SPDX-License-Identifier: GPL-3.0-or-later
"""Captions: cleaning what the datasets' files hold, and mirroring left and right.

Mirroring is for copies of a motion reflected at the plane x = 0. "Left" and "right" swap where they
are sides, not where they are verbs or emphasis ("is left standing", "turns right around"), and
clockwise swaps with counterclockwise. `is_mirrorable` says whether a caption survives the way there
and back; what does not is better left out of a mirrored copy than given a false caption.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from t2m_blender.engine.errors import InputError

_TIMED = re.compile(
    r"^\[\s*from[\s:]*(?:to\()?(?P<start>[\d.]+)\s*s?[\s:-]+(?:to)?[\s:]*"
    r"(?P<end>[\d.]+)\s*s?\)?\s*\]\s*",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"\b(?P<side>left|right)(?P<end>s|wards?|most|sides?|hand(?:ed)?|foot(?:ed)?|)\b", re.IGNORECASE
)
_TURN = re.compile(r"\b(?P<counter>(?:counter|anti)[\s-]*)?clock[\s-]?wise\b", re.IGNORECASE)
_HOURS = [
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
]
_HOUR = re.compile(
    rf"\b(?P<hour>\d{{1,2}}|{'|'.join(_HOURS)})(?P<end>\s*o'?\s?clock)\b", re.IGNORECASE
)

# Where "left" and "right" are no sides. The first group holds unless a word before says that a side
# is meant after all ("to the right away from the wall", "their left over their right").
_NO_SIDE_BEFORE = "".join(
    rf"(?<!\b{word} )" for word in ("the", "their", "his", "her", "its", "to", "and", "left", "far")
)
_NOT_A_SIDE = re.compile(
    "|".join(
        [
            rf"\b{_NO_SIDE_BEFORE}right (?:away\b(?! from)|now\b|here\b|there\b|way\b|next to\b"
            r"|beside\b|in front of\b|in place\b|on top of\b|up to\b|up against\b)",
            r"\b(?<!\bto )(?<!\bto the )(?<!\bto their )(?<!\bto his )(?<!\bto her )left over "
            r"(?!(?:right|left|the|an?|his|her|their|its|it|them|and|to|then)\b)",
            # right as emphasis or correctness
            r"\bright angles?\b",
            r"\bright side up\b",
            r"\ball right\b",
            r"\bthe right (?:way|place|height|moment|time)\b",
            r"\b(?:turn|spin|twirl|swing|wheel|whirl)(?:s|ed|ing|ning)? right (?:around|round)\b",
            r"\b(?:stand|sit|get|come|go|jump|hop|bounce|lie|fall|climb|spring)(?:s|ing|ting|ping)?"
            r" right (?:back|up|down)\b",
            # left as the past of leave
            r"\b(?:is|are|was|were|be|been|being|get|gets|got) left (?:standing|alone|behind|with"
            r"|there|hanging|lying|sitting|kneeling|balancing|holding|over|open|empty|unattended)\b",
            r"\b(?:what(?:ever)?(?: is|'s| was)?|nothing(?: is)?|anything|something|all that is"
            r"|time|space|room|no one|none|much|energy) left"
            r"(?=\s*(?:$|[.,;!]|of\b|to do\b|over\b|for\b))",
            r"\b(?:has|have|had|having) (?:just |already |now )?left "
            r"(?:the|for|behind|it|them|home)\b",
            r"\b(?:he|she|they|who|it|person|man|woman|figure) (?:just |then )?left "
            r"(?:the (?!left|right|side)|for\b|home\b)",
        ]
    ),
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"\b(?:upright|uprightly|alright|leftovers?|(?:be)?fright\w*|bright\w*|o'?clock)\b"
)


@dataclass(frozen=True)
class Caption:
    """One sentence and the part of its clip that it describes.

    Attributes:
        text: the sentence.
        start, end: seconds; end is infinite where the sentence is about the whole clip.
    """

    text: str
    start: float = 0.0
    end: float = math.inf


def read_caption(line: str) -> Caption:
    """Cleans one caption: `#` tails, `[from 0s - 3s]` prefixes, white space.

    HumanML3D's lines are `caption#word/POS ...#from#to`, where 0.0#0.0 means the whole clip.

    Raises:
        InputError: nothing is left, or the times are no range.
    """
    text, *tail = line.split("#")
    start, end = 0.0, math.inf
    if len(tail) >= 3:
        try:
            start, end = float(tail[-2]), float(tail[-1])
        except ValueError:
            raise InputError(f"The caption line '{line}' has no times after its '#'.") from None
        start, end = (0.0, math.inf) if start == end == 0.0 or end != end else (start, end)
    timed = _TIMED.match(text.strip())
    if timed:
        start, end = float(timed["start"]), float(timed["end"])
        text = text.strip()[timed.end() :]
    text = " ".join(text.split())
    if not text:
        raise InputError(f"The caption line '{line}' has no sentence.")
    if not 0.0 <= start < end:
        raise InputError(
            f"The caption line '{line}' speaks of {start} s to {end} s: no such range."
        )
    return Caption(text, start, end)


def part_letters(k: int) -> str:
    """What is put behind a clip's id for its k-th part: a, b ... z, aa, ab ..."""
    return (part_letters(k // 26 - 1) if k >= 26 else "") + chr(ord("a") + k % 26)


def mirror_caption(text: str) -> str:
    """The caption of the reflected motion: left and right, clockwise and counter- swap."""
    kept: list[tuple[int, int]] = [m.span() for m in _NOT_A_SIDE.finditer(text)]

    def side(match: re.Match[str]) -> str:
        if any(a <= match.start("side") < b for a, b in kept):
            return match[0]
        swapped = "right" if match["side"].lower() == "left" else "left"
        return _cased(swapped, match["side"]) + match["end"]

    def turn(match: re.Match[str]) -> str:
        return _cased("clockwise" if match["counter"] else "counterclockwise", match[0])

    def hour(match: re.Match[str]) -> str:
        word = match["hour"].lower()
        value = int(word) if word.isdigit() else _HOURS.index(word) + 1
        value = 12 - value % 12 if 1 <= value <= 12 else value
        return (str(value) if word.isdigit() else _HOURS[value - 1]) + match["end"]

    return _HOUR.sub(hour, _TURN.sub(turn, _SIDE.sub(side, text)))


def is_mirrorable(text: str) -> bool:
    """Whether mirroring twice gives the caption back and no odd word hides a side ("theleft")."""
    odd = _KNOWN.sub("", _TURN.sub("", _SIDE.sub("", text.lower())))
    if re.search(r"left|right|clock", odd):
        return False
    return _plain(mirror_caption(mirror_caption(text))) == _plain(text)


def _plain(text: str) -> str:
    return _TURN.sub(lambda m: "counterclockwise" if m["counter"] else "clockwise", text).lower()


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
