# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth closed surfaces from a few numbers: rings along a line, each of its own size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..engine.rotations import normalise
from ..retarget.rig import Array

LEFT, BACK, UP = np.eye(3)  # of a figure that faces -y

Station = tuple[float, ...]
"""Seven numbers that describe one ring; see `loft`."""

Surface = tuple[Array, list[tuple[int, ...]]]
"""Vertices [V, 3], and the vertex numbers of each face, counter-clockwise from outside."""


def loft(
    stations: Sequence[Station],
    u: Array,
    v: Array,
    *,
    segments: int,
    rings: int = 3,
    caps: tuple[float, float] = (0.0, 0.0),
) -> Surface:
    """A closed surface through rings.

    Args:
        stations: Rows of centre x, y, z, half size along u, along +v, along -v, and squareness
            (2 is an ellipse, more is boxier).
        u, v: The directions of every ring's two axes.
        segments: Vertices of a ring.
        rings: Rings from one station to the next, on a smooth curve through them.
        caps: How far the rounded ends reach beyond the first and the last ring.
    """
    rows = smooth(np.array(stations, dtype=np.float64), rings)
    first, last = normalise(rows[0, :3] - rows[1, :3]), normalise(rows[-1, :3] - rows[-2, :3])
    bend = np.array([1.15, 0.65])
    rows = np.concatenate(
        (_cap(rows[0], first * caps[0], bend), rows, _cap(rows[-1], last * caps[1], bend[::-1]))
    )
    angle = np.linspace(0.0, 2.0 * np.pi, segments, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    power = 2.0 / rows[:, 6:7]
    x = np.sign(cos) * np.abs(cos) ** power * rows[:, 3:4]
    y = np.sign(sin) * np.abs(sin) ** power * np.where(sin > 0, rows[:, 4:5], rows[:, 5:6])
    grid = rows[:, None, :3] + x[..., None] * u + y[..., None] * v
    poles = np.stack((rows[0, :3] + first * caps[0] * 0.09, rows[-1, :3] + last * caps[1] * 0.09))
    vertices = np.concatenate((grid.reshape(-1, 3), poles))
    faces = _tube_faces(len(rows), segments)
    if np.cross(u, v) @ (rows[-1, :3] - rows[0, :3]) < 0.0:
        faces = [face[::-1] for face in faces]
    return vertices, faces


def _cap(row: Array, reach: Array, bend: Array) -> Array:
    """Rings that round off an end, as a quarter of an ellipse."""
    cap = np.tile(row, (len(bend), 1))
    cap[:, :3] += np.sin(bend)[:, None] * reach
    cap[:, 3:6] *= np.cos(bend)[:, None]
    return cap


def _tube_faces(rings: int, segments: int) -> list[tuple[int, ...]]:
    faces: list[tuple[int, ...]] = []
    for ring in range(rings - 1):
        for i, j in around(segments):
            a, b = ring * segments + i, ring * segments + j
            faces.append((a, b, b + segments, a + segments))
    bottom, top, last = rings * segments, rings * segments + 1, (rings - 1) * segments
    for i, j in around(segments):
        faces += [(bottom, j, i), (top, last + i, last + j)]
    return faces


def around(segments: int) -> list[tuple[int, int]]:
    """Each vertex of a ring with the next one."""
    return [(i, (i + 1) % segments) for i in range(segments)]


def smooth(rows: Array, steps: int) -> Array:
    """Rows on a curve through the given ones (Catmull-Rom), `steps` to each interval."""
    padded = np.concatenate((2 * rows[:1] - rows[1:2], rows, 2 * rows[-1:] - rows[-2:-1]))
    u = (np.arange(steps) / steps)[:, None, None]
    a, b, c, d = (padded[k : k + len(rows) - 1] for k in range(4))
    curve = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return np.concatenate((np.swapaxes(curve, 0, 1).reshape(-1, rows.shape[1]), rows[-1:]))


def ball(centre: Array, radius: float) -> Surface:
    """A sphere."""
    angles = np.linspace(-1.2, 1.2, 5)
    rows = [(*(centre + UP * radius * np.sin(a)), *[radius * np.cos(a)] * 3, 2.0) for a in angles]
    return loft(rows, LEFT, BACK, segments=12, rings=1, caps=(radius * 0.05, radius * 0.05))
