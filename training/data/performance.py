# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorded figure with rotating segments: what the ASF/AMC and BVH readers give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.rotations import (
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)

Array = NDArray[np.float64]

_AXES = {"x": np.array([1.0, 0, 0]), "y": np.array([0, 1.0, 0]), "z": np.array([0, 0, 1.0])}


@dataclass(frozen=True)
class Figure:
    """The segments of a figure at rest, in the file's own unit of length.

    Attributes:
        names: one name a segment; parents come before their children.
        parents: index of each segment's parent, -1 for the root.
        offsets: [J, 3] from the parent's joint to this segment's joint, at rest.
        tips: [J, 3] from the segment's joint to its far end, at rest (zero where unknown).
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    tips: Array

    def index(self, name: str) -> int:
        """The index of the segment called `name`.

        Raises:
            InputError: there is none.
        """
        if name not in self.names:
            raise InputError(
                f"The figure has no segment '{name}'. It has: {', '.join(self.names)}."
            )
        return self.names.index(name)


@dataclass(frozen=True)
class Performance:
    """A figure in motion: joint centres and global rotations.

    Attributes:
        figure: the segments at rest.
        positions: [T, J, 3] joint centres, in the file's unit of length.
        rotations: [T, J, 4] global rotation of every segment relative to rest, (w, x, y, z).
    """

    figure: Figure
    positions: Array
    rotations: Array

    def joint(self, name: str) -> Array:
        """Centres [T, 3] of the joint at which segment `name` begins."""
        return self.positions[:, self.figure.index(name)]

    def rotation(self, name: str) -> Array:
        """Global rotations [T, 4] of segment `name`."""
        return self.rotations[:, self.figure.index(name)]

    def tip(self, name: str) -> Array:
        """Positions [T, 3] of the far end of segment `name`."""
        j = self.figure.index(name)
        return self.positions[:, j] + quaternion_rotate(self.rotations[:, j], self.figure.tips[j])


def euler_to_quaternion(angles_deg: Array, axes: str) -> Array:
    """Rotations [..., 4] of Euler angles [..., len(axes)]: the product of the turns as written.

    `axes` "zyx" means R = Rz Ry Rx: the last one turns the vector first.
    """
    result = np.zeros((*angles_deg.shape[:-1], 4))
    result[..., 0] = 1.0
    for k, axis in enumerate(axes):
        turn = quaternion_from_axis_angle(_AXES[axis], np.radians(angles_deg[..., k]))
        result = quaternion_multiply(result, turn)
    return result


def perform(figure: Figure, local_rotations: Array, root_positions: Array) -> Performance:
    """Forward kinematics: local rotations [T, J, 4] and root path [T, 3] to a Performance."""
    positions = np.empty((*local_rotations.shape[:2], 3))
    rotations = np.empty_like(local_rotations)
    for j, parent in enumerate(figure.parents):
        if parent < 0:
            positions[:, j] = root_positions + figure.offsets[j]
            rotations[:, j] = local_rotations[:, j]
            continue
        rotations[:, j] = quaternion_multiply(rotations[:, parent], local_rotations[:, j])
        positions[:, j] = positions[:, parent] + quaternion_rotate(
            rotations[:, parent], figure.offsets[j]
        )
    return Performance(figure, positions, rotations)
