# SPDX-License-Identifier: GPL-3.0-or-later
"""Two legs and two arms that make a person, out of all the pairs of limbs of a figure.

Legs part nearest the root and reach the floor, arms part below a head. Skirts, wings, tails of hair
and the parts of a face come in pairs too; each loses by something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .figure import Figure
from .limbs import ARM, LEG, Pair, limb_pairs, limb_tops
from .rig import Array

_TRIED = 16  # pairs of limbs tried as legs, and as arms


@dataclass(frozen=True)
class Body:
    """Two legs and two arms, and what speaks against them."""

    legs: Pair
    arms: Pair
    cost: float


def find_bodies(figure: Figure, kinds: Sequence[frozenset[str]]) -> list[Body]:
    """Every reading of a figure as a person, the likeliest first.

    Args:
        figure: N joints.
        kinds: [N] what the names say that each may be.
    """
    tops = limb_tops(figure)
    legs = _likeliest(list(limb_pairs(figure, kinds, tops, LEG)))
    arms = _likeliest(list(limb_pairs(figure, kinds, tops, ARM)))
    found = [
        Body(leg, arm, _body_cost(figure, leg, arm, legs))
        for leg in legs
        for arm in arms
        if not _shared(figure, leg, arm)
    ]
    return sorted(found, key=lambda body: body.cost)


def _likeliest(pairs: list[Pair]) -> list[Pair]:
    longest = max((pair.length for pair in pairs if pair.cost < 4.0), default=0.0)
    sane = [pair for pair in pairs if pair.length > 0.15 * longest]
    return sorted(sane, key=lambda p: p.cost + 1.5 * np.log(max(longest / p.length, 1.0)))[:_TRIED]


def _shared(figure: Figure, legs: Pair, arms: Pair) -> bool:
    """Whether the same joints, or one below the other, would be arms and legs."""
    return any(
        leg == arm or figure.is_below(arm, leg) or figure.is_below(leg, arm)
        for leg in legs.tops
        for arm in arms.tops
    )


def _body_cost(figure: Figure, legs: Pair, arms: Pair, all_legs: list[Pair]) -> float:
    hips, shoulders = (_middle(figure, pair, 0) for pair in (legs, arms))
    torso = shoulders - hips
    up = torso / max(float(np.linalg.norm(torso)), 1e-9)
    heights = (figure.heads - hips) @ up
    cost = legs.cost + arms.cost
    cost += 1.5 * float(np.log(max(all_legs[0].length / legs.length, 1.0)))
    cost += 0.5 * (np.log(arms.length / legs.length / 0.75) / 0.5) ** 2
    # Arms part further from the root than legs do.
    if legs.parting == arms.parting:
        cost += 2.0
    elif figure.is_below(legs.parting, arms.parting):
        cost += 6.0
    # Something goes on up between the arms.
    middle = [c for c in figure.children[arms.parting] if c not in arms.tops]
    rises = [max(float(heights[b]) for b in figure.below(c)) for c in middle]
    beside = [c for c in middle if c not in legs.tops]
    if not beside or max(rises, default=-np.inf) < heights[arms.limbs[0].joints[0]]:
        cost += 2.0
    # Fingers.
    cost += 2.0 if _branches(figure, legs) else 0.0
    cost -= 1.0 if _branches(figure, arms) else 0.0
    # Legs reach the floor; a skirt does not, and has more pairs than one.
    ankles = _middle(figure, legs, 2)
    lowest = float(heights[figure.below(legs.parting)].min())
    above_floor = (float((ankles - hips) @ up) - lowest) / legs.length
    cost += 3.0 * max(0.0, above_floor - 0.4)
    alike = {
        pair.tops
        for pair in all_legs
        if pair.parting == legs.parting
        and not set(pair.tops) & set(legs.tops)
        and abs(np.log(pair.length / legs.length)) < 0.15
    }
    cost += 0.7 * len(alike)
    return float(cost - (0.8 if _has_feet(figure, legs) else 0.0))


def _middle(figure: Figure, pair: Pair, joint: int) -> Array:
    one, other = (figure.heads[limb.joints[joint]] for limb in pair.limbs)
    return np.asarray((one + other) / 2)


def _branches(figure: Figure, pair: Pair) -> bool:
    """Whether both limbs end in three or more branches of two joints or more."""
    return all(
        sum(figure.size[child] > 1 for child in figure.children[limb.joints[2]]) > 2
        for limb in pair.limbs
    )


def _has_feet(figure: Figure, legs: Pair) -> bool:
    """Whether something goes off at an angle after both ankles."""
    for limb in legs.limbs:
        _, knee, ankle = limb.joints
        shin = figure.heads[ankle] - figure.heads[knee]
        feet = [figure.heads[child] - figure.heads[ankle] for child in figure.below(ankle)[1:]]
        if not any(
            np.linalg.norm(foot) > 0.1 * np.linalg.norm(shin)
            and foot @ shin < 0.9 * np.linalg.norm(foot) * np.linalg.norm(shin)
            for foot in feet
        ):
            return False
    return True
