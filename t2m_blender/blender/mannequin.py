# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of the add-on's own figure: a mannequin of smooth shells and dark joints, as numbers.

Positions are taken from the rig's bones at rest: the body fits whatever lengths the skeleton has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..engine.rotations import normalise
from ..retarget.rig import Array, Rig
from .loft import BACK, LEFT, UP, Station, Surface, around, ball, loft, smooth

SHELL, JOINT = 0, 1

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class BodyMesh:
    """A closed-shell mesh with its skinning.

    Attributes:
        vertices: [V, 3] metres, in the rig's armature space.
        faces: Vertex numbers of each polygon, seen counter-clockwise from outside.
        materials: Per face `SHELL` or `JOINT`.
        weights: Bone name -> (vertex numbers, weights).
    """

    vertices: Array
    faces: list[tuple[int, ...]]
    materials: list[int]
    weights: dict[str, tuple[Indices, Array]]


@dataclass(eq=False)
class _Body:
    rig: Rig
    parts: list[Array] = field(default_factory=list)
    faces: list[tuple[int, ...]] = field(default_factory=list)
    materials: list[int] = field(default_factory=list)
    weights: dict[str, list[tuple[Indices, Array]]] = field(default_factory=dict)
    count: int = 0

    def head(self, bone: str) -> Array:
        return self.rig.by_name[bone].head

    def add(
        self,
        part: Surface,
        weights: str | dict[str, Array],
        material: int = SHELL,
    ) -> None:
        vertices, faces = part
        shares = {weights: np.ones(len(vertices))} if isinstance(weights, str) else weights
        numbers = np.arange(self.count, self.count + len(vertices))
        for bone, share in shares.items():
            used = share > 1e-4
            self.weights.setdefault(bone, []).append((numbers[used], share[used]))
        self.parts.append(vertices)
        self.faces += [tuple(v + self.count for v in face) for face in faces]
        self.materials += [material] * len(faces)
        self.count += len(vertices)


def mannequin(rig: Rig) -> BodyMesh:
    """The body for the rig of `retarget.default_rig`."""
    body = _Body(rig)
    _torso(body)
    _head(body)
    for side, out in ((".L", LEFT), (".R", -LEFT)):
        _leg(body, side, out)
        _foot(body, side, out)
        _arm(body, side, out)
        _hand(body, side, out)
    weights = {
        bone: (np.concatenate([n for n, _ in pairs]), np.concatenate([w for _, w in pairs]))
        for bone, pairs in body.weights.items()
    }
    return BodyMesh(np.concatenate(body.parts), body.faces, body.materials, weights)


def _torso(body: _Body) -> None:
    pelvis, waist, ribs = body.head("pelvis"), body.head("spine1"), body.head("spine2")
    chest, neck = body.head("spine3"), body.head("neck")

    def ring(
        at: Array, z: float, y: float, width: float, front: float, back: float, n: float
    ) -> Station:
        return (*(at * UP + UP * z + BACK * y), width, back, front, n)

    # Rows: height above the joint, y, half width, depth ahead and behind, squareness.
    hips = [
        ring(pelvis, -0.150, 0.005, 0.040, 0.050, 0.055, 2.0),
        ring(pelvis, -0.115, 0.005, 0.100, 0.080, 0.090, 2.2),
        ring(pelvis, -0.060, 0.005, 0.150, 0.095, 0.108, 2.4),
        ring(pelvis, 0.000, 0.005, 0.152, 0.096, 0.104, 2.4),
        ring(pelvis, 0.055, 0.005, 0.136, 0.088, 0.084, 2.4),
    ]
    body.add(loft(hips, LEFT, BACK, segments=22, rings=2, caps=(0.02, 0.018)), "pelvis")
    middle = [
        ring(pelvis, 0.020, 0.005, 0.112, 0.074, 0.070, 2.3),
        ring(waist, 0.000, 0.004, 0.106, 0.074, 0.065, 2.2),
        ring(waist, 0.070, 0.002, 0.102, 0.075, 0.064, 2.2),
        ring(ribs, 0.000, 0.000, 0.112, 0.080, 0.071, 2.2),
        ring(chest, 0.010, 0.000, 0.124, 0.086, 0.078, 2.3),
    ]
    tube = loft(middle, LEFT, BACK, segments=22, rings=2, caps=(0.01, 0.01))
    heights = [pelvis[2] + 0.03, waist[2] + 0.01, ribs[2] - 0.02, chest[2] - 0.01]
    body.add(tube, _blend(tube[0][:, 2], heights, ["pelvis", "spine1", "spine2", "spine3"]), JOINT)
    shell = [
        ring(chest, -0.075, 0.000, 0.124, 0.090, 0.080, 2.4),
        ring(chest, -0.035, 0.000, 0.142, 0.106, 0.096, 2.4),
        ring(chest, 0.030, 0.002, 0.156, 0.118, 0.104, 2.5),
        ring(chest, 0.090, 0.006, 0.164, 0.118, 0.104, 2.5),
        ring(chest, 0.140, 0.012, 0.154, 0.096, 0.092, 2.4),
        ring(chest, 0.180, 0.020, 0.108, 0.068, 0.068, 2.2),
        ring(neck, -0.014, 0.020, 0.066, 0.054, 0.054, 2.0),
    ]
    body.add(loft(shell, LEFT, BACK, segments=26, rings=2, caps=(0.02, 0.012)), "spine3")


def _head(body: _Body) -> None:
    neck, head = body.head("neck"), body.head("head")
    ahead = head + np.array([0.0, 0.018, 0.035])
    column = [
        (*(neck - UP * 0.03), 0.047, 0.047, 0.047, 2.0),
        (*((neck + ahead) / 2), 0.044, 0.046, 0.046, 2.0),
        (*ahead, 0.046, 0.046, 0.046, 2.0),
    ]
    tube = loft(column, LEFT, BACK, segments=16)
    body.add(tube, _blend(tube[0][:, 2], [neck[2], head[2]], ["neck", "head"]), JOINT)

    def ring(
        z: float, y: float, width: float, front: float, back: float, n: float = 2.2
    ) -> Station:
        return (*(head + np.array([0.0, y, z])), width, back, front, n)

    skull = [
        ring(-0.034, -0.052, 0.026, 0.030, 0.026),
        ring(-0.012, -0.040, 0.049, 0.052, 0.046),
        ring(0.024, -0.022, 0.064, 0.076, 0.070),
        ring(0.062, -0.012, 0.073, 0.088, 0.090),
        ring(0.100, -0.008, 0.078, 0.092, 0.100),
        ring(0.136, -0.004, 0.073, 0.085, 0.095),
        ring(0.160, 0.000, 0.058, 0.068, 0.076, 2.0),
    ]
    body.add(loft(skull, LEFT, BACK, segments=24, rings=2, caps=(0.008, 0.030)), "head")
    body.add(_visor(np.array(skull)), "head", JOINT)
    for out in (LEFT, -LEFT):
        ear = head + out * 0.069 + BACK * 0.012 + UP * 0.062
        rows = [(*ear, 0.021, 0.021, 0.021, 2.0), (*(ear + out * 0.012), 0.019, 0.019, 0.019, 2.0)]
        body.add(loft(rows, UP, BACK, segments=14, rings=1, caps=(0.002, 0.004)), "head", JOINT)


def _visor(skull: Array) -> Surface:
    """A dark shield over the upper face, which tells where the figure looks."""
    rows = smooth(skull, 8)
    across, rings = 28, 4
    angles = np.linspace(0.0, 2.0 * np.pi, across, endpoint=False)
    squared = np.stack(
        [np.sign(f(angles)) * np.abs(f(angles)) ** (2.0 / 3.2) for f in (np.cos, np.sin)]
    )
    bottom, top = skull[2, 2] + 0.012, skull[4, 2] + 0.012
    layers = []
    for size, lift in ((1.03, -0.004), (1.0, 0.004), (0.9, 0.0065), (0.6, 0.008)):
        angle = squared[0] * size * 0.92 - np.pi / 2.0
        height = (bottom + top) / 2.0 + squared[1] * size * (top - bottom) / 2.0
        x, y, width, front = (np.interp(height, rows[:, 2], rows[:, k]) for k in (0, 1, 3, 5))
        layers.append(
            np.stack(
                (x + np.cos(angle) * (width + lift), y + np.sin(angle) * (front + lift), height),
                axis=-1,
            )
        )
    middle = layers[-1].mean(axis=0) - [0.0, 0.006, 0.0]
    vertices = np.concatenate((*layers, middle[None]))
    faces = [
        (ring * across + i, ring * across + j, (ring + 1) * across + j, (ring + 1) * across + i)
        for ring in range(rings - 1)
        for i, j in around(across)
    ]
    last = (rings - 1) * across
    return vertices, [*faces, *((last + i, last + j, rings * across) for i, j in around(across))]


def _leg(body: _Body, side: str, out: Array) -> None:
    hip, knee, ankle = body.head("thigh" + side), body.head("shin" + side), body.head("foot" + side)
    # Rows: share of the bone, outward, backward, half width, depth ahead and behind.
    thigh = [
        (0.02, 0.030, 0.000, 0.066, 0.074, 0.078),
        (0.12, 0.027, 0.000, 0.074, 0.082, 0.084),
        (0.35, 0.018, -0.004, 0.069, 0.080, 0.076),
        (0.65, 0.007, -0.004, 0.056, 0.066, 0.060),
        (0.88, 0.001, 0.000, 0.049, 0.054, 0.050),
    ]
    body.add(_limb(hip, knee, thigh, out, caps=(0.04, 0.022)), "thigh" + side)
    body.add(ball(knee - BACK * 0.004, 0.048), "shin" + side, JOINT)
    shin = [
        (0.08, 0.000, 0.000, 0.045, 0.046, 0.046),
        (0.22, 0.004, 0.006, 0.052, 0.048, 0.060),
        (0.38, 0.004, 0.010, 0.051, 0.046, 0.062),
        (0.62, 0.001, 0.006, 0.041, 0.040, 0.048),
        (0.86, 0.000, 0.002, 0.033, 0.036, 0.036),
    ]
    body.add(_limb(knee, ankle, shin, out, caps=(0.018, 0.016)), "shin" + side)
    body.add(ball(ankle + BACK * 0.004 + UP * 0.014, 0.035), "foot" + side, JOINT)


def _foot(body: _Body, side: str, out: Array) -> None:
    ankle, ball = body.head("foot" + side), body.head("toe" + side)
    floor = min(ball[2], body.head("toe.L")[2]) - 0.002
    ahead = normalise((ball - ankle) * [1, 1, 0])
    across = np.cross(UP, ahead)
    reach = float(np.linalg.norm((ball - ankle)[:2]))

    def ring(at: float, width: float, height: float, sole: float = 0.0) -> Station:
        centre = ankle * [1, 1, 0] + ahead * at + UP * (floor + sole + height / 2)
        return (*centre, width, height / 2, height / 2, 2.7)

    foot = [
        ring(-0.058, 0.028, 0.052, 0.004),
        ring(-0.035, 0.034, 0.068),
        ring(0.010, 0.035, 0.084),
        ring(0.050, 0.037, 0.073),
        ring(reach - 0.018, 0.044, 0.052),
    ]
    body.add(loft(foot, across, UP, segments=14, rings=2, caps=(0.012, 0.018)), "foot" + side)
    toe = [
        ring(reach + 0.006, 0.043, 0.044),
        ring(reach + 0.030, 0.042, 0.038),
        ring(reach + 0.052, 0.034, 0.030),
    ]
    body.add(loft(toe, across, UP, segments=14, rings=2, caps=(0.022, 0.018)), "toe" + side)


def _arm(body: _Body, side: str, out: Array) -> None:
    collar, shoulder = body.head("collar" + side), body.head("upper_arm" + side)
    elbow, wrist = body.head("forearm" + side), body.head("hand" + side)
    yoke = [
        (*(collar + UP * 0.038 - out * 0.03), 0.040, 0.046, 0.048, 2.0),
        (*(collar + UP * 0.022 + out * 0.05), 0.048, 0.046, 0.050, 2.0),
        (*(shoulder + UP * 0.008 - out * 0.03), 0.048, 0.046, 0.048, 2.0),
    ]
    body.add(loft(yoke, BACK, UP, segments=14, rings=2, caps=(0.02, 0.02)), "collar" + side, JOINT)
    upper = [
        (-0.02, 0.006, 0.000, 0.054, 0.056, 0.056),
        (0.10, 0.004, 0.000, 0.056, 0.056, 0.056),
        (0.30, 0.000, 0.000, 0.049, 0.050, 0.048),
        (0.60, 0.000, 0.000, 0.042, 0.044, 0.044),
        (0.88, 0.000, 0.000, 0.036, 0.038, 0.038),
    ]
    body.add(_limb(shoulder, elbow, upper, UP, caps=(0.048, 0.016)), "upper_arm" + side)
    body.add(ball(elbow, 0.036), "forearm" + side, JOINT)
    lower = [
        (0.09, 0.000, 0.000, 0.035, 0.035, 0.036),
        (0.25, 0.000, 0.000, 0.039, 0.041, 0.041),
        (0.50, 0.000, 0.000, 0.035, 0.038, 0.038),
        (0.88, 0.000, 0.000, 0.024, 0.030, 0.030),
    ]
    body.add(_limb(elbow, wrist, lower, UP, caps=(0.014, 0.012)), "forearm" + side)
    body.add(ball(wrist, 0.0245), "hand" + side, JOINT)


def _hand(body: _Body, side: str, out: Array) -> None:
    bone = "hand" + side
    wrist = body.head(bone)

    def at(along: float, ahead: float, up: float = 0.0) -> Array:
        return wrist + out * along - BACK * ahead + UP * up

    palm = [
        (*at(0.020, 0.002), 0.024, 0.013, 0.013, 2.4),
        (*at(0.050, 0.004), 0.034, 0.014, 0.014, 2.6),
        (*at(0.088, 0.002), 0.039, 0.012, 0.012, 2.8),
    ]
    body.add(loft(palm, BACK, UP, segments=14, rings=2, caps=(0.010, 0.008)), bone)
    fingers = (
        (0.030, 0.068, 0.006),
        (0.0105, 0.078, 0.002),
        (-0.0095, 0.072, -0.002),
        (-0.028, 0.056, -0.006),
    )
    for ahead, length, spread in fingers:
        rows = [
            (*at(0.088 + length * t, ahead + spread * t, -0.016 * t * t), *[r] * 3, 2.0)
            for t, r in ((0.0, 0.0095), (0.5, 0.0092), (1.0, 0.0075))
        ]
        body.add(loft(rows, BACK, UP, segments=8, rings=1, caps=(0.004, 0.007)), bone)
    along = normalise(out * 0.75 - BACK * 0.62 - UP * 0.22)
    rows = [
        (*(at(0.030, 0.024, -0.004) + along * 0.066 * t), *[r] * 3, 2.0)
        for t, r in ((0.0, 0.0135), (0.5, 0.0115), (1.0, 0.0085))
    ]
    across = normalise(np.cross(along, UP))
    body.add(
        loft(rows, across, np.cross(across, along), segments=8, rings=1, caps=(0.008, 0.008)),
        bone,
    )


def _limb(
    start: Array,
    end: Array,
    rows: Sequence[Station],
    out: Array,
    *,
    caps: tuple[float, float],
) -> Surface:
    """A loft from joint to joint; `out` is the side that the row's second number leans to."""
    stations = [
        (*(start + (end - start) * t + out * side + BACK * behind), width, back, front, 2.1)
        for t, side, behind, width, front, back in rows
    ]
    along = normalise(end - start)
    across = normalise(out - along * (out @ along))
    return loft(stations, across, BACK, segments=14, rings=2, caps=caps)


def _blend(heights: Array, joints: list[float], bones: list[str]) -> dict[str, Array]:
    """Weights that pass from one bone to the next between the joints' heights."""
    place = np.interp(heights, joints, np.arange(len(joints)))
    return {bone: np.clip(1.0 - np.abs(place - i), 0.0, 1.0) for i, bone in enumerate(bones)}
