# SPDX-License-Identifier: GPL-3.0-or-later
"""Captions taken apart and joined: subject and predicate, "A, then B", "A while doing B".

There is no grammar here, only short tables: a caption that they do not cover is not used, so that
no joined caption is false or broken English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# base form of verbs that captions use; the other forms follow from the rules of spelling
_VERBS = (
    "act balance bend bounce bow box bring carry catch circle clap clean climb conduct crawl cross"
    " crouch dance dip direct do drag drink drop duck extend flail flap flex fold gesture get go"
    " grab hold hop hug imitate jog jump kick kneel knock laugh lay lean leap lie lift limp look"
    " lower lunge make march mime mop motion move open pace pat perform pick pivot place play point"
    " pose practise practice prance pretend pull punch push put raise reach rest roll rotate row"
    " run salute sashay scratch shake shrug shuffle sidestep signal sit skip slide sneak spin"
    " sprint squat stagger stand step stomp stop stretch stride stroll strut stumble swat sway"
    " sweep swim swing take tap throw tiptoe toss touch trip trot turn twirl twist walk wash wave"
    " wipe"
)
_DOUBLED = (
    "beg begin bid bob bop chop chug clap control cut dip dogtrot drag drop flag flap flip flop"
    " get grab grip hit hop hug jab jam jig jog leg let lob mop nab pad pat peg plod plop pop"
    " propel put ram rub run scrub set shin shrug sidestep sip sit skip slam slap slug snap spar"
    " spin split squat step stop strut swab swat swig swim tap tip trek trip trot wag whip"
)
_UNVOICED = ("s", "sh", "ch", "x", "z")  # endings that take -es


def third_person_of(verb: str) -> str:
    """The third person of a base form: walk -> walks."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    if verb == "have":
        return "has"
    return verb + ("es" if verb.endswith(_UNVOICED) or verb in ("do", "go") else "s")


def gerund_of(verb: str) -> str:
    """The gerund of a base form: sit -> sitting."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe")):
        return verb[:-1] + "ing"
    return verb + (verb[-1] if verb in _DOUBLED.split() else "") + "ing"


_THIRD = {third_person_of(verb): verb for verb in _VERBS.split()}
_GERUND = {gerund_of(verb): verb for verb in _VERBS.split()}


def base_form(word: str) -> str:
    """The base form of a verb in the third person or a gerund; any other word as it is."""
    return _THIRD.get(word) or _GERUND.get(word) or word


_WHO = (
    r"(?:(?:an?|the|this|that) (?:(?:standing|stick|young|male|female) )?"
    r"(?:person|man|woman|figure|human|individual|guy|character|sim|dancer|stickman)"
    r"|someone|somebody|person|man|woman|he|she|they|figure)"
)
_SENTENCE = re.compile(
    rf"(?P<who>{_WHO}) (?P<adverb>(?:very )?[a-z]+ly )?(?P<is>is )?(?P<adverb2>[a-z]+ly )?"
    r"(?P<verb>[a-z]+)(?P<rest>(?:[ ,].*)?)"
)
# Where something else is told than what happens next, or what only holds for the clip alone.
_ALONE = re.compile(
    r"[.;:\"()\[\]!?]|\b(?:start\w*|begin\w*|began|beginning|origin\w*|initial\w*|same|again|repeat\w*"
    r"|first|final\w*|lastly|finish\w*|end|ends|ending|entire|whole|throughout|video|viewer|camera"
    r"|screen|plane|pose|back to|return\w*|seconds?|was|were|had|did|before|after|continu\w*|times?"
    r"|twice|once|until|when|two|three|four|five|six|seven|eight|nine|ten)\b|\d"
)
_LONGEST = 14  # words of a part


@dataclass(frozen=True)
class Phrase:
    """A caption whose subject may be dropped.

    Attributes:
        who: the subject ("a person").
        adverb: before the verb, or empty.
        verb: its base form.
        rest: what follows the verb, from its space or comma on.
    """

    who: str
    adverb: str
    verb: str
    rest: str

    @property
    def predicate(self) -> str:
        """The verb in the third person and what belongs to it."""
        return f"{self.adverb}{third_person_of(self.verb)}{self.rest}"

    @property
    def gerund(self) -> str:
        """The same as what one is doing ("waving the right hand")."""
        return f"{self.adverb}{gerund_of(self.verb)}{self.rest}"


def read_phrase(caption: str) -> Phrase | None:
    """Subject and predicate of a plain sentence in the present, else None."""
    text = " ".join(caption.lower().strip().rstrip(".").split())
    match = _SENTENCE.fullmatch(text)
    if match is None:
        return None
    verb = (_GERUND if match["is"] else _THIRD).get(match["verb"])
    if verb is None:
        return None
    if match["is"] and (verb == "go" or re.search(r"\b(?:and|then|or),? \w+ing\b", match["rest"])):
        return None  # "is going to ...", "is holding ... and looking ..."
    adverb = (match["adverb"] or "") + (match["adverb2"] or "")
    return Phrase(match["who"], adverb, verb, match["rest"])


def joined_caption(first: str, second: str) -> str | None:
    """ "A, then B" with one subject; None where that would not be true or no English."""
    a, b = read_phrase(first), read_phrase(second)
    if a is None or b is None:
        return None
    for phrase in (a, b):
        if _ALONE.search(phrase.predicate) or len(phrase.predicate.split()) > _LONGEST:
            return None
    gender = [{w for w in ("his", "her") if f" {w} " in p.rest + " "} for p in (a, b)]
    gender[0] |= {"his"} if a.who.endswith(" man") else {"her"} if "woman" in a.who else set()
    if len(gender[0] | gender[1]) > 1 or "then" in b.predicate.split():
        return None
    if b.verb in ("stand", "sit") and " and " in b.rest:
        return None  # how the second one began, which the seam leaves out
    if a.verb == b.verb and not _turns(a.rest) ^ _turns(b.rest):
        return None
    who = a.who if a.who not in ("person", "man", "woman", "figure") else "a " + a.who
    return f"{who} {a.predicate.rstrip(',')}, then {b.predicate}"


def simultaneous_caption(first: str, gerund: str) -> str:
    """ "A while doing B"; the caller knows that it is true."""
    return f"{first} while {gerund}"


def _turns(text: str) -> frozenset[str]:
    """Words that tell which way."""
    found = re.findall(
        r"\b(left|right|forward|backward|sideways|circle|clockwise|counterclockwise|up|down|quickly"
        r"|slowly|straight|around)s?\b",
        text,
    )
    return frozenset(found)


# What arms do, and the only words that may stand beside it in a caption about arms alone.
_ARM_VERBS = frozenset(
    "wave clap raise lift hold swing drink punch point salute gesture flap wipe scratch circle box"
    " conduct direct throw shake reach extend stretch rotate flail".split()
)
_NEEDS_ARMS = frozenset(  # these verbs speak of arms only where an arm is named
    "raise lift hold swing wipe circle shake reach extend stretch rotate throw direct".split()
)
_ARM_WORDS = frozenset(
    "a an the his her their its both one left right arm arms hand hands fist fists elbow elbows to"
    " at in of with and from out up down above over overhead head side sides front chest shoulder"
    " shoulders level high air them it around circles circle motion motions bottle water punches"
    " punch face traffic window hello goodbye sideways repeatedly each other toward"
    " towards back forth clap waving like chicken greeting basketball referee once".split()
)
_ARM = re.compile(r"\b(?:arms?|hands?|fists?|elbows?|punch(?:es)?)\b")
_LEG_VERBS = frozenset("walk run jog stride step turn pivot march sprint sidestep stroll".split())
_MORE_THAN_LEGS = re.compile(
    r"\b(?:danc|salsa|ballet|swing|wav|arm|hand|hold|carr|drib|ball|box|punch|kick|jump|hop|skip|sit"
    r"|squat|crouch|bend|duck|climb|ladder|stair|limp|drunk|stagger|stumbl|wobbl|sneak|tiptoe|sad|angr"
    r"|zombie|uneven|terrain|reach|look|throw|pick|lean|march|sway|cross|balanc|sword|fight|imitat)"
)
_SIDE = re.compile(r"\b(?P<side>left|right) (?:arm|hand|fist|elbow)\b")
_RAISED = re.compile(r"\b(?:above|overhead|over the head|up in the air)\b")


@dataclass(frozen=True)
class ArmPhrase:
    """What arms do, said as "waving the right hand".

    Attributes:
        gerund: the words.
        verb: base form of the first verb.
        sides: "left", "right" or both that take part, where the words say so; else empty.
        raised: a hand is above the head.
    """

    gerund: str
    verb: str
    sides: tuple[str, ...]
    raised: bool


def is_about_legs(captions: Sequence[str]) -> bool:
    """Whether captions speak of walking, running or turning and of nothing else."""
    if not captions or any(_MORE_THAN_LEGS.search(text.lower()) for text in captions):
        return False
    phrases = [read_phrase(text) for text in captions]
    return any(p is not None and p.verb in _LEG_VERBS for p in phrases)


def read_arm_phrase(caption: str) -> ArmPhrase | None:
    """What the arms do, of a caption that speaks of nothing else; else None."""
    text = re.sub(r"^(\w+(?: \w+)?) stands and ", r"\1 ", caption.lower().strip())
    phrase = read_phrase(text)
    if phrase is None or phrase.adverb or phrase.verb not in _ARM_VERBS:
        return None
    words = re.findall(r"[a-z]+", phrase.rest)
    said = []
    for word in words:
        if word in _THIRD and word not in _ARM_WORDS:  # "... and circles them"
            if _THIRD[word] not in _ARM_VERBS:
                return None
            said.append(word)
        elif word not in _ARM_WORDS:
            return None
    if phrase.verb in _NEEDS_ARMS and not _ARM.search(phrase.rest):
        return None
    gerund = re.sub(r"\b(?:his|her|its)\b", "their", phrase.gerund)
    for word in said:
        gerund = re.sub(rf"\band {word}\b", f"and {gerund_of(_THIRD[word])}", gerund)
    gerund = re.sub(r"\band circles them\b", "and circling them", gerund)
    gerund = gerund.replace("wiping a window", "making wiping motions")  # no window walks along
    sides = tuple(sorted(set(_SIDE.findall(phrase.rest))))
    if re.search(r"\bboth\b|\barms\b|\bhands\b", phrase.rest) and not sides:
        sides = ("left", "right")
    return ArmPhrase(gerund, phrase.verb, sides, bool(_RAISED.search(phrase.rest)))
