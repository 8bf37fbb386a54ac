# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs of people made to order: few or many bones, odd proportions, clothes, tails and targets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from t2m_blender.retarget import Bone, Rig


@dataclass(frozen=True)
class Order:
    """What the person is to be like: metres, z up, facing -y unless told otherwise."""

    spine: int = 3
    neck: int = 1
    collars: int = 1
    toes: bool = True
    fingers: int = 5
    face: int = 0
    twist: str = ""  # "chain": in the limbs, "sibling": beside their lower halves
    arms: str = "T"
    roots: tuple[str, ...] = ()
    split_hips: bool = False  # legs on one bone, spine on another, both on a third, as in MMD
    hip_stubs: bool = False
    leg: float = 1.0
    arm: float = 1.0
    torso: float = 1.0
    head: float = 1.0
    feet_down: bool = False
    with_: tuple[str, ...] = ()
    yaw_deg: float = 0.0
    y_up: bool = False
    size: float = 1.0
    noise: float = 0.0


@dataclass
class _Maker:
    bones: list[Bone] = field(default_factory=list)

    def add(self, name: str, parent: str | None, head, tail, deform: bool = True) -> str:
        head, tail = np.array(head, float), np.array(tail, float)
        matrix = np.eye(4)
        matrix[:3, 3] = head
        self.bones.append(Bone(name, parent, head, tail, matrix, deform=deform))
        return name

    def chain(self, name: str, parent: str | None, points) -> str:
        """A bone from each point to the next; the name of the last."""
        points = [np.array(point, float) for point in points]
        for number, (head, tail) in enumerate(pairwise(points)):
            parent = self.add(f"{name}{number}", parent, head, tail)
        return str(parent)


def person(order: Order) -> tuple[Rig, dict[str, str]]:
    """The rig, and joint -> bone as they are to be found."""
    make, truth = _Maker(), {}
    leg, torso, arm = 0.9 * order.leg, 0.5 * order.torso, 0.56 * order.arm
    floor = np.zeros(3)
    hips = np.array([0.0, 0.02, leg + 0.05])
    parent: str | None = None
    for number, root in enumerate(order.roots):
        at = floor if number == 0 else hips
        parent = make.add(root, parent, at, at + [0.0, 0.0, 0.1])
    pelvis = truth["pelvis"] = make.add("hips", parent, hips, hips + [0, 0, 0.1])
    legs = make.add("lower", pelvis, hips, hips - [0, 0, 0.1]) if order.split_hips else pelvis
    chest, shoulder_z = _torso(make, truth, order, pelvis, hips, torso)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _leg(make, truth, order, side, sign, legs, hips, leg)
        _arm(make, truth, order, side, sign, chest, shoulder_z, arm)
    _extras(make, truth, order, pelvis, chest, hips, shoulder_z, leg)
    return _turned(Rig("person", tuple(make.bones)), order), truth


def _torso(make, truth, order, pelvis, hips, torso):
    shoulder_z = hips[2] + torso
    chest = pelvis
    steps = np.linspace(hips[2] + 0.1 * torso, shoulder_z - 0.05, order.spine + 1)
    for number in range(order.spine):
        y = 0.02 - 0.01 * number
        chest = make.add(
            f"spine{number}", chest, (0, y, steps[number]), (0, y - 0.01, steps[number + 1])
        )
    if order.spine:
        truth["spine3"] = chest
    if order.spine > 1:
        truth["spine1"] = "spine0"
    if order.spine > 2:
        truth["spine2"] = f"spine{order.spine // 2}"
    top = chest
    neck_z = np.linspace(shoulder_z + 0.02, shoulder_z + 0.02 + 0.12 * order.torso, order.neck + 1)
    for number in range(order.neck):
        top = make.add(f"neck{number}", top, (0, 0.01, neck_z[number]), (0, 0, neck_z[number + 1]))
    if order.neck:
        truth["neck"] = "neck0"
    at = np.array([0, 0, neck_z[-1]])
    truth["head"] = make.add("head", top, at, at + [0, 0, 0.2 * order.head])
    if order.face:
        random = np.random.default_rng(3)
        face = make.add("face", "head", at, at + [0, 0, 0.05])
        for number in range(order.face // 2):
            x, y, z = random.uniform((0.01, -0.12, 0.0), (0.07, -0.02, 0.18)) * order.head
            for side, sign in (("L", 1.0), ("R", -1.0)):
                first = make.add(
                    f"face{number}{side}", face, at + [sign * x, y, z], at + [sign * x * 1.3, y, z]
                )
                make.add(
                    f"lid{number}{side}",
                    first,
                    at + [sign * x * 1.3, y, z],
                    at + [sign * x * 1.6, y, z],
                )
    return chest, shoulder_z


def _leg(make, truth, order, side, sign, parent, hips, leg):
    hip = np.array([0.09 * sign, 0.0, leg])
    knee = np.array([0.1 * sign, -0.015, 0.5 * leg])
    low = min(1.0, order.leg) ** 0.5
    ankle = np.array([0.1 * sign, 0.02, 0.09 * low])
    to_ball = [0, -0.02, -0.13] if order.feet_down else [0.01 * sign, -0.12, -0.07]
    ball = ankle + low * np.array(to_ball)
    tip = ball + low * np.array([0, -0.01, -0.07] if order.feet_down else [0, -0.07, 0])
    if order.hip_stubs:
        parent = make.add(f"{side}_stub", parent, hips, hip)
    truth[f"{side}_hip"] = parent = make.add(f"{side}_thigh", parent, hip, knee)
    if order.twist == "chain":
        parent = make.add(f"{side}_thigh_twist", parent, (hip + knee) / 2, knee)
    if order.twist == "sibling":
        make.add(f"{side}_thigh_twist", parent, (hip + knee) / 2, knee)
    truth[f"{side}_knee"] = parent = make.add(f"{side}_shin", parent, knee, ankle)
    if order.twist == "chain":
        parent = make.add(f"{side}_shin_twist", parent, (knee + ankle) / 2, ankle)
    if order.twist == "sibling":
        make.add(f"{side}_shin_twist", parent, (knee + ankle) / 2, ankle)
    truth[f"{side}_ankle"] = foot = make.add(f"{side}_foot", parent, ankle, ball)
    if order.toes:
        truth[f"{side}_foot"] = toe = make.add(f"{side}_toe", foot, ball, tip)
        if "toes" in order.with_:
            for number in range(5):
                make.chain(
                    f"{side}_digit{number}_",
                    toe,
                    [tip + [0.02 * (number - 2), d, 0] for d in (0, -0.02, -0.04)],
                )
    if "heel" in order.with_:
        make.add(f"{side}_heel", foot, ankle + [0, 0.06, -0.09], ankle + [0.04, 0.06, -0.09])


def _arm(make, truth, order, side, sign, chest, shoulder_z, arm):
    way = {"T": (1.0, 0.0, 0.0), "A": (0.7, 0.0, -0.7), "down": (0.1, 0.0, -0.99)}[order.arms]
    way = np.array(way) * [sign, 1, 1]
    back = np.array([0.0, 0.012, 0.0])
    shoulder = np.array([0.17 * sign, 0.02, shoulder_z])
    elbow = shoulder + 0.51 * arm * way + back
    wrist = shoulder + arm * way
    parent = chest
    if order.collars:
        collar = np.array([0.02 * sign, 0.0, shoulder_z - 0.01])
        truth[f"{side}_collar"] = parent = make.add(f"{side}_collar", parent, collar, shoulder)
    if order.collars > 1:
        parent = make.add(f"{side}_scapula", parent, (collar + shoulder) / 2, shoulder)
    truth[f"{side}_shoulder"] = parent = make.add(f"{side}_upper", parent, shoulder, elbow)
    if order.twist == "chain":
        parent = make.add(f"{side}_upper_twist", parent, (shoulder + elbow) / 2, elbow)
    if order.twist == "sibling":
        make.add(f"{side}_upper_twist", parent, (shoulder + elbow) / 2, elbow)
    truth[f"{side}_elbow"] = parent = make.add(f"{side}_fore", parent, elbow, wrist)
    if order.twist == "chain":
        parent = make.add(f"{side}_fore_twist", parent, (elbow + wrist) / 2, wrist)
    if order.twist == "sibling":
        for number in range(3):
            make.add(
                f"{side}_fore_twist{number}",
                parent,
                elbow + (0.2 + 0.3 * number) * (wrist - elbow),
                wrist,
            )
    truth[f"{side}_wrist"] = hand = make.add(f"{side}_hand", parent, wrist, wrist + 0.09 * way)
    for number in range(order.fingers):
        spread = np.array([0, 0.02 * (number - 2), 0])
        base = wrist + (0.03 if number == 0 else 0.09) * way + spread * (1.5 if number == 0 else 1)
        make.chain(
            f"{side}_finger{number}_", hand, [base + d * way for d in (0, 0.03, 0.055, 0.075)]
        )
    if f"{side}_sword" in order.with_:
        make.chain(f"{side}_sword", hand, [wrist + 0.08 * way + [0, -d, 0] for d in (0, 0.2, 0.9)])


def _extras(make, truth, order, pelvis, chest, hips, shoulder_z, leg):
    head = next(bone for bone in make.bones if bone.name == "head").head
    wanted = set(order.with_)
    pairs = (("L", 1.0), ("R", -1.0))
    if "ponytail" in wanted:
        make.chain(
            "ponytail", "head", [head + [0, 0.1 + 0.02 * k, 0.12 - 0.15 * k] for k in range(8)]
        )
    if "twin_tails" in wanted:
        for side, sign in pairs:
            make.chain(
                f"twin{side}",
                "head",
                [head + [sign * (0.1 + 0.03 * k), 0.05, 0.15 - 0.16 * k] for k in range(8)],
            )
    for kind, length, count in (("skirt", 0.45, 8), ("gown", 0.95, 12)):
        if kind in wanted:
            for number in range(count):
                angle = 2 * np.pi * (number + 0.5) / count
                out = np.array([np.sin(angle), np.cos(angle), 0])
                make.chain(
                    f"{kind}{number}_",
                    pelvis,
                    [
                        hips + 0.13 * out + k * (0.04 * out - [0, 0, length * leg / 4])
                        for k in range(5)
                    ],
                )
    if "cape" in wanted:
        for number, x in enumerate((-0.15, 0.0, 0.15)):
            make.chain(
                f"cape{number}_",
                chest,
                [[x, 0.12 + 0.02 * k, shoulder_z - 0.2 * k] for k in range(6)],
            )
    if "tail" in wanted:
        make.chain("tail", pelvis, [hips + [0, 0.1 + 0.12 * k, -0.06 * k] for k in range(9)])
    if "wings" in wanted:
        for side, sign in pairs:
            tip = make.chain(
                f"wing{side}",
                chest,
                [
                    [sign * x, 0.12 + 0.05 * k, shoulder_z - 0.1 + 0.1 * k]
                    for k, x in enumerate((0.05, 0.35, 0.8, 1.2))
                ],
            )
            for number in range(3):
                make.chain(
                    f"feather{side}{number}",
                    tip,
                    [[sign * (1.0 + d), 0.3, shoulder_z - 0.2 * number + d] for d in (0, 0.2, 0.4)],
                )
    if "breasts" in wanted:
        for side, sign in pairs:
            make.chain(
                f"breast{side}",
                chest,
                [[sign * 0.08, y, shoulder_z - 0.15] for y in (-0.05, -0.1, -0.13)],
            )
    if "ears" in wanted:
        for side, sign in pairs:
            make.chain(
                f"ear{side}",
                "head",
                [head + [sign * (0.08 + 0.02 * k), 0, 0.2 + 0.1 * k] for k in range(4)],
            )
    if "head_end" in wanted:
        make.add("head_end", "head", head + [0, 0, 0.2], head + [0, 0, 0.4])
    if "targets" in wanted:
        root = order.roots[0] if order.roots else None
        for side, sign in pairs:
            make.add(f"ik_foot{side}", root, [0.1 * sign, 0.02, 0.09], [0.1 * sign, 0.2, 0.09])
            make.add(
                f"ik_hand{side}",
                root,
                [0.7 * sign, 0.02, shoulder_z],
                [0.9 * sign, 0.02, shoulder_z],
            )
            make.add(f"pole_knee{side}", root, [0.1 * sign, -9.0, 0.5], [0.1 * sign, -9.2, 0.5])
            make.chain(
                f"roll{side}",
                root,
                [[0.1 * sign, y, z] for y, z in ((0.1, 0), (-0.1, 0), (-0.1, 0.05), (0.02, 0.09))],
            )
    if "sleeves" in wanted:
        for side in ("left", "right"):
            fore = next(bone for bone in make.bones if bone.name == f"{side}_fore")
            middle = (fore.head + fore.tail) / 2
            make.chain(
                f"{side}_sleeve", fore.name, [middle - [0, 0, d] for d in (0.05, 0.25, 0.45, 0.6)]
            )
    if "pauldrons" in wanted:
        for side, sign in pairs:
            make.chain(
                f"pad{side}",
                chest,
                [
                    [sign * x, 0, shoulder_z + z]
                    for x, z in ((0.12, 0.05), (0.2, 0.12), (0.28, 0.1), (0.32, 0.02))
                ],
            )
    if "scabbard" in wanted:
        make.chain(
            "scabbard", pelvis, [hips + [0.15, y, z] for y, z in ((0, 0), (0.3, -0.2), (0.8, -0.5))]
        )
    if "pants" in wanted:
        for side in ("left", "right"):
            shin = next(bone for bone in make.bones if bone.name == f"{side}_shin")
            make.chain(
                f"{side}_pants",
                shin.name,
                [shin.head + k * (shin.tail - shin.head) / 3 + [0, 0.1, 0] for k in range(4)],
            )
    if (
        "double" in wanted
    ):  # the limbs once more in the same places, as control and helper bones are
        legs = ("left_thigh", "left_shin", "left_foot", "right_thigh", "right_shin", "right_foot")
        for bone in [bone for bone in make.bones if bone.name.startswith(legs)]:
            copied = str(bone.parent).startswith(legs)
            parent = f"double_{bone.parent}" if copied else bone.parent
            make.add(f"double_{bone.name}", parent, bone.head, bone.tail, deform=False)
    if "arms4" in wanted:
        for side, sign in pairs:
            make.chain(
                f"more{side}",
                "spine1",
                [[sign * x, 0.03, shoulder_z - 0.25] for x in (0.02, 0.16, 0.42, 0.68, 0.76)],
            )
    if "backpack" in wanted:
        make.chain(
            "backpack",
            chest,
            [[0, 0.15, shoulder_z - 0.1], [0, 0.25, shoulder_z - 0.1], [0, 0.25, shoulder_z + 0.4]],
        )


def _turned(rig: Rig, order: Order) -> Rig:
    angle = np.radians(order.yaw_deg)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    if order.y_up:
        turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ turn
    random = np.random.default_rng(11)

    def moved(bone: Bone) -> Bone:
        shift = random.normal(0.0, order.noise, 3) if order.noise else np.zeros(3)
        head, tail = (order.size * turn @ (end + shift) for end in (bone.head, bone.tail))
        matrix = np.eye(4)
        matrix[:3, 3] = head
        return replace(bone, head=head, tail=tail, matrix=matrix)

    return replace(rig, bones=tuple(map(moved, rig.bones)))


def nonsense(rig: Rig) -> tuple[Rig, dict[str, str]]:
    """The rig under names that say nothing, and new name -> old name."""
    numbers = np.random.default_rng(0).permutation(len(rig.bones))
    names = {bone.name: f"q{number:04d}" for bone, number in zip(rig.bones, numbers, strict=True)}
    bones = tuple(
        replace(bone, name=names[bone.name], parent=bone.parent and names[bone.parent])
        for bone in rig.bones
    )
    return replace(rig, bones=bones), {new: old for old, new in names.items()}
