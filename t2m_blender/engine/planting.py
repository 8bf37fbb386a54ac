# SPDX-License-Identifier: GPL-3.0-or-later
"""Legs whose planted feet stand still, with as little change to everything else as that allows.

One least-squares problem over the whole clip decides where the pelvis, the ankles and the balls of
the feet go: held joints do not move, nothing sinks into the floor, legs keep their length (the
closer to straight, the more: there a millimetre is a degree of the knee), knees bend no faster than
they did, and all corrections come and go smoothly. Two-bone inverse kinematics then sets the knees.
Nothing here knows a skeleton or a rig: callers bring y-up metres at the size of an adult.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .banded import Array, solve_over_time
from .rotations import normalise, quaternion_between, quaternion_rotate

_ROUNDS = 5
_HOLD = 2e4  # weights; that of a leg's shape is 1
_FLOOR = 2000.0
_GROUND = 30.0
_LENGTH = 1e3
_PELVIS = np.array([0.02, 0.1, 0.02])
_FEET = 0.01
_EASE_SECONDS = 0.1
_PELVIS_EASE_SECONDS = 0.2
_KNEE_METRES = 0.25  # a radian of the knee counts as much as so many metres of a foot
_KNEE_MOST = np.radians(4.8)  # a frame, and at 20 frames a second
_KNEE_STEP = np.radians(2.5)  # a frame at 20 frames a second, from which on it counts more
_STRAIGHT = 0.05  # least sine of the knee's angle in its derivative
_REACH = 0.998  # of a leg's length
_LOW = 0.08  # metres over the floor under which a planted foot is meant to stand on it
_FLAT = 0.015  # that high a ball may stand
_SURE_BEND = 0.03  # metres off the line from hip to ankle that tell where a knee points

PELVIS, LEFT_ANKLE, LEFT_BALL, RIGHT_ANKLE, RIGHT_BALL = range(5)
_POINTS = 5
_ANKLES, _BALLS = (LEFT_ANKLE, RIGHT_ANKLE), (LEFT_BALL, RIGHT_BALL)


@dataclass(frozen=True)
class Floor:
    """What feet must not sink into.

    Attributes:
        sole: Height of the balls of the feet when the figure stands.
        heel: Height of the ankles over that.
        slope: Sine of the angle at which the line from ball to ankle rises then.
    """

    sole: float
    heel: float
    slope: float

    def under_ankles(self, ankles: Array, balls: Array) -> Array:
        """[...] how high ankles [..., 3] must be for the soles under them to be on the floor.

        A foot that has turned about its ball or heel has its ankle less high over its sole.
        """
        foot = normalise(ankles - balls)[..., 1]
        turned = foot * self.slope + np.sqrt((1.0 - foot**2) * (1.0 - self.slope**2))
        return self.sole + self.heel * np.maximum(turned, 0.0)


@dataclass(frozen=True, eq=False)
class Legs:
    """Both legs over time, left then right: each [T, 2, 3], metres, y-up."""

    hips: Array
    knees: Array
    ankles: Array
    balls: Array


def plant_feet(
    legs: Legs, held: NDArray[np.bool_], *, fps: float, floor: Floor
) -> tuple[Array, Legs]:
    """Holds feet where they are planted.

    Args:
        legs: T frames; leg and foot bones of constant length.
        held: [T, 4] left ankle, left ball, right ankle, right ball.
        fps: Frames a second.
        floor: Which ankles and balls of the feet must stay above.

    Returns:
        How far the pelvis moves [T, 3], and the legs below it.
    """
    points = np.stack(
        (
            legs.hips.mean(axis=1),
            *(legs.ankles[:, 0], legs.balls[:, 0]),
            *(legs.ankles[:, 1], legs.balls[:, 1]),
        ),
        axis=1,
    )
    ground = _ground(points, held, floor)
    shift = np.zeros_like(points)
    urgency = np.ones((max(len(points) - 1, 0), 2))
    for _ in range(_ROUNDS):
        floors = _floors(points + shift, floor)
        shift = _next_round(shift, points, legs, held, floors, ground, urgency, fps)
        jump = np.abs(np.diff(_knee_change(shift, legs), axis=0)) * fps / 20.0
        urgency *= np.maximum(jump / _KNEE_STEP, 1.0) ** 2
    placed = points + shift
    for start, stop, channel in held_spans(held):
        placed[start:stop, 1 + channel] = placed[start:stop, 1 + channel].mean(axis=0)
    for _ in range(2):  # a lifted ankle makes the foot flatter
        placed[..., 1] = np.maximum(placed[..., 1], _floors(placed, floor))
    hips = legs.hips + shift[:, None, PELVIS]
    ankles, balls = _rigid_feet(placed, legs, held)
    knees, ankles, balls = _bent_legs(hips, ankles, balls, legs, fps)
    return shift[:, PELVIS], Legs(hips, knees, ankles, balls)


def held_spans(held: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """(first frame, frame after the last, channel) of every unbroken run in [T, C]."""
    padded = np.zeros((len(held) + 2, held.shape[1]), dtype=np.int8)
    padded[1:-1] = held
    edges = np.diff(padded, axis=0)
    for channel in range(held.shape[1]):
        starts = np.flatnonzero(edges[:, channel] == 1)
        stops = np.flatnonzero(edges[:, channel] == -1)
        for start, stop in zip(starts, stops, strict=True):
            yield int(start), int(stop), channel


def knee_angles(hips: Array, knees: Array, ankles: Array) -> Array:
    """The angle [...] in radians between shin and thigh; pi is straight."""
    thigh, shin = normalise(hips - knees), normalise(ankles - knees)
    return np.asarray(np.arccos(np.clip(np.sum(thigh * shin, axis=-1), -1.0, 1.0)))


def _next_round(
    shift: Array,
    points: Array,
    legs: Legs,
    held: NDArray[np.bool_],
    floors: Array,
    ground: Array,
    urgency: Array,
    fps: float,
) -> Array:
    """The least-squares shifts [T, 5, 3], lengths and angles taken as linear around the last."""
    frames, size = len(points), 3 * _POINTS
    same = np.zeros((frames, size, size))
    right = np.zeros((frames, size))
    next_one = np.zeros((max(frames - 1, 0), size, size))
    next_two = np.zeros((max(frames - 2, 0), size, size))
    at = np.arange(size).reshape(_POINTS, 3)
    diagonal = np.arange(size)

    rest = np.zeros((_POINTS, _POINTS))
    for ankle, ball in zip(_ANKLES, _BALLS, strict=True):
        rest[ankle, ankle] += _FEET
        rest[ball, ball] += _FEET
        for one, other in ((PELVIS, ankle), (ankle, ball)):
            rest[one, one] += 1.0
            rest[other, other] += 1.0
            rest[one, other] -= 1.0
            rest[other, one] -= 1.0
    same += np.kron(rest, np.eye(3))
    same[:, at[PELVIS], at[PELVIS]] += _PELVIS

    ease = np.full(_POINTS, (_EASE_SECONDS * fps) ** 4)
    ease[PELVIS] = (_PELVIS_EASE_SECONDS * fps) ** 4
    ease = np.repeat(ease, 3)
    for k, weight in ((0, 1.0), (1, 4.0), (2, 1.0)):
        same[k : frames - 2 + k, diagonal, diagonal] += weight * ease
    next_one[:-1, diagonal, diagonal] -= 2.0 * ease
    next_one[1:, diagonal, diagonal] -= 2.0 * ease
    next_two[:, diagonal, diagonal] += ease

    hold = np.zeros((max(frames - 1, 0), _POINTS))
    hold[:, 1:] = _HOLD * (fps / 20.0) ** 2 * (held[1:] & held[:-1])
    each = np.repeat(hold, 3, axis=1)
    same[:-1, diagonal, diagonal] += each
    same[1:, diagonal, diagonal] += each
    next_one[:, diagonal, diagonal] -= each
    pull = each * np.diff(points, axis=0).reshape(-1, size)
    right[:-1] += pull
    right[1:] -= pull

    sunk = points[..., 1] + shift[..., 1] < floors + 1e-6
    heights = at[:, 1]
    same[:, heights, heights] += _FLOOR * sunk
    right[:, heights] += np.where(sunk, _FLOOR * (np.where(sunk, floors, 0) - points[..., 1]), 0.0)

    grounded = np.isfinite(ground)
    same[:, heights, heights] += _GROUND * grounded
    right[:, heights] += np.where(
        grounded, _GROUND * (np.where(grounded, ground, 0.0) - points[..., 1]), 0.0
    )

    for side, (ankle, ball) in enumerate(zip(_ANKLES, _BALLS, strict=True)):
        along, stretch, derivative = _leg_state(shift, legs, side)
        row = np.zeros((frames, size))
        row[:, at[ankle]] = along
        row[:, at[PELVIS]] = -along
        offset = np.sum(row * shift.reshape(frames, size), axis=1)
        stiff = (_KNEE_METRES * derivative) ** 2
        _add(same, right, row, stiff, offset - stretch)
        excess = _overstretch(shift, legs, side)
        _add(same, right, row, np.where(excess > 0.0, 100.0 * stiff, 0.0), offset - excess)

        turned = row * derivative[:, None]
        change = _knee_change(shift, legs)[:, side]
        linear = np.sum(turned * shift.reshape(frames, size), axis=1)
        wanted = np.diff(linear) - np.diff(change)
        rate = _KNEE_METRES**2 * (fps / 20.0) ** 2 * urgency[:, side]
        later, sooner = turned[1:], turned[:-1]
        same[1:] += np.einsum("t,ti,tj->tij", rate, later, later)
        same[:-1] += np.einsum("t,ti,tj->tij", rate, sooner, sooner)
        next_one -= np.einsum("t,ti,tj->tij", rate, sooner, later)
        right[1:] += (rate * wanted)[:, None] * later
        right[:-1] -= (rate * wanted)[:, None] * sooner

        foot = points[:, ball] + shift[:, ball] - points[:, ankle] - shift[:, ankle]
        length = np.linalg.norm(legs.balls[:, side] - legs.ankles[:, side], axis=-1)
        along = normalise(foot)
        row = np.zeros((frames, size))
        row[:, at[ball]] = along
        row[:, at[ankle]] = -along
        offset = np.sum(row * shift.reshape(frames, size), axis=1)
        longer = np.linalg.norm(foot, axis=-1) - length
        _add(same, right, row, np.full(frames, _LENGTH), offset - longer)
    return solve_over_time(same, next_one, next_two, right).reshape(frames, _POINTS, 3)


def _floors(points: Array, floor: Floor) -> Array:
    """Lowest heights [T, 5] of all points [T, 5, 3]."""
    floors = np.full(points.shape[:2], -np.inf)
    floors[:, _ANKLES] = floor.under_ankles(points[:, _ANKLES], points[:, _BALLS])
    floors[:, _BALLS] = floor.sole
    return floors


def _ground(points: Array, held: NDArray[np.bool_], floor: Floor) -> Array:
    """Heights [T, 5] on which held balls of the feet stand; NaN where none is wanted."""
    ground = np.full(points.shape[:2], np.nan)
    for start, stop, channel in held_spans(held):
        point = 1 + channel
        if point in _BALLS:
            over = float(np.mean(points[start:stop, point, 1])) - floor.sole
            if over < _LOW:
                ground[start:stop, point] = floor.sole + np.clip(over, 0.0, _FLAT)
    return ground


def _add(same: Array, right: Array, row: Array, weight: Array, wanted: Array) -> None:
    """Adds weight * (row . x - wanted)^2 of every frame."""
    same += np.einsum("t,ti,tj->tij", weight, row, row)
    right += (weight * wanted)[:, None] * row


def _leg_lengths(legs: Legs, side: int) -> tuple[Array, Array]:
    thigh = np.linalg.norm(legs.knees[:, side] - legs.hips[:, side], axis=-1)
    shin = np.linalg.norm(legs.ankles[:, side] - legs.knees[:, side], axis=-1)
    return thigh, shin


def _shifted_leg(shift: Array, legs: Legs, side: int) -> Array:
    return legs.ankles[:, side] + shift[:, _ANKLES[side]] - legs.hips[:, side] - shift[:, PELVIS]


def _leg_state(shift: Array, legs: Legs, side: int) -> tuple[Array, Array, Array]:
    """Direction [T, 3] of the shifted leg, how much longer it is than it was [T], and radians of
    the knee a metre of that length [T]."""
    leg = _shifted_leg(shift, legs, side)
    before = np.linalg.norm(legs.ankles[:, side] - legs.hips[:, side], axis=-1)
    now = np.linalg.norm(leg, axis=-1)
    thigh, shin = _leg_lengths(legs, side)
    reach = np.minimum(now, _REACH * (thigh + shin))
    cosine = (thigh**2 + shin**2 - reach**2) / (2.0 * thigh * shin)
    sine = np.sqrt(np.maximum(1.0 - cosine**2, _STRAIGHT**2))
    return normalise(leg), now - before, reach / (thigh * shin * sine)


def _overstretch(shift: Array, legs: Legs, side: int) -> Array:
    """How far [T] an ankle is beyond the leg's reach; negative within."""
    thigh, shin = _leg_lengths(legs, side)
    before = np.linalg.norm(legs.ankles[:, side] - legs.hips[:, side], axis=-1)
    reach = np.maximum(_REACH * (thigh + shin), before)
    return np.asarray(np.linalg.norm(_shifted_leg(shift, legs, side), axis=-1) - reach)


def _knee_change(shift: Array, legs: Legs) -> Array:
    """By how much [T, 2] in radians the shifts stretch the knees."""
    changes = []
    for side in (0, 1):
        thigh, shin = _leg_lengths(legs, side)
        before = np.linalg.norm(legs.ankles[:, side] - legs.hips[:, side], axis=-1)
        now = np.linalg.norm(_shifted_leg(shift, legs, side), axis=-1)
        changes.append(_knee_angle(now, thigh, shin) - _knee_angle(before, thigh, shin))
    return np.stack(changes, axis=1)


def _rigid_feet(placed: Array, legs: Legs, held: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Ankles and balls [T, 2, 3] with the feet's own lengths: heights and what is held stay."""
    ankles, balls = placed[:, _ANKLES].copy(), placed[:, _BALLS].copy()
    length = np.linalg.norm(legs.balls - legs.ankles, axis=-1)
    foot = balls - ankles
    rise = np.clip(foot[..., 1], -length, length)
    level = normalise(foot * (1.0, 0.0, 1.0)) * np.sqrt(length**2 - rise**2)[..., None]
    level[..., 1] = rise
    ball_held = held[:, 1::2, None]
    return np.where(ball_held, balls - level, ankles), np.where(ball_held, balls, ankles + level)


def _bent_legs(
    hips: Array, ankles: Array, balls: Array, legs: Legs, fps: float
) -> tuple[Array, Array, Array]:
    """Knees, ankles, balls [T, 2, 3]: two bones from hip to ankle, bent to where they were.

    A foot out of reach is taken along, and so is one that a knee would have to follow too fast.
    """
    thigh = np.linalg.norm(legs.knees - legs.hips, axis=-1, keepdims=True)
    shin = np.linalg.norm(legs.ankles - legs.knees, axis=-1, keepdims=True)
    before = legs.ankles - legs.hips
    now = ankles - hips
    distance = np.linalg.norm(now, axis=-1, keepdims=True)
    angle = _knee_angle(np.linalg.norm(before, axis=-1, keepdims=True), thigh, shin)
    longest = np.maximum(_knee_angle(_REACH * (thigh + shin), thigh, shin), angle)
    change = np.minimum(_knee_angle(distance, thigh, shin), longest) - angle
    bent = angle + _no_steeper(change, min(_KNEE_MOST, _KNEE_MOST * 20.0 / fps))
    reached = np.sqrt(thigh**2 + shin**2 - 2.0 * thigh * shin * np.cos(np.minimum(bent, np.pi)))
    pulled = normalise(now) * (reached - distance)
    now, ankles, balls = now + pulled, ankles + pulled, balls + pulled

    along = normalise(before)
    bend = legs.knees - legs.hips
    bend = bend - along * np.sum(bend * along, axis=-1, keepdims=True)
    ahead = legs.balls - legs.ankles
    ahead = normalise(ahead - along * np.sum(ahead * along, axis=-1, keepdims=True))
    unsure = np.maximum(_SURE_BEND - np.linalg.norm(bend, axis=-1, keepdims=True), 0.0)
    bend = quaternion_rotate(quaternion_between(before, now), bend + unsure * ahead)
    axis = normalise(now)
    side = normalise(bend - axis * np.sum(bend * axis, axis=-1, keepdims=True))
    foot_of_knee = (thigh**2 - shin**2 + reached**2) / (2.0 * reached)
    height = np.sqrt(np.maximum(thigh**2 - foot_of_knee**2, 0.0))
    return hips + axis * foot_of_knee + side * height, ankles, balls


def _knee_angle(distance: Array, thigh: Array, shin: Array) -> Array:
    """The knee's angle for a distance between hip and ankle; pi where that is out of reach."""
    cosine = (thigh**2 + shin**2 - distance**2) / (2.0 * thigh * shin)
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _no_steeper(values: Array, most: float) -> Array:
    """The largest values [T, ...] not above these that change by no more from frame to frame.

    Never above: a leg that is bent too little would push its foot into the floor.
    """
    under = values.copy()
    for t in range(1, len(under)):
        under[t] = np.minimum(under[t], under[t - 1] + most)
    for t in range(len(under) - 2, -1, -1):
        under[t] = np.minimum(under[t], under[t + 1] + most)
    return under
