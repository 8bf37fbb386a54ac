# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of limbs, found in a tree of joints by what they are like, whatever they are called.

A limb is three joints, one below another, with two segments of about the same length; it comes
twice, once on each side, with the same lengths. Lengths and branches do not depend on the pose at
rest, so that is what is measured first. Everything is a cost: a limb unlike a person's is not
forbidden, but loses against one that is like it. Names that mean something (`names.kinds_of`) are
one more hint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from .figure import Distances, Figure

_DEEPEST = 14  # joints looked at below the place where two limbs part
_KEPT = 4  # readings of one limb that are compared with those of the other side


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


def limb_tops(figure: Figure) -> dict[int, list[tuple[int, int]]]:
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


def limb_pairs(
    figure: Figure,
    kinds: Sequence[frozenset[str]],
    tops: dict[int, list[tuple[int, int]]],
    form: LimbForm,
) -> Iterator[Pair]:
    """The likeliest limbs of one form below each pair of `limb_tops`.

    Args:
        figure: N joints.
        kinds: [N] what the names say that each may be.
        tops: As `limb_tops` found them.
        form: A leg or an arm.
    """
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
    found: list[Limb] = []
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
            if len(found) == _KEPT and cost >= found[-1].cost:
                continue
            cost += _between_cost(figure, way, (first, second))
            found = sorted([*found, Limb(joints, lengths, cost)], key=lambda limb: limb.cost)
            del found[_KEPT:]
    return found


def _limb_cost(figure: Figure, way: list[int], at: tuple[int, int], form: LimbForm) -> float:
    """What speaks against a limb with the joints `at` and the last of a way, by its lengths."""
    first, second = at
    apart = figure.apart
    lengths = apart[way[first]][way[second]], apart[way[second]][way[-1]]
    whole = sum(lengths)
    before = sum(apart[way[k]][way[k + 1]] for k in range(first))
    after = figure.reach[way[-1]]
    cost = (math.log(lengths[0] / lengths[1]) / 0.35) ** 2
    cost += (max(0.0, before / whole - form.before) / 0.15) ** 2 + 0.06 * first
    cost += (max(0.0, after / whole - form.after) / 0.2) ** 2 + form.ends * (after == 0.0)
    straight = apart[way[first]][way[-1]]
    cosine = (straight**2 - lengths[0] ** 2 - lengths[1] ** 2) / (2.0 * lengths[0] * lengths[1])
    return cost + form.bent * max(0.0, 0.8 - cosine)


def _between_cost(figure: Figure, way: list[int], at: tuple[int, int]) -> float:
    """What speaks against it by the joints in between: twist bones lie on a segment."""
    first, second = at
    last = len(way) - 1
    apart = figure.apart
    lengths = apart[way[first]][way[second]], apart[way[second]][way[last]]
    whole = sum(lengths)
    cost = 0.0
    for start, end in ((first, second), (second, last)):
        for number in range(start + 1, end):
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
