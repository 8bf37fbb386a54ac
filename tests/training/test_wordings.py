# SPDX-License-Identifier: GPL-3.0-or-later
"""Wordings say the same as their caption: its side, its order, whole English sentences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.model import MODELS
from t2m_blender.engine.text import TextEncoder
from training.checks.suite import read_suite
from training.data.phrases import gerund_of, third_person_of
from training.data.told import content_of, read_told, told_of
from training.data.wordings import all_ways, deeds_of, is_known, wordings

DEEDS = sorted({deed for deed, _ in all_ways()})


def said(caption: str, number: int = 40, seed: int = 0) -> list[str]:
    return wordings(caption, number, np.random.default_rng(seed))


@pytest.mark.parametrize("deed", DEEDS)
def test_every_way_is_a_sentence_of_the_same_side(deed: str) -> None:
    found = said(f"a person {deed}")
    assert len(found) >= 8
    clocks = {"left": "counterclockwise", "right": "clockwise"}
    side = next((s for s, c in clocks.items() if re.search(rf"\b({s}|{c})\b", deed)), None)
    for text in found:
        assert not re.search(r"[*{}]|  | a (?!u-|one-)[aeiou]| an (?!l[ -]shape)[^aeiou]", text), (
            text
        )
        plain = re.sub(r"(counter|anti)[ -]?clockwise", "COUNTER", text)
        both = re.search(r"left and right|both sides|one side to", deed + text)
        if side and not both:
            other = {"left": "right", "right": "left"}[side]
            assert not re.search(rf"\b{other}\b", plain), text
            assert ("clockwise" in plain) <= (side == "right"), text
            assert ("COUNTER" in plain) <= (side == "left"), text


def test_forms_of_the_verb() -> None:
    texts = " | ".join(said("a person squats down and stands back up", 2000))
    assert "does a squat" in texts and "doing a squat" in texts
    assert "squats down and stands back up" not in said("a person squats down and stands back up")
    assert re.search(r"he goes down into a squat and comes back up|goes down into a squat", texts)
    assert "squatting" in texts and "haves" not in texts


def ways_of(deed: str) -> re.Pattern[str]:
    """Everything that the table says of it, in any form and of anybody."""

    def forms(match: re.Match[str]) -> str:
        verb = match[1]
        return f"(?:{verb}|{third_person_of(verb)}|{gerund_of(verb)}|are)"

    ways = (re.sub(r"\{\w+\}", "[a-z]+", way) for known, way in all_ways() if known == deed)
    return re.compile(r"\b(?:" + "|".join(re.sub(r"\*(\w+)", forms, way) for way in ways) + ")")


def stand_in_order(first: re.Pattern[str], second: re.Pattern[str], text: str) -> bool:
    """Also where it is told the other way round: "claps after jumping"."""

    def follow(one: re.Pattern[str], other: re.Pattern[str]) -> bool:
        found = one.search(text)
        return bool(found and other.search(text, found.end()))

    turned = text.startswith("before ") or re.search(r".\bafter (?!that)", text)
    return follow(first, second) or bool(turned and follow(second, first))


def test_the_order_stays() -> None:
    jump, clap = ways_of("jumps forward"), ways_of("claps")
    for text in said("a person jumps forward, then claps", 80):
        assert stand_in_order(jump, clap, text), text


def test_two_steps_are_also_said_in_one_sentence() -> None:
    texts = " | ".join(said("a person jumps forward, then claps", 400))
    for words in (r"after \w+ing", r"before \w+ing", "followed by", "goes from", "transitions from",
                  "afterwards", "first", r"starts by \w+ing"):  # fmt: skip
        assert re.search(words, texts), words
    assert not re.search(r"[{}*]", texts)


def test_two_things_at_once() -> None:
    found = said("a person walks forward while waving with the right hand", 60)
    walk, wave = ways_of("walks forward"), ways_of("waves with the right hand")
    assert len(found) == 60
    for text in found:
        assert stand_in_order(walk, wave, text) or stand_in_order(wave, walk, text), text


def test_two_actions_are_also_said_in_one_clause() -> None:
    found = said("a person walks forward, then sits down", 80)
    whole = ways_of("walks forward, then sits down")
    walk, sit = ways_of("walks forward"), ways_of("sits down")
    kinds = {(bool(whole.search(t)), stand_in_order(walk, sit, t)) for t in found}
    assert {(True, False), (False, True)} <= kinds <= {(True, False), (False, True), (True, True)}


def test_what_is_not_in_the_table_has_none() -> None:
    assert said("a person plays the violin") == []
    assert not is_known("he walks forward") and not is_known("a person walks forward, then flies")
    assert deeds_of("a person walks forward, then sits down") == ("walks forward", "sits down")


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load(MODELS / "minilm.safetensors")


def test_sentences_of_people_are_found_by_their_content(encoder: TextEncoder) -> None:
    told = told_of(
        ["this man is waving with his left hand.", "someone sits down on a chair",
         "the man hops with both feet to the left"], encoder
    )  # fmt: skip
    assert "this man is waving with his left hand" in told["waves with the left hand"]
    assert "this man is waving with his right hand" in told["waves with the right hand"]
    assert "hops on the left leg" not in told


def test_sentences_of_people_are_found_by_their_meaning(encoder: TextEncoder) -> None:
    told = told_of(
        ["a person is tossing an object with the left arm", "a person walks forward and tosses it",
         "the man pitches a ball", "a person plays the violin", "a person jogs backwards 3 times",
         "a left jab"], encoder
    )  # fmt: skip
    left, right = (told[f"throws something with the {side} hand"] for side in ("left", "right"))
    assert "a person is tossing an object with the left arm" in left
    assert "a person is tossing an object with the right arm" in right  # mirrored
    assert "the man pitches a ball" in left and "the man pitches a ball" in right
    known = {text for texts in told.values() for text in texts}
    assert not [text for text in known if "violin" in text or " and " in text or "3" in text]
    assert "a left jab" not in known  # a paraphrase of the checks


def test_sentences_of_people_are_those_of_the_train_split(shared: Path, tmp_path: Path) -> None:
    rows = json.loads((shared / "data" / "humanml3d" / "captions.json").read_text())
    some = {key: rows[key] for key in list(rows)[:1500]}
    file = tmp_path / "captions.json"
    file.write_text(json.dumps(some))
    real = read_told(file)
    assert sum(len(texts) for texts in real.values()) > 300
    assert all("left" not in text for text in real["waves with the right hand"])
    paraphrases = {content_of(text) for check in read_suite() for text in check.paraphrases}
    assert not [t for texts in real.values() for t in texts if content_of(t) in paraphrases]
    file.write_text(json.dumps({key: row | {"split": "test"} for key, row in some.items()}))
    assert read_told(file) == {}
    bad = tmp_path / "captions.json"
    bad.write_text("[1, 2]")
    with pytest.raises(InputError, match="no captions"):
        read_told(bad)


def test_paraphrases_of_the_checks_are_not_in_the_table() -> None:
    """Neither in another form nor with another subject: they test what nobody trained on."""
    known = {content_of(way): way for _, way in all_ways()}
    said = [text for check in read_suite() for text in check.paraphrases]
    assert len(said) > 90
    assert not {text: known[content_of(text)] for text in said if content_of(text) in known}


def test_make_takes_the_object() -> None:
    random = np.random.default_rng(0)
    made = [
        text
        for _ in range(40)
        for text in wordings("a person jumps forward", 20, random)
        if text.startswith("make ")
    ]
    assert made and not any(text.startswith(("make he ", "make she ")) for text in made)
