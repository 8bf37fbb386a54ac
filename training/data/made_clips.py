# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips of what free captures hardly show: curves and circles, turns on the spot, gestures.

They are made of captured walks, runs and people who stand, in ways that leave their bodies as they
were: `training.data.bending`, `turning` and `gestures`. As in `training.data.new_clips`, each
function yields candidates in a random order that the seed fixes. What a curve or a turn is called
is measured on the new motion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from t2m_blender.engine.skeleton import Skeleton
from training.data.bending import backward, bent
from training.data.cmu_clips import LONGEST, SHORTEST
from training.data.dataset import Clip
from training.data.drawn_gestures import (
    Draw,
    clap,
    point,
    punch,
    raise_arm,
    raise_both_arms,
    reach_forward,
    spread_arms,
    throw,
    wave,
    wave_both,
)
from training.data.facts import measure
from training.data.floor import Array
from training.data.gait import repeated_gait
from training.data.gestures import mirrored_gesture, performed
from training.data.legs import runs_of
from training.data.new_clips import Material, New, part_of
from training.data.sentences import describe, sentences
from training.data.stooping import drawn_pick_up, drawn_squat, stooped
from training.data.turning import turned_on_the_spot

_STRAIGHT = ("a person walks forward", "a person jogs forward", "a person runs forward")
# degrees, how often, and the least share of the way that the curve takes
_CURVES = ((0.0, 0.2, 1.0), (42.0, 0.12, 0.5), (90.0, 0.23, 0.3), (182.0, 0.12, 0.5),
           (358.0, 0.33, 0.9))  # fmt: skip
_TURNS = ((90.0, 0.4), (180.0, 0.3), (360.0, 0.3))
_QUIET = 0.4  # metres a second of the fastest joint of somebody who stands
_STANDS = 16  # frames that this lasts at least
_HANDS = 0.08  # metres over the hips under which hands hang
_LEAN = 15.0  # degrees of the trunk from the vertical
# gesture, how often, and whether it is also made while walking
_GESTURES: tuple[tuple[Draw, float, bool], ...] = (
    (wave, 0.3, True), (raise_arm, 0.12, True), (raise_both_arms, 0.1, True),
    (spread_arms, 0.06, True), (point, 0.08, True), (reach_forward, 0.04, False),
    (clap, 0.06, True), (punch, 0.2, False), (throw, 0.12, False), (wave_both, 0.05, True),
)  # fmt: skip
_WALKING = 0.25  # of the gestures that can be made so
_SQUATS = 0.3  # of the stoops


def curved_clips(
    material: Sequence[Material], random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """Straight walks and runs continued and bent; some are only continued."""
    gaits = _straight(material, skeleton)
    shares = np.array([curve[1] for curve in _CURVES])
    while gaits:
        m, start, end = _any_gait(gaits, random)
        degrees, _, least = _CURVES[random.choice(len(_CURVES), p=shares / shares.sum())]
        frames = int(random.integers(50, 165))
        gait = repeated_gait(m.joints[start:end], skeleton, frames=frames)
        if gait is None:
            continue
        turn = float(random.choice([-1, 1])) * (degrees + random.normal(0.0, degrees / 30.0))
        span = random.uniform(least, 1.0)
        begin = random.uniform(0.0, 1.0 - span)
        if degrees:
            curved = bent(gait, np.radians(turn), skeleton, start=begin, end=begin + span)
            if curved is None:
                continue
            gait = curved
        told = f" bent by {turn:.0f} degrees" if degrees else ""
        source = f"{part_of(m.clip, start, end)} continued to {frames} frames{told}"
        yield from _measured(m, gait, f"C{frames}_{turn:.0f}_{m.clip.id}", source, skeleton)


def backward_clips(
    material: Sequence[Material], random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """Straight walks played from their end, which is how people walk backward."""
    gaits = {"a person walks forward": _straight(material, skeleton)["a person walks forward"]}
    while gaits["a person walks forward"]:
        m, start, end = _any_gait(gaits, random)
        frames = int(random.integers(44, 130))
        gait = repeated_gait(m.joints[start:end], skeleton, frames=frames)
        if gait is None or measure(gait, skeleton).speed > 1.35:
            continue
        source = f"{part_of(m.clip, start, end)} continued to {frames} frames, backward"
        name = f"R{frames}_{m.clip.id}"
        yield from _measured(m, backward(gait), name, source, skeleton)


def turning_clips(
    material: Sequence[Material], random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """People who stand, turned on the spot."""
    bodies = standing(material)
    shares = np.array([share for _, share in _TURNS])
    while bodies:
        m, start, end = bodies[random.integers(len(bodies))]
        degrees = _TURNS[random.choice(len(_TURNS), p=shares / shares.sum())][0]
        turn = float(random.choice([-1, 1])) * (degrees + random.normal(0.0, 7.0))
        seconds = degrees / random.uniform(60.0, 115.0) + 0.3
        begin = int(random.integers(3, 18))
        stop = begin + round(seconds * skeleton.fps)
        frames = max(stop + int(random.integers(4, 22)), SHORTEST)
        steps = max(2, round(seconds / random.uniform(0.36, 0.5)))
        body = held(m.joints[start:end], frames)
        joints = turned_on_the_spot(
            body, np.radians(turn), skeleton, begin=begin, end=stop, steps=steps,
            lift=random.uniform(0.05, 0.11),
        )  # fmt: skip
        source = f"{part_of(m.clip, start, end)} turned on the spot by {turn:.0f} degrees"
        yield from _measured(m, joints, f"T{frames}_{turn:.0f}_{m.clip.id}", source, skeleton)


def gesture_clips(
    material: Sequence[Material], random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """Drawn gestures over people who stand, and some over people who walk."""
    bodies = standing(material)
    walks = _straight(material, skeleton)["a person walks forward"]
    shares = np.array([share for _, share, _ in _GESTURES])
    while bodies and walks:
        draw, _, may_walk = _GESTURES[random.choice(len(_GESTURES), p=shares / shares.sum())]
        gesture = draw(random, "left")
        if random.random() < 0.5:
            gesture = mirrored_gesture(gesture)
        wait = random.uniform(0.1, 0.7)
        frames = round((wait + gesture.seconds + random.uniform(0.0, 0.8)) * skeleton.fps)
        frames = min(max(frames, SHORTEST + 1), LONGEST)
        walking = may_walk and random.random() < _WALKING
        pool = walks if walking else bodies
        m, start, end = pool[random.integers(len(pool))]
        body = m.joints[start:end]
        longer = repeated_gait(body, skeleton, frames=frames) if walking else held(body, frames)
        if longer is None:
            continue
        joints = performed(longer, gesture, wait, skeleton)
        said = f"a person {gesture.does}"
        if walking:
            walk = sentences(measure(longer, skeleton))[:1]
            if not walk:
                continue
            said = f"{walk[0]} while {gesture.gerund}"
        kind = "_".join(gesture.does.split()).replace("something_", "")
        source = f"{part_of(m.clip, start, end)}, and {gesture.does}"
        name = f"G{frames}_{kind}_{m.clip.id}"
        yield New(_clip(m, name, source, len(joints), (said,), "drawn"), joints)


def stooping_clips(
    material: Sequence[Material], random: np.random.Generator, skeleton: Skeleton
) -> Iterator[New]:
    """People who stand, going down to pick something up, and some in a squat."""
    bodies = standing(material)
    while bodies:
        m, start, end = bodies[random.integers(len(bodies))]
        if random.random() < _SQUATS:
            stoop = drawn_squat(random)
            does = "squats down and stands back up"
        else:
            hands = (("left",), ("right",), ("left", "right"))[random.integers(3)]
            stoop = drawn_pick_up(random, hands)
            does = "bends down and picks something up"
            does += f" with the {hands[0]} hand" if len(hands) == 1 else ""
        frames = max(round((stoop.end + random.uniform(0.2, 0.9)) * skeleton.fps), SHORTEST + 1)
        joints = stooped(held(m.joints[start:end], frames), stoop, skeleton)
        kind = "_".join(["squats"] if not stoop.hands else ["picks_up", *stoop.hands])
        source = f"{part_of(m.clip, start, end)}, and {does}"
        name = f"D{frames}_{kind}_{m.clip.id}"
        yield New(_clip(m, name, source, len(joints), (f"a person {does}",), "drawn"), joints)


def held(joints: Array, frames: int) -> Array:
    """Somebody who stands [T, J, 3], for so many frames: forth and back in time."""
    last = len(joints) - 1
    at = (np.arange(frames) + last) % (2 * last)
    return joints[np.abs(at - last)]


def _straight(
    material: Sequence[Material], skeleton: Skeleton
) -> dict[str, list[tuple[Material, int, int]]]:
    """Clips that are a straight walk, jog or run from beginning to end, by what they are."""
    found: dict[str, list[tuple[Material, int, int]]] = {name: [] for name in _STRAIGHT}
    for m in material:
        said = describe(m.joints, skeleton)[:1]
        for name in _STRAIGHT:
            if said and re.fullmatch(rf"{name}( slowly| quickly)?", said[0]):
                found[name].append((m, 0, len(m.joints)))
    return found


def _any_gait(
    gaits: dict[str, list[tuple[Material, int, int]]], random: np.random.Generator
) -> tuple[Material, int, int]:
    """One of them; half of them walks."""
    names = [name for name in gaits if gaits[name]]
    weights = np.array([2.0 if "walks" in name else 1.0 for name in names])
    pool = gaits[names[random.choice(len(names), p=weights / weights.sum())]]
    return pool[random.integers(len(pool))]


def standing(material: Sequence[Material]) -> list[tuple[Material, int, int]]:
    """Stretches in which somebody stands upright with hanging arms; the longest of each clip."""
    found = []
    for m in material:
        speed = np.linalg.norm(np.diff(m.joints, axis=0), axis=-1).max(axis=1) * 20.0
        root = m.joints[:-1, 0, 1]
        hands = m.joints[:-1, 20:22, 1].max(axis=1)
        ankles = np.linalg.norm(m.joints[:-1, 7] - m.joints[:-1, 8], axis=-1)
        trunk = m.joints[:-1, 12] - m.joints[:-1, 0]
        lean = np.degrees(np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=-1)))
        quiet = (speed < _QUIET) & (root > 0.85) & (hands < root + _HANDS) & (ankles < 0.35)
        quiet &= lean < _LEAN
        stretches = [(b - a, a, b) for a, b in runs_of(quiet) if b - a >= _STANDS]
        if stretches:
            _, a, b = max(stretches)
            found.append((m, a, b))
    return found


def _measured(
    m: Material, joints: Array, name: str, source: str, skeleton: Skeleton
) -> Iterator[New]:
    """The new clip if its motion leaves no doubt what it is."""
    said = tuple(describe(joints, skeleton))
    if said:
        yield New(_clip(m, name, source, len(joints), said, "facts"), joints)


def _clip(
    m: Material, name: str, source: str, frames: int, said: tuple[str, ...], origin: str
) -> Clip:
    """The row of a clip made of one other."""
    return replace(
        m.clip,
        id=name,
        captions=said,
        caption_origins=(origin,) * len(said),
        source=source,
        start_frame=0,
        end_frame=frames,
    )
