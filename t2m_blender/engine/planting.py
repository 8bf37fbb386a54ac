# SPDX-License-Identifier: GPL-3.0-or-later
"""Legs whose planted feet stand still, with as little change to everything else as that allows.

One least-squares problem over the whole clip decides where the pelvis, the ankles and the balls of
the feet go: held joints do not move, nothing sinks into the floor, feet that swing clear it, legs
keep their length (the closer to straight, the more: there a millimetre is a degree of the knee),
knees bend no faster than they did, and all corrections come and go smoothly. Two-bone inverse
kinematics then sets the knees. Nothing here knows a skeleton or a rig: callers bring y-up metres
at the size of an adult.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .banded import Array, LeastSquaresOverTime
from .legs import REACH, Legs, bent_legs
from .rotations import normalise

_ROUNDS = 5
_CLOSE = 2e-4  # metres between two rounds, when the second is good enough
_HOLD = 2e4  # weights; that of a leg's shape is 1
_FLOOR = 2000.0
_GROUND = 30.0
_SWING = 30.0
# How high the ball of a foot is over the floor that moves so fast, metres and metres a second:
# close to the medians of captured motion.
_SWING_SPEEDS, _SWING_HEIGHTS = (0.4, 0.8, 1.2, 2.0), (0.0, 0.045, 0.055, 0.065)
_LENGTH = 1e3
_OVERSTRETCH = 100.0
_PELVIS = np.array([0.02, 0.1, 0.02])
_FEET = 0.01
_EASE_SECONDS = 0.1
_PELVIS_EASE_SECONDS = 0.2
_KNEE_METRES = 0.25  # a radian of the knee counts as much as so many metres of a foot
_KNEE_STEP = np.radians(2.5)  # a frame at 20 frames a second, from which on it counts more
_STRAIGHT = 0.05  # least sine of the knee's angle in its derivative
_MOVED = 0.0045  # metres a frame of a foot that is not held
_LOW = 0.08  # metres over the floor under which a planted foot is meant to stand on it
_FLAT = 0.015  # that high a ball may stand

PELVIS, LEFT_ANKLE, LEFT_BALL, RIGHT_ANKLE, RIGHT_BALL = range(5)
_POINTS = 5
_ANKLES, _BALLS = (LEFT_ANKLE, RIGHT_ANKLE), (LEFT_BALL, RIGHT_BALL)
_AT = np.arange(3 * _POINTS).reshape(_POINTS, 3)  # where in x [T, 15] each point's shift is


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


def plant_feet(
    legs: Legs, held: NDArray[np.bool_], *, fps: float, floor: Floor
) -> tuple[Array, Legs, NDArray[np.bool_]]:
    """Holds feet where they are planted.

    Args:
        legs: T frames; leg and foot bones of constant length.
        held: [T, 4] left ankle, left ball, right ankle, right ball.
        fps: Frames a second.
        floor: Which ankles and balls of the feet must stay above.

    Returns:
        How far the pelvis moves [T, 3], the legs below it, and which feet [T, 4] are held: one that
        would have had to leave its leg, or bend its knee too fast, was let go.
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
    clearance = floor.sole + _clearance(points[:, _BALLS], fps)
    shift = np.zeros_like(points)
    urgency = np.ones((max(len(points) - 1, 0), 2))
    for _ in range(_ROUNDS):
        last = shift
        system = LeastSquaresOverTime(len(points), 3 * _POINTS)
        _keep_shape(system, fps)
        _hold(system, points, held, fps)
        _stay_up(system, points, last, _floors(points + last, floor), ground)
        _keep_up(system, points, last, held, clearance)
        _keep_legs(system, last, legs, urgency * (fps / 20.0) ** 2)
        _keep_feet(system, points, last, legs)
        shift = system.solution().reshape(points.shape)
        jump = np.abs(np.diff(_knee_change(shift, legs), axis=0)) * fps / 20.0
        if np.abs(shift - last).max() < _CLOSE and (jump < _KNEE_STEP).all():
            break
        urgency *= np.maximum(jump / _KNEE_STEP, 1.0) ** 2
    placed = points + shift
    for start, stop, channel in held_spans(held):
        placed[start:stop, 1 + channel] = placed[start:stop, 1 + channel].mean(axis=0)
    for _ in range(2):  # a lifted ankle makes the foot flatter
        placed[..., 1] = np.maximum(placed[..., 1], _floors(placed, floor))
    hips = legs.hips + shift[:, None, PELVIS]
    ankles, balls = _rigid_feet(placed, legs, held)
    planted = bent_legs(hips, ankles, balls, legs, fps)
    return shift[:, PELVIS], planted, _still_held(planted, held)


def _still_held(legs: Legs, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[T, 4] without the frames in which a foot has moved on nevertheless."""
    feet = np.stack((legs.ankles, legs.balls), axis=2).reshape(len(held), 4, 3)
    moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1) > _MOVED
    kept = held.copy()
    kept[1:] &= ~(moved & held[:-1])
    return kept


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


def _keep_shape(system: LeastSquaresOverTime, fps: float) -> None:
    """Ankles shift as the pelvis does and balls as the ankles, all smoothly and not far."""
    form = np.zeros((_POINTS, _POINTS))
    for ankle, ball in zip(_ANKLES, _BALLS, strict=True):
        form[ankle, ankle] += _FEET
        form[ball, ball] += _FEET
        for one, other in ((PELVIS, ankle), (ankle, ball)):
            form[[one, other], [one, other]] += 1.0
            form[[one, other], [other, one]] -= 1.0
    whole = np.kron(form, np.eye(3))
    whole[_AT[PELVIS], _AT[PELVIS]] += _PELVIS
    system.add_form(whole)
    ease = np.full(_POINTS, (_EASE_SECONDS * fps) ** 4)
    ease[PELVIS] = (_PELVIS_EASE_SECONDS * fps) ** 4
    system.add_bends(np.repeat(ease, 3))


def _hold(system: LeastSquaresOverTime, points: Array, held: NDArray[np.bool_], fps: float) -> None:
    """What is held in two frames in a row is in the same place."""
    weight = np.zeros((max(len(points) - 1, 0), _POINTS))
    weight[:, 1:] = _HOLD * (fps / 20.0) ** 2 * (held[1:] & held[:-1])
    system.add_steps(np.repeat(weight, 3, axis=1), -np.diff(points, axis=0).reshape(-1, _AT.size))


def _stay_up(
    system: LeastSquaresOverTime, points: Array, shift: Array, floors: Array, ground: Array
) -> None:
    """What was under the floor goes up to it; held balls go to their ground."""
    for wanted, which, weight in (
        (floors, points[..., 1] + shift[..., 1] < floors + 1e-6, _FLOOR),
        (ground, np.isfinite(ground), _GROUND),
    ):
        weights, heights = np.zeros((2, len(points), _AT.size))
        weights[:, _AT[:, 1]] = weight * which
        heights[:, _AT[:, 1]] = np.where(which, wanted, 0.0) - points[..., 1]
        system.add_values(weights, heights)


def _keep_up(
    system: LeastSquaresOverTime,
    points: Array,
    shift: Array,
    held: NDArray[np.bool_],
    clearance: Array,
) -> None:
    """Feet that swing come no lower over the floor than they did, and do not drag over it."""
    lift = np.zeros(points.shape[:2])
    swinging = ~(held[:, 0::2] | held[:, 1::2])
    lift[:, _BALLS] = swinging * np.maximum(clearance - points[:, _BALLS, 1], 0.0)
    swings = np.zeros(points.shape[:2], dtype=bool)
    swings[:, 1:] = ~held & (shift[:, 1:, 1] < lift[:, 1:] + 1e-6)
    weights, heights = np.zeros((2, len(points), _AT.size))
    weights[:, _AT[:, 1]] = _SWING * swings
    heights[:, _AT[:, 1]] = lift
    system.add_values(weights, heights)


def _keep_legs(system: LeastSquaresOverTime, shift: Array, legs: Legs, urgency: Array) -> None:
    """Knees bend as they did and as fast as they did; legs stay within reach.

    Lengths and angles are taken as linear around the last shift.
    """
    leg = _shifted_legs(shift, legs)
    now = np.linalg.norm(leg, axis=-1)
    reach = REACH * (legs.thigh + legs.shin)
    sine = np.maximum(np.sin(legs.knee_angles(np.minimum(now, reach))), _STRAIGHT)
    derivative = np.minimum(now, reach) / (legs.thigh * legs.shin * sine)  # radians a metre
    excess = now - np.maximum(reach, legs.distance)
    change = _knee_change(shift, legs)
    for side, ankle in enumerate(_ANKLES):
        row = _difference(normalise(leg[:, side]), ankle, PELVIS)
        linear = np.sum(row * shift.reshape(len(row), -1), axis=1)
        stiff = (_KNEE_METRES * derivative[:, side]) ** 2
        system.add_rows(row, stiff, linear - (now - legs.distance)[:, side])
        beyond = np.where(excess[:, side] > 0.0, _OVERSTRETCH * stiff, 0.0)
        system.add_rows(row, beyond, linear - excess[:, side])
        turning = row * derivative[:, side, None]
        wanted = np.diff(linear * derivative[:, side] - change[:, side])
        system.add_row_steps(turning, _KNEE_METRES**2 * urgency[:, side], wanted)


def _keep_feet(system: LeastSquaresOverTime, points: Array, shift: Array, legs: Legs) -> None:
    """Feet keep their lengths."""
    for side, (ankle, ball) in enumerate(zip(_ANKLES, _BALLS, strict=True)):
        foot = points[:, ball] + shift[:, ball] - points[:, ankle] - shift[:, ankle]
        row = _difference(normalise(foot), ball, ankle)
        linear = np.sum(row * shift.reshape(len(row), -1), axis=1)
        longer = np.linalg.norm(foot, axis=-1) - legs.foot[:, side]
        system.add_rows(row, np.full(len(row), _LENGTH), linear - longer)


def _difference(along: Array, point: int, other: int) -> Array:
    """Rows [T, 15] that say how much further along [T, 3] a point shifts than another."""
    row = np.zeros((len(along), _AT.size))
    row[:, _AT[point]] = along
    row[:, _AT[other]] = -along
    return row


def _shifted_legs(shift: Array, legs: Legs) -> Array:
    """From hips to ankles [T, 2, 3] after the shift."""
    return np.asarray(legs.ankles + shift[:, _ANKLES] - legs.hips - shift[:, None, PELVIS])


def _knee_change(shift: Array, legs: Legs) -> Array:
    """By how much [T, 2] in radians the shifts stretch the knees."""
    now = np.linalg.norm(_shifted_legs(shift, legs), axis=-1)
    return legs.knee_angles(now) - legs.knee_angles()


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


def _clearance(balls: Array, fps: float) -> Array:
    """Heights [T, 2] over the sole's at which balls of feet [T, 2, 3] swing."""
    if len(balls) < 2:
        return np.zeros(balls.shape[:2])
    way = np.gradient(balls[..., [0, 2]], axis=0) * fps
    return np.interp(np.linalg.norm(way, axis=-1), _SWING_SPEEDS, _SWING_HEIGHTS)


def _rigid_feet(placed: Array, legs: Legs, held: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Ankles and balls [T, 2, 3] with the feet's own lengths: heights and what is held stay."""
    ankles, balls = placed[:, _ANKLES].copy(), placed[:, _BALLS].copy()
    length = legs.foot
    foot = balls - ankles
    rise = np.clip(foot[..., 1], -length, length)
    level = normalise(foot * (1.0, 0.0, 1.0)) * np.sqrt(length**2 - rise**2)[..., None]
    level[..., 1] = rise
    ball_held = held[:, 1::2, None]
    return np.where(ball_held, balls - level, ankles), np.where(ball_held, balls, ankles + level)
