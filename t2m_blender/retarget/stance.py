# SPDX-License-Identifier: GPL-3.0-or-later
"""How a figure stands at rest: which way is up, which side is left, whether a person stands so.

Nothing is known of the axes: a rig may face any way, its object may be turned. Up is from the legs
to the arms. Ahead is where the toes point, the knees bend and the thumbs are; each is a hint, and
where they say nothing, the side on +x counts as the left one, as in nearly all rigs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .figure import Figure
from .rig import Array

SURE = 1.0
"""Evidence of the facing above which it outweighs names."""
_SIDEWAYS_TORSO = 0.6  # |cosine| between torso and legs below which a figure goes on all fours

_SAME_SIDE = 0.6  # cosine between the lines from right to left of hips and shoulders

_SHORTEST_LIMB = 0.25  # of a leg or an arm, in parts of the torso


@dataclass(frozen=True)
class Stance:
    """The axes of a figure at rest, if its limbs are named with the right sides.

    Attributes:
        up: [3] unit vector from the hips to the shoulders.
        ahead: [3] unit vector.
        evidence: That ahead is ahead; below zero it is behind, and the sides are swapped.
    """

    up: Array
    ahead: Array
    evidence: float


def stance(figure: Figure, joints: Mapping[str, int]) -> Stance:
    """How the figure stands whose limbs are these.

    Args:
        figure: N joints.
        joints: Hips, knees, ankles, shoulders, elbows and wrists by their names.
    """
    at = {joint: figure.heads[number] for joint, number in joints.items()}

    def middle(joint: str) -> Array:
        return np.asarray((at[f"left_{joint}"] + at[f"right_{joint}"]) / 2)

    up = _unit(middle("shoulder") - middle("hip"))
    left = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    left = _unit(left - left @ up * up)
    ahead = np.cross(left, up)
    evidence = 0.35 * float(left[0])
    for side in ("left", "right"):
        foot = _foot(figure, joints[f"{side}_ankle"])
        evidence += 1.5 * float(foot @ ahead)
        leg = [at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle")]
        arm = [at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")]
        evidence += float(np.clip(15.0 * _bend(*leg) @ ahead, -0.5, 0.5))
        evidence -= float(np.clip(10.0 * _bend(*arm) @ ahead, -0.35, 0.35))
        evidence += 0.4 * float(_thumb(figure, joints[f"{side}_wrist"]) @ ahead)
    return Stance(up, ahead, evidence)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def _foot(figure: Figure, ankle: int) -> Array:
    """[3] direction of the foot: to the furthest joint after the ankle, or the bone's tail."""
    below = figure.below(ankle)[1:]
    if below:
        ends = figure.heads[below] - figure.heads[ankle]
        far = ends[int(np.argmax(np.linalg.norm(ends, axis=-1)))]
        if np.linalg.norm(far) > 0.0:
            return _unit(far)
    bone = figure.bones[ankle]
    return 0.2 * _unit(bone.tail - bone.head)  # importers turn end bones as they like


def _bend(upper: Array, middle: Array, lower: Array) -> Array:
    """[3] how far the middle joint is off the line of the others, in parts of the limb."""
    line = lower - upper
    length = max(float(np.linalg.norm(line)), 1e-12)
    to_middle = middle - upper
    return np.asarray((to_middle - to_middle @ line / length**2 * line) / length)


def _thumb(figure: Figure, wrist: int) -> Array:
    """[3] direction from the other fingers to the thumb, the one that begins nearest the wrist."""
    fingers = [child for child in figure.children[wrist] if figure.size[child] > 1]
    if len(fingers) < 3:
        return np.zeros(3)
    fingers.sort(key=lambda finger: figure.apart[wrist][finger])
    others = figure.heads[fingers[1:]]
    return _unit(figure.heads[fingers[0]] - others.mean(axis=0))


def objection(figure: Figure, joints: Mapping[str, int]) -> str | None:
    """What speaks against these being the limbs of a person; None where nothing does.

    Args:
        figure: N joints.
        joints: Hips, knees, ankles, shoulders, elbows and wrists by their names.
    """
    limbs = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
    lengths: dict[str, list[float]] = {}
    for side in ("left", "right"):
        for limb in limbs:
            for upper, lower in pairwise(limb):
                one, other = joints[f"{side}_{upper}"], joints[f"{side}_{lower}"]
                if not figure.is_below(other, one):
                    return f"its {side} {lower} does not hang on its {side} {upper}"
                lengths.setdefault(lower, []).append(figure.apart[one][other])
    for limb in limbs:
        both = [length for joint in limb[1:] for length in lengths[joint]]
        if min(both) <= 0.0 or max(both) > 6.0 * min(both):
            return f"the bones between {limb[0]}, {limb[1]} and {limb[2]} differ too much in length"
        if any(max(lengths[joint]) > 1.6 * min(lengths[joint]) for joint in limb[1:]):
            return f"its bones from {limb[0]} to {limb[2]} are not as long on both sides"
    hips, shoulders = (
        (figure.heads[joints[f"left_{joint}"]] + figure.heads[joints[f"right_{joint}"]]) / 2
        for joint in ("hip", "shoulder")
    )
    for limb in limbs:
        length = sum(lengths[limb[1]] + lengths[limb[2]]) / 2
        if length < _SHORTEST_LIMB * np.linalg.norm(shoulders - hips):
            return f"its bones from {limb[0]} to {limb[2]} are too short for its torso"
    if not _side_by_side(figure, joints):
        return "its arms are not on the same sides as its legs"
    if _across(figure, joints):
        return "its torso lies across its legs, as that of an animal on all fours or of a bird"
    return None


def _side_by_side(figure: Figure, joints: Mapping[str, int]) -> bool:
    """Whether the line between the hips runs as that between the shoulders does."""
    hips, shoulders = (
        _unit(figure.heads[joints[f"left_{joint}"]] - figure.heads[joints[f"right_{joint}"]])
        for joint in ("hip", "shoulder")
    )
    return bool(hips @ shoulders > _SAME_SIDE)


def _across(figure: Figure, joints: Mapping[str, int]) -> bool:
    """Whether the torso, from limb to limb or along the spine, is at an angle to the legs."""
    at = {
        joint: (figure.heads[joints[f"left_{joint}"]] + figure.heads[joints[f"right_{joint}"]]) / 2
        for joint in ("hip", "ankle", "shoulder")
    }
    legs = _unit(at["ankle"] - at["hip"])
    torso = at["shoulder"] - at["hip"]
    chest = figure.common(joints["left_shoulder"], joints["right_shoulder"])
    base = figure.common(joints["left_hip"], joints["right_hip"])
    lines = [torso]
    if min(chest, base) >= 0 and figure.apart[chest][base] > 0.4 * np.linalg.norm(torso):
        lines.append(figure.heads[chest] - figure.heads[base])
    return any(abs(float(_unit(line) @ legs)) < _SIDEWAYS_TORSO for line in lines)
