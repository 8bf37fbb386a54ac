# SPDX-License-Identifier: GPL-3.0-or-later
"""The joints that a rig may have more or fewer of: hips to head, collars, the balls of the feet.

They follow from the limbs: the pelvis is what legs and spine hang on, the chest what the arms hang
on, the spine what lies between. Of many spine or neck bones some are joints; the others are carried
along by them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .figure import Figure
from .rig import Array

_HEAD_HEIGHT = 0.33  # of the head joint over the shoulders, in parts of the torso
_BALL_AT = 0.33  # of the ball of the foot after the ankle, in parts of the shin


def pelvis_of(figure: Figure, joints: Mapping[str, int]) -> int:
    """The lowest joint on which both legs and both arms hang; -1 for none."""
    limbs = [joints[f"{side}_{limb}"] for side in ("left", "right") for limb in ("hip", "shoulder")]
    pelvis = figure.common(*limbs)
    return -1 if pelvis in limbs else pelvis


def torso(
    figure: Figure,
    joints: Mapping[str, int],
    kinds: Sequence[frozenset[str]],
    up: Array,
    ahead: Array,
) -> dict[str, int]:
    """The joints of spine, neck, head, collars and feet that the figure has.

    Args:
        figure: N joints.
        joints: The pelvis and the limbs by their names.
        kinds: [N] what the names say that each may be.
        up: [3] unit vector.
        ahead: [3] unit vector.
    """
    found: dict[str, int] = {}
    shoulders = [joints["left_shoulder"], joints["right_shoulder"]]
    hips = [joints["left_hip"], joints["right_hip"]]
    chest = figure.common(*shoulders)
    base = figure.common(*hips, chest)
    spine = [] if chest == base else [*figure.between(base, chest), chest]
    necks = _neck_and_head(figure, chest, shoulders, hips, kinds, up)
    if spine and "neck" in kinds[chest] and len(spine) > 1:  # collars on the neck, as in Biped
        necks = {"neck": spine.pop(), **necks}
    found.update(_spread(spine))
    found.update(necks)
    for side in ("left", "right"):
        collar = _collar(figure, chest, joints[f"{side}_shoulder"], joints[f"{side}_elbow"])
        if collar is not None:
            found[f"{side}_collar"] = collar
        ball = _ball(figure, joints[f"{side}_ankle"], joints[f"{side}_knee"], ahead)
        if ball is not None:
            found[f"{side}_foot"] = ball
    return found


def _spread(spine: list[int]) -> dict[str, int]:
    """Three joints out of any number: the chest first of all, then the lowest, then the middle."""
    if not spine:
        return {}
    found = {"spine3": spine[-1]}
    if len(spine) > 1:
        found["spine1"] = spine[0]
    if len(spine) > 2:
        found["spine2"] = spine[len(spine) // 2]
    return found


def _collar(figure: Figure, chest: int, shoulder: int, elbow: int) -> int | None:
    between = figure.between(chest, shoulder)
    least = 0.05 * figure.apart[shoulder][elbow]
    far = [joint for joint in between if figure.apart[joint][shoulder] > least]
    return far[0] if far else None


def _ball(figure: Figure, ankle: int, knee: int, ahead: Array) -> int | None:
    """The joint after the ankle at which the toes bend: ahead, and about a third of a shin away."""
    shin = figure.apart[knee][ankle]
    costs = {}
    for joint in figure.below(ankle)[1:]:
        length = figure.apart[ankle][joint]
        if length < 0.02 * shin:
            continue
        behind = (figure.heads[joint] - figure.heads[ankle]) @ ahead < -0.3 * length
        later = int(figure.depth[joint] - figure.depth[ankle]) - 1
        cost = abs(math.log(length / (_BALL_AT * shin))) + 2.0 * behind + 0.3 * later
        costs[joint] = cost + 0.1 * (figure.size[joint] == 1)
    return min(costs, key=lambda joint: costs[joint], default=None)


def _neck_and_head(
    figure: Figure,
    chest: int,
    shoulders: list[int],
    hips: list[int],
    kinds: Sequence[frozenset[str]],
    up: Array,
) -> dict[str, int]:
    """The way up from the chest between the arms, and where on it the head begins."""
    middle = figure.heads[shoulders].mean(axis=0)
    across = figure.heads[shoulders[0]] - figure.heads[shoulders[1]]
    width = max(float(np.linalg.norm(across)), 1e-9)
    across = across / width
    torso = max(float((middle - figure.heads[hips].mean(axis=0)) @ up), 1e-9)
    heights = (figure.heads - middle) @ up / torso
    beside = (figure.heads - middle) @ across / width

    def rises(joint: int) -> float:
        """How far the branch goes up, from above the chest; names count where they speak."""
        said = [kind for below in figure.below(joint)[:8] for kind in kinds[below]]
        tip = figure.bones[joint].tail if figure.size[joint] == 1 else figure.heads[joint]
        tip_height = float((tip - middle) @ up / torso)
        top = max(tip_height, max(float(heights[below]) for below in figure.below(joint)))
        return top + 2.0 * ("head" in said or "neck" in said) - 2.0 * ("other" in kinds[joint])

    limbs = {joint for limb in (*shoulders, *hips) for joint in figure.above(limb)}
    way: list[int] = []
    branched = 0
    passed: dict[int, int] = {}
    joint = chest
    while True:
        upward = [
            child
            for child in figure.children[joint]
            if child not in limbs
            and abs(beside[child]) < 0.15
            and abs(beside[figure.below(child)].mean()) < 0.6  # not a wing
            and heights[child] > heights[chest] - 0.1
        ]
        if not upward:
            break
        joint = max(upward, key=rises)
        if rises(joint) < 0.0:
            break
        passed[joint] = branched
        way.append(joint)
        branched += len(figure.children[joint]) > 1
    if not way:
        return {}
    head = min(way, key=lambda joint: _head_cost(figure, joint, heights, passed[joint], kinds))
    # Bones in the very place of the head, such as the root of a face, hang on it.
    while head != way[0] and figure.apart[figure.parents[head]][head] < 1e-3 * torso:
        head = figure.parents[head]
    return {"head": head} if head == way[0] else {"neck": way[0], "head": head}


def _head_cost(
    figure: Figure, joint: int, heights: Array, branched: int, kinds: Sequence[frozenset[str]]
) -> float:
    cost = abs(float(heights[joint]) - _HEAD_HEIGHT) + 0.15 * branched
    parent = figure.parents[joint]
    if figure.size[joint] == 1 and parent >= 0:  # importers give end bones their parent's length
        bone, above = figure.bones[joint], figure.bones[parent]
        lengths = [float(np.linalg.norm(b.tail - b.head)) for b in (bone, above)]
        cost += 0.1 * (abs(lengths[0] - lengths[1]) < 1e-3 * lengths[1])
    if kinds[joint]:
        cost += -1.0 if "head" in kinds[joint] else 0.5
    return cost
