# SPDX-License-Identifier: GPL-3.0-or-later
"""Wordings say the same as their caption: its side, its order, whole English sentences."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from training.checks.suite import read_suite
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
        assert not re.search(r"[*{}]|  | a (?!u-)[aeiou]| an [^aeiou]", text), text
        plain = re.sub(r"(counter|anti)[ -]?clockwise", "COUNTER", text)
        both = re.search(r"left and right|both sides|one side to", deed + text)
        if side and not both:
            other = {"left": "right", "right": "left"}[side]
            assert not re.search(rf"\b{other}\b", plain), text
            assert ("clockwise" in plain) <= (side == "right"), text
            assert ("COUNTER" in plain) <= (side == "left"), text


def test_forms_of_the_verb() -> None:
    texts = " | ".join(said("a person squats down and stands back up", 120))
    assert "does a squat" in texts and "doing a squat" in texts
    assert "squats down and stands back up" not in said("a person squats down and stands back up")
    assert re.search(r"he goes down into a squat and comes back up|goes down into a squat", texts)
    assert "squatting" in texts and "haves" not in texts


def test_the_order_stays() -> None:
    for text in said("a person walks forward, then sits down", 80):
        walk = re.search(
            r"walk|stroll|step|strid|ambl|wander|saunter|march|proceed|set(?:s|ting)? out"
            r"|on foot|pac(?:e|ing)|moves?\b|moving|goe?s|going|make|making|take",
            text,
        )
        sit = re.search(r"\b(sit|seat|chair|lower|settl|plop|perch|stool|sofa|bench)", text)
        assert walk and sit and walk.start() < sit.start(), text


def test_two_things_at_once() -> None:
    found = said("a person walks forward while waving with the right hand", 60)
    assert len(found) == 60
    assert all(re.search(r"wav|greet|mov|swing|wave", text) for text in found)
    assert not any("left hand" in text for text in found)


def test_what_is_not_in_the_table_has_none() -> None:
    assert said("a person plays the violin") == []
    assert not is_known("he walks forward") and not is_known("a person walks forward, then flies")
    assert deeds_of("a person walks forward, then sits down") == ("walks forward", "sits down")


def test_sentences_of_people_are_found_by_their_content(shared: Path, tmp_path: Path) -> None:
    told = told_of(
        ["this man is waving with his left hand.", "a person kicks his ball with the left foot",
         "someone sits down on a chair", "the man hops with both feet to the left"]
    )  # fmt: skip
    assert "this man is waving with his left hand" in told["waves with the left hand"]
    assert "this man is waving with his right hand" in told["waves with the right hand"]
    assert "kicks with the left leg" not in told and "hops on the left leg" not in told
    real = read_told(shared / "data" / "humanml3d" / "captions.json")
    assert sum(len(texts) for texts in real.values()) > 500
    assert all("left" not in t for t in real["waves with the right hand"])
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
