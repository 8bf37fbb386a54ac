# SPDX-License-Identifier: GPL-3.0-or-later
"""Quaternions (w, x, y, z), matrices and the 6D representation, vectorised over leading axes.

6D is the first two columns of the rotation matrix (Zhou et al., CVPR 2019), as HumanML3D stores it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_TINY = 1e-12


def normalise(vectors: Array) -> Array:
    """Vectors of unit length over the last axis; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, _TINY)


def _last_axis(*parts: NDArray[Any]) -> Array:
    """Arrays [...] of one shape and kind as [..., n]: what `numpy.stack` gives, in less time."""
    joined = np.empty((*parts[0].shape, len(parts)), dtype=parts[0].dtype)
    for number, part in enumerate(parts):
        joined[..., number] = part
    return joined


def cross(first: Array, second: Array) -> Array:
    """Cross product [..., 3] (broadcast): what `numpy.cross` gives, in less time."""
    a, b, c = (np.asarray(first)[..., k] for k in range(3))
    x, y, z = (np.asarray(second)[..., k] for k in range(3))
    return _last_axis(b * z - c * y, c * x - a * z, a * y - b * x)


def quaternion_multiply(first: Array, second: Array) -> Array:
    """Hamilton product [..., 4]: turns by `second`, then by `first`."""
    w, x, y, z = (first[..., k] for k in range(4))
    a, b, c, d = (second[..., k] for k in range(4))
    return _last_axis(
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    )


def quaternion_conjugate(quaternions: Array) -> Array:
    """The inverse of unit quaternions [..., 4]."""
    return quaternions * np.array([1.0, -1.0, -1.0, -1.0], dtype=quaternions.dtype)


def quaternion_rotate(quaternions: Array, vectors: Array) -> Array:
    """Vectors [..., 3] turned by unit quaternions [..., 4] (broadcast)."""
    axis = quaternions[..., 1:]
    across = cross(axis, vectors)
    return vectors + 2.0 * (quaternions[..., :1] * across + cross(axis, across))


def quaternion_between(source: Array, target: Array) -> Array:
    """The shortest turn [..., 4] from one vector [..., 3] to another; real part never negative.

    For opposite vectors the axis is any one at right angles to them.
    """
    source, target = np.broadcast_arrays(normalise(source), normalise(target))
    real = 1.0 + np.sum(source * target, axis=-1, keepdims=True)
    opposite = real < 1e-9
    smallest = np.argmin(np.abs(source), axis=-1)
    sideways = cross(source, np.eye(3, dtype=source.dtype)[smallest])
    axis = np.where(opposite, sideways, cross(source, target))
    return normalise(np.concatenate((np.where(opposite, 0.0, real), axis), axis=-1))


def quaternion_continuous(quaternions: Array) -> Array:
    """The same rotations [T, ..., 4] with signs chosen so that neighbours in time are close."""
    dots = np.sum(quaternions[1:] * quaternions[:-1], axis=-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0.0, -1.0, 1.0), axis=0)
    return np.concatenate((quaternions[:1], quaternions[1:] * signs), axis=0)


def quaternion_from_axis_angle(axis: Array, angle: Array) -> Array:
    """Unit quaternions [..., 4] about unit axes [..., 3] by angles [...] in radians."""
    half = np.asarray(angle)[..., None] * 0.5
    imaginary = np.sin(half) * axis
    real = np.broadcast_to(np.cos(half), (*imaginary.shape[:-1], 1))
    return np.concatenate((real, imaginary), axis=-1)


def quaternion_angle(first: Array, second: Array) -> Array:
    """The angle [...] in radians between two rotations [..., 4]."""
    relative = quaternion_multiply(quaternion_conjugate(first), second)
    return 2.0 * np.arctan2(np.linalg.norm(relative[..., 1:], axis=-1), np.abs(relative[..., 0]))


def quaternion_to_matrix(quaternions: Array) -> Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    eye = np.eye(3, dtype=quaternions.dtype)
    columns = [quaternion_rotate(quaternions, eye[i]) for i in range(3)]
    return np.stack(columns, axis=-1)


def matrix_to_quaternion(matrices: Array) -> Array:
    """Unit quaternions [..., 4], real part not negative, of rotation matrices [..., 3, 3]."""
    xx, yy, zz = (matrices[..., i, i] for i in range(3))
    squares = np.stack((1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz), -1)
    m = matrices
    wx, wy, wz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    candidates = np.stack(
        (
            np.stack((squares[..., 0], wx, wy, wz), -1),
            np.stack((wx, squares[..., 1], xy, xz), -1),
            np.stack((wy, xy, squares[..., 2], yz), -1),
            np.stack((wz, xz, yz, squares[..., 3]), -1),
        ),
        axis=-2,
    )
    largest = np.argmax(squares, axis=-1)[..., None, None]
    chosen = normalise(np.take_along_axis(candidates, largest, axis=-2)[..., 0, :])
    return np.where(chosen[..., :1] < 0.0, -chosen, chosen)


def quaternion_to_6d(quaternions: Array) -> Array:
    """6D rotations [..., 6] of unit quaternions: the matrix's first column, then its second."""
    matrix = quaternion_to_matrix(quaternions)
    return np.concatenate((matrix[..., 0], matrix[..., 1]), axis=-1)


def matrix_from_6d(rotations: Array) -> Array:
    """Rotation matrices [..., 3, 3] of 6D rotations [..., 6], made orthonormal by Gram-Schmidt."""
    x = normalise(rotations[..., :3])
    z = normalise(cross(x, rotations[..., 3:]))
    return np.stack((x, cross(z, x), z), axis=-1)
