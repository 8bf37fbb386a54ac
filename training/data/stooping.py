# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who stands goes down and comes up again: to pick something up, or in a squat.

The hips sink and go back, the trunk leans forward, the feet stay where they are, and for picking up
one hand or both reach the floor ahead of the feet. Breath and sway are those of the capture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from t2m_blender.engine.rotations import normalise, quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.body_parts import smoothed_facing, upper_joints
from training.data.floor import Array
from training.data.legs import reaching_legs, reaching_limb

_UP = np.array([0.0, 1.0, 0.0])
# The share of the trunk's lean that each bone has, by the joint at its lower end.
_LEAN = {"spine1": 0.55, "spine2": 0.8}
_NOD = 0.75  # of the head


@dataclass(frozen=True)
class Stoop:
    """How somebody goes down.

    Attributes:
        begin, low, high, end: seconds: leaves the standing pose, is down, rises, stands again.
        sink, back: metres that the hips go down and back.
        lean: degrees of the trunk.
        hands: "left", "right", both or none, which reach the floor.
        ahead, height: metres from between the ankles to where a hand reaches, and over the floor.
        lift: metres over where a hand hung that it holds, at the end, what it has picked up.
    """

    begin: float
    low: float
    high: float
    end: float
    sink: float
    back: float
    lean: float
    hands: tuple[str, ...] = ()
    ahead: float = 0.3
    height: float = 0.12
    lift: float = 0.0


def drawn_pick_up(random: np.random.Generator, hands: tuple[str, ...]) -> Stoop:
    """Down for something on the floor, and up again."""
    begin, down = random.uniform(0.2, 0.7), random.uniform(0.7, 1.1)
    hold, up = random.uniform(0.15, 0.5), random.uniform(0.8, 1.2)
    bends = random.uniform(0.0, 1.0)  # 0 from the hips, 1 from the knees
    return Stoop(
        begin=begin, low=begin + down, high=begin + down + hold, end=begin + down + hold + up,
        sink=0.26 + 0.24 * bends, back=0.14 - 0.05 * bends, lean=100.0 - 38.0 * bends,
        hands=hands, ahead=random.uniform(0.2, 0.36), height=random.uniform(0.06, 0.2),
        lift=random.uniform(0.0, 0.3),
    )  # fmt: skip


def drawn_squat(random: np.random.Generator) -> Stoop:
    """Down in the knees and up again."""
    begin, down = random.uniform(0.2, 0.6), random.uniform(0.6, 1.0)
    hold, up = random.uniform(0.05, 0.6), random.uniform(0.6, 1.0)
    return Stoop(
        begin=begin, low=begin + down, high=begin + down + hold, end=begin + down + hold + up,
        sink=random.uniform(0.42, 0.56), back=random.uniform(0.06, 0.12),
        lean=random.uniform(22.0, 42.0),
    )  # fmt: skip


def stooped(joints: Array, stoop: Stoop, skeleton: Skeleton) -> Array:
    """Somebody who stands [T, J, 3], on the floor at height 0, going down and up again."""
    names = skeleton.joint_names
    lengths = np.linalg.norm(skeleton.offsets, axis=-1)
    time = np.arange(len(joints)) / skeleton.fps
    down = _eased((time - stoop.begin) / (stoop.low - stoop.begin))
    up = _eased((time - stoop.high) / (stoop.end - stoop.high))
    share = down - up
    yaw = smoothed_facing(joints, skeleton)
    ahead = np.stack((np.sin(yaw), np.zeros_like(yaw), np.cos(yaw)), axis=1)
    left = np.cross(_UP, ahead)

    result = joints - (share[:, None] * (stoop.sink * _UP + stoop.back * ahead))[:, None]
    base = result.copy()
    for joint in upper_joints(skeleton):
        parent = skeleton.parents[joint]
        part = _NOD if names[joint] == "head" else _LEAN.get(names[parent], 1.0)
        pitch = quaternion_from_axis_angle(left, np.radians(stoop.lean) * part * share)
        turned = quaternion_rotate(pitch, base[:, joint] - base[:, parent])
        hangs = names[joint].endswith(("elbow", "wrist"))
        bone = base[:, joint] - base[:, parent] if hangs else turned
        result[:, joint] = result[:, parent] + lengths[joint] * normalise(bone)
    ankles = [skeleton.left_feet[0], skeleton.right_feet[0]]
    toes = [skeleton.left_feet[1], skeleton.right_feet[1]]
    feet = joints[:, toes] - joints[:, ankles]
    result = reaching_legs(result, joints[:, ankles], feet, skeleton)

    middle = joints[:, ankles].mean(axis=1) * [1.0, 0.0, 1.0]
    for side in stoop.hands:
        shoulder, elbow, wrist = (
            names.index(f"{side}_{j}") for j in ("shoulder", "elbow", "wrist")
        )
        aside = (0.12 if side == "left" else -0.12) * left
        floor = middle + stoop.ahead * ahead + stoop.height * _UP + aside
        carried = result[:, wrist] + stoop.lift * _UP + 0.6 * stoop.lift * ahead
        own = (1.0 - up)[:, None] * result[:, wrist] + up[:, None] * carried
        reach = (share**1.5)[:, None]
        place = (1.0 - reach) * own + reach * floor
        result[:, elbow], result[:, wrist] = reaching_limb(
            result[:, [shoulder, elbow, wrist]], place, -0.02 * ahead,
            (float(lengths[elbow]), float(lengths[wrist])),
        )  # fmt: skip
    return result


def _eased(share: Array) -> Array:
    held = np.clip(share, 0.0, 1.0)
    return np.asarray(held * held * (3.0 - 2.0 * held))
