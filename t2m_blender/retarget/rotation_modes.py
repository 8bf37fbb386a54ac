# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations over time as the channels that a bone's rotation mode reads.

Euler angles follow Blender: in order XYZ the turn about x comes first. The same rotation has many
triples of angles; each frame takes the one nearest to the frame before, so that curves can be
edited and interpolated without flips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..engine.rotations import (
    quaternion_continuous,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_to_matrix,
)
from .rig import Array

QUATERNION, AXIS_ANGLE = "QUATERNION", "AXIS_ANGLE"
EULER_ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
_GIMBAL = 1e-6
"""Below this cosine of the middle angle only the sum of the outer two is known."""


def rotations_in_mode(rotations: Array, mode: str, *, near: Array | None = None) -> Array:
    """The values of the channels of a rotation mode.

    Args:
        rotations: [T, ..., 4] unit quaternions.
        mode: "QUATERNION", "AXIS_ANGLE" or one of `EULER_ORDERS`.
        near: [..., 3] angles that the first frame's Euler angles shall be close to; zeros if None.

    Returns:
        [T, ..., 4] quaternions (w, x, y, z) or angle and axis, or [T, ..., 3] angles about x, y, z
        in radians; continuous over time.
    """
    if mode == QUATERNION:
        return quaternion_continuous(rotations)
    if mode == AXIS_ANGLE:
        return _axis_angles(quaternion_continuous(rotations))
    return _eulers(rotations, mode, near)


def mode_to_rotations(values: Array, mode: str) -> Array:
    """Unit quaternions [..., 4] of channel values [..., 3 or 4]; the way back."""
    values = np.asarray(values, dtype=np.float64)
    if mode == QUATERNION:
        return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    if mode == AXIS_ANGLE:
        length = np.linalg.norm(values[..., 1:], axis=-1, keepdims=True)
        axis = np.where(length > 1e-12, values[..., 1:] / np.maximum(length, 1e-12), (0, 1, 0))
        return quaternion_from_axis_angle(axis, values[..., 0])
    turned = np.broadcast_to((1.0, 0.0, 0.0, 0.0), (*values.shape[:-1], 4))
    for letter in mode:  # the first named turns first
        number = "XYZ".index(letter)
        turn = quaternion_from_axis_angle(np.eye(3)[number], values[..., number])
        turned = quaternion_multiply(turn, turned)
    return turned


def hold_locked(
    rotations: Array, current: Array, locked: Sequence[bool], *, order: str = "XYZ"
) -> Array:
    """Rotations [T, 4] that keep the angles of another [4] about the locked ones of x, y and z.

    Blender's locks mean Euler angles, in order XYZ, where the channels are not Euler angles.
    """
    angles = _eulers(rotations, order, None)
    kept = _eulers(np.asarray(current, dtype=np.float64)[None], order, None)
    angles[:, list(locked)] = kept[:, list(locked)]
    return quaternion_continuous(mode_to_rotations(angles, order))


def _axis_angles(rotations: Array) -> Array:
    """Angle and axis [T, ..., 4] of rotations with continuous signs.

    A rotation by nothing has no axis: it takes that of the nearest frame that has one.
    """
    imaginary = rotations[..., 1:]
    sine = np.linalg.norm(imaginary, axis=-1)
    axis = imaginary / np.maximum(sine, 1e-12)[..., None]
    angle = 2.0 * np.arctan2(sine, rotations[..., 0])
    flat_axis = axis.reshape(len(axis), -1, 3)
    flat_sine, flat_angle = sine.reshape(len(axis), -1), angle.reshape(len(axis), -1)
    for number in range(flat_axis.shape[1]):
        turning = np.flatnonzero(flat_sine[:, number] > 1e-7)
        if not len(turning):
            flat_axis[:, number] = (0.0, 1.0, 0.0)
            continue
        times = np.arange(len(axis))
        after = np.searchsorted(turning, times).clip(0, len(turning) - 1)
        before = (after - 1).clip(0)
        closer = np.abs(turning[before] - times) < np.abs(turning[after] - times)
        flat_axis[:, number] = flat_axis[turning[np.where(closer, before, after)], number]
        # an axis that swings round through a rotation by nothing is the same axis, the other way
        dots = np.sum(flat_axis[1:, number] * flat_axis[:-1, number], axis=-1)
        signs = np.concatenate(([1.0], np.cumprod(np.where(dots < 0.0, -1.0, 1.0))))
        flat_axis[:, number] *= signs[:, None]
        turned = np.unwrap(flat_angle[:, number] * signs)
        flat_angle[:, number] = turned - 2.0 * np.pi * np.rint(turned[0] / (2.0 * np.pi))
    return np.concatenate(
        (flat_angle.reshape(angle.shape)[..., None], flat_axis.reshape(axis.shape)), axis=-1
    )


def _eulers(rotations: Array, order: str, near: Array | None) -> Array:
    """Angles [T, ..., 3] about x, y and z."""
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if order in ("XYZ", "YZX", "ZXY") else -1.0
    m = quaternion_to_matrix(rotations)
    cosine = np.hypot(m[..., i, i], m[..., j, i])
    middle = np.arctan2(-sign * m[..., k, i], cosine)
    first = np.arctan2(sign * m[..., k, j], m[..., k, k])
    last = np.arctan2(sign * m[..., j, i], m[..., i, i])
    locked_up = cosine < _GIMBAL
    # there first and last turn about the same line: let the frame before say how they share
    alone = np.arctan2(-sign * m[..., j, k], m[..., j, j])
    one = np.stack((first, middle, last), axis=-1)
    other = np.stack((first + np.pi, np.pi - middle, last + np.pi), axis=-1)
    flips = sign * np.sign(middle)
    before = np.zeros(one.shape[1:])
    if near is not None:
        before[...] = np.asarray(near)[..., [i, j, k]]
    out = np.empty_like(one)
    for t in range(len(one)):
        if np.any(locked_up[t]):
            held = alone[t] + flips[t] * before[..., 2]
            gimbal = np.stack((held, middle[t], before[..., 2]), axis=-1)
            a = _near(np.where(locked_up[t][..., None], gimbal, one[t]), before)
        else:
            a = _near(one[t], before)
        b = _near(other[t], before)
        nearer = np.abs(b - before).sum(-1) < np.abs(a - before).sum(-1) - 1e-9
        nearer &= ~locked_up[t]
        before = np.where(nearer[..., None], b, a)
        out[t] = before
    angles = np.empty_like(out)
    angles[..., [i, j, k]] = out
    return angles


def _near(angles: Array, before: Array) -> Array:
    """The same angles, whole turns added so that they are close to those before."""
    return angles - 2.0 * np.pi * np.rint((angles - before) / (2.0 * np.pi))
