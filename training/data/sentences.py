# SPDX-License-Identifier: GPL-3.0-or-later
"""Captions from measured facts: sentences where the numbers leave no doubt, else none."""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.skeleton import Skeleton
from training.data.facts import Facts, measure
from training.data.floor import Array

_STANDING = 0.85  # of the height of the root with straight legs
_SQUATTING = 0.58
_NUMBERS = {
    1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight",
    9: "nine", 10: "ten", 11: "eleven", 12: "twelve",
}  # fmt: skip


def describe(joints: Array, skeleton: Skeleton) -> list[str]:
    """Sentences that are true of a whole clip [T, J, 3], or none."""
    return sentences(measure(joints, skeleton))


def sentences(facts: Facts) -> list[str]:
    """Sentences that the facts of a whole clip leave no doubt about, or none."""
    if facts.upright < 0.7 and facts.lowest > 0.7:
        return []
    for rule in (_stand, _raise, _jump, _turn_in_place, _squat, _sit, _travel):
        said = rule(facts)
        if said:
            return said
    return []


def travel_sentences(facts: Facts) -> list[str]:
    """Sentences about going somewhere or turning during the whole of a clip, or none."""
    if facts.upright < 0.7:
        return []
    return [text for text in _turn_in_place(facts) or _travel(facts) if " then " not in text]


def counted_sentences(facts: Facts) -> list[str]:
    """Sentences with numbers: metres, steps, degrees, heights; none where they would not be sure.

    They say what `sentences` says, and how much of it.
    """
    said = sentences(facts)
    if not said:
        return []
    first = said[0]
    found = []
    if _travel(facts) and facts.displacement > 0.9 * facts.distance and facts.turn_size < 18:
        metres = round(facts.displacement * 2) / 2
        if metres >= 1.5 and abs(facts.displacement - metres) < 0.15 * metres:
            number = "half" if metres % 1 else ""
            whole = _NUMBERS.get(int(metres))
            if whole:
                found.append(f"{first} about {whole}{' and a ' + number if number else ''} meters")
        steps = _NUMBERS.get(facts.steps)
        if steps and facts.steps >= 2 and 0.35 < facts.distance / facts.steps < 1.3:
            found.append(f"{first}, taking {steps} steps")
    elif _turn_in_place(facts):
        side = "left" if facts.turn > 0 else "right"
        found.append(
            f"a person turns about {round(facts.turn_size / 45) * 45} degrees to the {side}"
        )
    elif _jump(facts) and facts.jump_height > 0.1:
        found.append(f"{first}, about {round(facts.jump_height * 20) * 5} centimeters high")
    elif _squat(facts) and facts.squats > 1 and facts.squats in _NUMBERS:
        found.append(f"a person squats {_NUMBERS[facts.squats]} times")
    return found


def _stand(f: Facts) -> list[str]:
    low_hands = max(f.left_hand_high, f.right_hand_high) < 0.05
    if f.stillness < 0.25 and f.displacement < 0.1 and f.lowest > 0.92 and low_hands:
        return ["a person stands still", "someone stands in place without moving", "standing still"]
    return []


def _raise(f: Facts) -> list[str]:
    if f.displacement > 0.4 or f.distance > 1.0 or f.lowest < _STANDING or f.upright < 0.85:
        return []
    up = {"left": f.left_hand_up, "right": f.right_hand_up}
    if min(up.values()) > 0.3:
        return ["a person raises both hands above the head", "someone holds both arms up"]
    for side, other in (("left", "right"), ("right", "left")):
        if up[side] > 0.3 and up[other] < 0.02:
            return [
                f"a person raises the {side} hand above the head",
                f"someone stands with the {side} arm up",
            ]
    return []


def _jump(f: Facts) -> list[str]:
    if not f.jumps or f.lowest < 0.4 or f.distance > 3.5 or f.upright < 0.4:
        return []
    forward = float(np.mean([jump[2] for jump in f.jumps]))
    left = float(np.mean([jump[3] for jump in f.jumps]))
    spread = max(abs(j[2] - forward) + abs(j[3] - left) for j in f.jumps)
    if spread > 0.4 or f.distance - abs(forward) * len(f.jumps) > 1.2:
        return []
    where = ""
    if abs(forward) > 0.35 and abs(forward) > 2 * abs(left):
        where = " forward" if forward > 0 else " backward"
    elif abs(left) > 0.35 and abs(left) > 2 * abs(forward):
        where = " to the left" if left > 0 else " to the right"
    elif abs(forward) + abs(left) > 0.35:
        return []
    number = len(f.jumps)
    if number == 1:
        if where:
            return [f"a person jumps{where}", f"someone makes one jump{where}", f"a jump{where}"]
        return ["a person jumps up in place", "someone jumps straight up once", "a person jumps"]
    often = {2: "twice", 3: "three times", 4: "four times"}.get(number, "several times")
    return [f"a person jumps{where or ' up and down'} {often}", f"someone jumps{where} {often}"]


def _turn_in_place(f: Facts) -> list[str]:
    if f.displacement > 0.6 or f.distance > 1.6 or f.lowest < 0.75 or f.upright < 0.85:
        return []
    side, clock = ("left", "counterclockwise") if f.turn > 0 else ("right", "clockwise")
    size = abs(f.turn)
    if 60 < size < 120:
        return [f"a person turns to the {side}", f"someone makes a quarter turn to the {side}"]
    if 150 < size < 215:
        return [f"a person turns around to the {side}", f"someone turns around {clock} on the spot"]
    if 320 < size < 420:
        return [
            f"a person turns {clock} in a full circle on the spot",
            f"someone turns all the way around to the {side}",
        ]
    return []


def _squat(f: Facts) -> list[str]:
    low = (
        not f.jumps
        and f.lowest < _SQUATTING
        and f.displacement < 0.4
        and f.distance < 1.5
        and f.upright > 0.5
    )
    if low and f.first_height > _STANDING and f.last_height > _STANDING and f.seconds < 6:
        return ["a person squats down and stands back up", "someone crouches down, then stands up"]
    return []


def _sit(f: Facts) -> list[str]:
    if f.sitting < 0.1 or f.jumps or f.distance > 2.5 or f.upright < 0.5 or f.squats:
        return []
    if f.first_height > _STANDING and f.sits_last:
        return ["a person sits down", "someone sits down from standing"]
    if f.sits_first and f.last_height > _STANDING:
        return ["a person stands up from a seat", "someone gets up from sitting"]
    if f.sitting > 0.95:
        return ["a person remains seated", "someone stays sitting"]
    return []


def _travel(f: Facts) -> list[str]:
    if f.moving < 0.8 or f.lowest < 0.75 or f.upright < 0.85 or f.heading_spread < 0.9:
        return []
    if f.distance < 1.2 or f.jumps:
        return []
    direction = _direction(f.heading)
    if direction is None:
        return []
    gait = _gait(f.speed)
    if gait is None:
        return []
    verb, noun = gait
    if direction != "forward":
        if verb != "walks" or abs(f.turn) > 45:
            return []
        if direction == "backward":
            return ["a person walks backward", "someone steps backwards", "walking backwards"]
        return [
            f"a person sidesteps to the {direction}",
            f"someone walks sideways to the {direction}",
        ]
    size = abs(f.turn)
    if abs(f.turn - f.path_turn) > 40:
        return []
    side, clock = ("left", "counterclockwise") if f.turn > 0 else ("right", "clockwise")
    pace = _pace(f.speed)
    if size < 18 and f.displacement > 0.93 * f.distance:
        return [
            f"a person {verb} forward{pace}",
            f"someone {verb} straight ahead{pace}",
            f"a person {verb}{pace} in a straight line",
        ]
    if 25 < size < 60:
        return [
            f"a person {verb} forward, veering to the {side}",
            f"someone {verb} forward in a curve to the {side}",
        ]
    if 70 < size < 115:
        return [
            f"a person {verb} forward and turns {side}",
            f"someone {verb} and makes a {side} turn",
            f"a person {verb} forward, then turns 90 degrees to the {side}",
        ]
    if 155 < size < 215:
        return [
            f"a person {verb} and turns around to the {side}",
            f"someone {verb} in a half circle {clock}",
        ]
    if 290 < size < 430 and f.displacement < 0.35 * f.distance:
        return [
            f"a person {verb} in a circle {clock}",
            f"someone {verb} {clock} in a circle",
            f"a person {noun} in a circle to the {side}",
        ]
    return []


def _direction(heading: float) -> str | None:
    if abs(heading) < 25:
        return "forward"
    if abs(heading) > 155:
        return "backward"
    if 65 < abs(heading) < 115:
        return "left" if heading > 0 else "right"
    return None


def _gait(speed: float) -> tuple[str, str] | None:
    if speed > 2.9:
        return "runs", "running"
    if speed > 2.1:
        return "jogs", "jogging"
    return ("walks", "walking") if speed < 1.85 else None


def _pace(speed: float) -> str:
    if speed < 0.75:
        return " slowly"
    return " quickly" if 1.6 < speed < 1.85 or speed > 4.5 else ""
