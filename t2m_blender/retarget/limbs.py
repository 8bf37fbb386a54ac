# SPDX-License-Identifier: GPL-3.0-or-later
"""Two arms and two legs, found in a tree of joints by what they are like, whatever they are called.

A limb is three joints, one below another, with two segments of about the same length; it comes
twice, once on each side, with the same lengths. Lengths and branches do not depend on the pose at
rest, so that is what is measured first. Legs part nearest the root, arms below a head. Everything
is a cost: a limb unlike a person's is not forbidden, but loses against one that is like it.
Names that mean something (`names.kinds_of`) are one more hint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .figure import Distances, Figure
from .rig import Array

_DEEPEST = 14  # joints looked at below the place where two limbs part
_KEPT = 4  # readings of one limb that are compared with those of the other side
_TRIED = 16  # pairs of limbs tried as legs, and as arms


@dataclass(frozen=True)
class LimbForm:
    """What a leg or an arm is like, in parts of its length.

    Attributes:
        joints: What its three joints are.
        before: How much may come before its first joint (a collar, a hip joint).
        after: How much may come after its last one (a foot, a hand).
        apart: How far the first joints of both sides are apart at least.
        ends: Cost of nothing at all after its last joint.
        bent: Cost of a right angle at its middle joint.
    """

    joints: tuple[str, str, str]
    before: float
    after: float
    apart: float
    ends: float
    bent: float


LEG = LimbForm(("hip", "knee", "ankle"), 0.06, 0.35, 0.08, ends=0.6, bent=3.0)
ARM = LimbForm(("shoulder", "elbow", "wrist"), 0.42, 0.5, 0.24, ends=0.3, bent=0.5)


@dataclass(frozen=True)
class Limb:
    """Three joints of a figure and what speaks against them."""

    joints: tuple[int, int, int]
    lengths: tuple[float, float]
    cost: float


@dataclass(frozen=True)
class Pair:
    """The same limb on both sides; which is the left one is not known here."""

    parting: int
    tops: tuple[int, int]
    limbs: tuple[Limb, Limb]
    length: float
    cost: float


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
    tops = _tops(figure)
    legs = _likeliest(list(_pairs(figure, kinds, tops, LEG)))
    arms = _likeliest(list(_pairs(figure, kinds, tops, ARM)))
    found = [
        Body(leg, arm, _body_cost(figure, leg, arm, legs))
        for leg in legs
        for arm in arms
        if not _shared(figure, leg, arm)
    ]
    return sorted(found, key=lambda body: body.cost)


def _tops(figure: Figure) -> dict[int, list[tuple[int, int]]]:
    """Joint -> the pairs of its children from which two like limbs may go down."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for parting in range(-1, len(figure.names)):
        children = figure.children[parting]
        long = [top for top in children if figure.size[top] > 2 and figure.reach[top] > 0.0]
        alike = [
            (one, other)
            for one, other in combinations(long, 2)
            if abs(math.log(figure.reach[one] / figure.reach[other])) < 0.4
        ]
        if alike:
            pairs[parting] = alike
    longest = max((figure.reach[one] for alike in pairs.values() for one, _ in alike), default=0.0)
    return {
        parting: [pair for pair in alike if figure.reach[pair[0]] > 0.12 * longest]
        for parting, alike in pairs.items()
    }


def _pairs(
    figure: Figure,
    kinds: Sequence[frozenset[str]],
    tops: dict[int, list[tuple[int, int]]],
    form: LimbForm,
) -> Iterator[Pair]:
    limbs = {
        top: _limbs(figure, top, kinds, form)
        for pairs in tops.values()
        for top in {top for pair in pairs for top in pair}
    }
    for parting, pairs in tops.items():
        for pair in pairs:
            read = [
                _pair(figure, parting, pair, (one, other), form)
                for one in limbs[pair[0]]
                for other in limbs[pair[1]]
            ]
            yield from sorted(read, key=lambda pair: pair.cost)[:2]


def _limbs(figure: Figure, top: int, kinds: Sequence[frozenset[str]], form: LimbForm) -> list[Limb]:
    """The likeliest three joints on the ways down from `top`."""
    apart = figure.apart
    least = 0.3 * figure.reach[top]
    ways: dict[int, list[int]] = {top: [top]}
    found = []
    for lower in figure.below(top)[1:]:
        above = ways.get(figure.parents[lower])
        if above is None or len(above) >= _DEEPEST:
            continue
        way = ways[lower] = [*above, lower]
        for first, second in combinations(range(len(way) - 1), 2):
            joints = (way[first], way[second], lower)
            lengths = (apart[joints[0]][joints[1]], apart[joints[1]][lower])
            if min(lengths) < 0.1 * max(lengths) or sum(lengths) < least:
                continue
            cost = _limb_cost(figure, way, (first, second), form)
            for joint, wanted in zip(joints, form.joints, strict=True):
                cost += _name_cost(kinds[joint], wanted)
            found.append(Limb(joints, lengths, cost))
    return sorted(found, key=lambda limb: limb.cost)[:_KEPT]


def _limb_cost(figure: Figure, way: list[int], at: tuple[int, int], form: LimbForm) -> float:
    first, second = at
    last = len(way) - 1
    apart = figure.apart
    lengths = apart[way[first]][way[second]], apart[way[second]][way[last]]
    whole = sum(lengths)
    before = sum(apart[way[k]][way[k + 1]] for k in range(first))
    after = figure.reach[way[last]]
    cost = (math.log(lengths[0] / lengths[1]) / 0.35) ** 2
    cost += (max(0.0, before / whole - form.before) / 0.15) ** 2 + 0.06 * first
    cost += (max(0.0, after / whole - form.after) / 0.2) ** 2 + form.ends * (after == 0.0)
    straight = apart[way[first]][way[last]]
    cosine = (straight**2 - lengths[0] ** 2 - lengths[1] ** 2) / (2.0 * lengths[0] * lengths[1])
    cost += form.bent * max(0.0, 0.8 - cosine)
    for start, end in ((first, second), (second, last)):
        for number in range(start + 1, end):  # twist bones lie on the segment
            along, off = _on_line(apart, way[start], way[number], way[end])
            cost += 0.05 + (off / (0.1 * whole)) ** 2
            if start == first and along < 0.3 * lengths[0] and off > 0.4 * abs(along):
                cost += 0.6  # a short bone at an angle comes before a limb, not in it
            if start == second and len(figure.children[way[number]]) > 1:
                cost += 0.6  # fingers and toes begin after the limb
    return cost


def _on_line(apart: Distances, start: int, point: int, end: int) -> tuple[float, float]:
    """How far along the line between two joints another one is, and how far off it."""
    near, far, whole = apart[start][point], apart[point][end], apart[start][end]
    if whole == 0.0:
        return 0.0, near
    along = (near * near + whole * whole - far * far) / (2.0 * whole)
    return along, math.sqrt(max(near * near - along * along, 0.0))


def _name_cost(kinds: frozenset[str], wanted: str) -> float:
    if not kinds:
        return 0.0
    if wanted in kinds:
        return -0.6
    return 1.5 if "other" in kinds else 0.8


def _pair(
    figure: Figure,
    parting: int,
    tops: tuple[int, int],
    limbs: tuple[Limb, Limb],
    form: LimbForm,
) -> Pair:
    one, other = limbs
    length = (sum(one.lengths) + sum(other.lengths)) / 2
    cost = (one.cost + other.cost) / 2
    for first, second in zip(one.lengths, other.lengths, strict=True):
        cost += (math.log(first / second) / 0.1) ** 2
    sizes = [int(figure.size[top]) for top in tops]
    cost += abs(sizes[0] - sizes[1]) / max(sizes)
    depths = [figure.depth[limb.joints[-1]] for limb in limbs]
    cost += 0.5 * abs(int(depths[0]) - int(depths[1]))
    between = figure.apart[one.joints[0]][other.joints[0]] / length
    cost += (max(0.0, form.apart - between) / 0.06) ** 2
    return Pair(parting, tops, limbs, float(length), float(cost))


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
