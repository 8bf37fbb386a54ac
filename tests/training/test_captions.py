# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from t2m_blender.engine.errors import InputError
from training.data.captions import is_mirrorable, mirror_caption, read_caption

# (sentence, its mirror image): sides swap; verbs, emphasis and other words do not.
PAIRS = [
    ("a person raises the left hand", "a person raises the right hand"),
    (
        "his left hand on the right side of the leftover box",
        "his right hand on the left side of the leftover box",
    ),
    ("puts the left over box to the left", "puts the left over box to the right"),
    ("crosses the left over the right", "crosses the right over the left"),
    ("steps to the left over the box", "steps to the right over the box"),
    ("the man is left standing on his left leg", "the man is left standing on his right leg"),
    ("picks up what is left with the right hand", "picks up what is left with the left hand"),
    ("there is nothing left, so he turns left", "there is nothing left, so he turns right"),
    ("he left the room on the right", "he left the room on the left"),
    ("she has left the box on her left", "she has left the box on her right"),
    ("jumps right away to the right", "jumps right away to the left"),
    ("walks to the right away from the wall", "walks to the left away from the wall"),
    ("stands upright and leans right", "stands upright and leans left"),
    ("turns right around and looks left", "turns right around and looks right"),
    ("turns right and walks around", "turns left and walks around"),
    ("bends the left arm at a right angle", "bends the right arm at a right angle"),
    ("sits down and stands right back up", "sits down and stands right back up"),
    ("walks in a clockwise circle", "walks in a counterclockwise circle"),
    ("walks counterclockwise", "walks clockwise"),
    ("turns counter-clockwise, then left", "turns clockwise, then right"),
    ("spins anti-clockwise", "spins clockwise"),
    ("turns anti clockwise to the right", "turns clockwise to the left"),
    ("a left-handed person throws a right", "a right-handed person throws a left"),
    ("moves from left to right", "moves from right to left"),
    ("sways right before left", "sways left before right"),
    ("steps leftward, then rightwards", "steps rightward, then leftwards"),
    ("two lefts and a right", "two rights and a left"),
    ("Left foot, RIGHT foot", "Right foot, LEFT foot"),
    ("points to 3 o'clock", "points to 9 o'clock"),
    ("stands right in front of the right door", "stands right in front of the left door"),
    ("movement is left to right", "movement is right to left"),
    ("has left arm straight out", "has right arm straight out"),
    ("a frightened man shows a bright light", "a frightened man shows a bright light"),
    ("walks forward", "walks forward"),
]


@pytest.mark.parametrize(("text", "mirrored"), PAIRS)
def test_mirror_table(text: str, mirrored: str) -> None:
    assert mirror_caption(text) == mirrored


@pytest.mark.parametrize(("text", "mirrored"), PAIRS)
def test_mirroring_twice_gives_the_caption_back(text: str, mirrored: str) -> None:
    assert is_mirrorable(text)
    assert mirror_caption(mirror_caption(mirrored)) == mirrored


@pytest.mark.parametrize("text", ["moves to theleft", "turns left away"])
def test_what_cannot_be_mirrored_is_known(text: str) -> None:
    assert not is_mirrorable(text)


@pytest.mark.parametrize(
    ("line", "text", "start", "end"),
    [
        ("[from 0s - 3s] a man  kicks ", "a man kicks", 0.0, 3.0),
        ("[from:0s-to:4s] a man kicks", "a man kicks", 0.0, 4.0),
        ("[from:to(0:3s)] a man kicks", "a man kicks", 0.0, 3.0),
        ("[from 4s- to 9s] a man kicks", "a man kicks", 4.0, 9.0),
        ("[from 0s to 5s] a man kicks", "a man kicks", 0.0, 5.0),
        ("a man kicks#a/DET man/NOUN#1.5#4.0", "a man kicks", 1.5, 4.0),
        ("a man kicks#a/DET man/NOUN#0.0#0.0", "a man kicks", 0.0, math.inf),
        ("\ta man\nkicks.", "a man kicks.", 0.0, math.inf),
    ],
)
def test_read_caption(line: str, text: str, start: float, end: float) -> None:
    caption = read_caption(line)
    assert (caption.text, caption.start, caption.end) == (text, start, end)


@pytest.mark.parametrize("line", ["", "   ", "[from 0s - 3s]", "[from 3s - 1s] a man", "a#b#c#d"])
def test_bad_captions_are_named(line: str) -> None:
    with pytest.raises(InputError, match="caption line"):
        read_caption(line)


def test_nearly_all_published_captions_can_be_mirrored(shared: Path) -> None:
    rows = json.loads((shared / "data/humanml3d/captions.json").read_text())
    captions = [read_caption(line).text for row in rows.values() for line in row["captions"]]
    kept = [text for text in captions if is_mirrorable(text)]
    assert len(captions) > 36_000
    assert len(kept) > 0.998 * len(captions)
    sided = [text for text in kept if " left " in text and " right " not in text]
    same = [text for text in sided if mirror_caption(text) == text]
    assert len(same) < 0.01 * len(sided), same[:20]
