# SPDX-License-Identifier: GPL-3.0-or-later
"""A person read out of a tree of joints by shape: arms, legs, what lies between, which is left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .bodies import Body
from .figure import Figure
from .limbs import ARM, LEG
from .names import parse_name
from .stance import SURE, objection, stance
from .torso import pelvis_of, torso

LARGEST_COST = 5.0
"""Of a body (see `bodies`) that is still read as a person."""
_GUESSED = 0.6  # confidence in the facing below which the user is told


@dataclass(frozen=True)
class Reading:
    """Joint -> number in the figure and confidence, and what was odd."""

    joints: Mapping[str, int]
    confidence: Mapping[str, float]
    notes: tuple[str, ...]


def read_body(figure: Figure, body: Body, kinds: Sequence[frozenset[str]]) -> Reading | str:
    """The joints of a person with these arms and legs, or what speaks against it.

    Args:
        figure: N joints.
        body: One of `find_bodies`.
        kinds: [N] what the names say that each may be; all empty where names are not trusted.
    """
    one, other = _sides(figure, body)
    joints = _named(one, other)
    stands = stance(figure, joints)
    by_name = _named_left(figure, one) - _named_left(figure, other) if any(kinds) else 0
    notes = []
    swapped = stands.evidence < 0.0
    if by_name and abs(stands.evidence) < SURE:
        swapped = by_name < 0
    elif by_name and swapped != (by_name < 0):
        notes.append("The names say left on the figure's right side; its shape was followed.")
    if swapped:
        joints = _named(other, one)
        stands = stance(figure, joints)
    against = objection(figure, joints)
    if against is not None:
        return against
    joints["pelvis"] = pelvis_of(figure, joints)
    if joints["pelvis"] < 0:
        return "it has no hips: its legs and its torso hang on no common bone"
    joints.update(torso(figure, joints, kinds, stands.up, stands.ahead))
    if "head" not in joints and "spine3" not in joints:
        return "it has neither a spine nor a head"
    facing = 1.0 if by_name else math.tanh(abs(stands.evidence))
    if facing < _GUESSED:
        notes.append("Which side is left is a guess: nothing shows which way the figure faces.")
    sure = 0.9 * math.exp(-max(0.0, body.cost) / LARGEST_COST)
    confidence = {
        joint: sure * (0.4 + 0.6 * facing if joint.startswith(("left", "right")) else 1.0)
        for joint in joints
    }
    return Reading(joints, confidence, tuple(notes))


def _sides(figure: Figure, body: Body) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The six joints of leg and arm of each side: those that are on the same side of the body."""
    legs, arms = body.legs.limbs, body.arms.limbs
    hips, shoulders = (
        figure.heads[one.joints[0]] - figure.heads[other.joints[0]] for one, other in (legs, arms)
    )
    if hips @ shoulders < 0.0:
        arms = arms[::-1]
    one, other = (leg.joints + arm.joints for leg, arm in zip(legs, arms, strict=True))
    return one, other


def _named(left: tuple[int, ...], right: tuple[int, ...]) -> dict[str, int]:
    order = LEG.joints + ARM.joints
    return {
        f"{side}_{joint}": at
        for side, joints in (("left", left), ("right", right))
        for joint, at in zip(order, joints, strict=True)
    }


def _named_left(figure: Figure, joints: tuple[int, ...]) -> int:
    """How many more of the joints' names say left than right."""
    said = [parse_name(figure.names[joint]).side for joint in joints]
    return said.count("left") - said.count("right")
