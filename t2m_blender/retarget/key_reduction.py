# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys for the same curves, within a stated error.

Channels that belong together (a bone's quaternion, its location) keep keys on the same frames, so
that poses stay poses. Keys are put where the error is largest until it is small enough everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import InputError
from .rig import Array


@dataclass(frozen=True, eq=False)
class Keys:
    """The kept keys of N channels.

    Attributes:
        frames: [K] their numbers, from 0 to T - 1.
        values: [K, N] what the channels are there.
        slopes: [K, N] change a frame there, for Bezier curves: a handle that is `d` frames away
            from its key, a third of the way to the next, is `d` times the slope above it. None for
            straight lines.
    """

    frames: NDArray[np.int64]
    values: Array
    slopes: Array | None

    def curves(self) -> Array:
        """[T, N] what Blender plays between these keys, frame by frame."""
        return _played(self, np.arange(self.frames[-1] + 1))


def reduced_keys(values: Array, tolerance: float, *, bezier: bool = False) -> Keys:
    """The fewest keys that this way finds.

    Args:
        values: [T] or [T, N] one value a frame.
        tolerance: Largest distance, over the N channels together, between what was and what is
            played at any frame; in the channels' unit. Half the angle in radians for quaternions.
        bezier: Curves with handles, which need fewer keys than straight lines.

    Raises:
        InputError: The tolerance is no positive number, or the values are not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if not (np.isfinite(tolerance) and tolerance > 0.0):
        raise InputError(f"Keys are reduced within an error above 0, not {tolerance:g}.")
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"Keys are finite values [T, N]; these are {list(values.shape)}.")
    slopes = np.gradient(values, axis=0) if bezier and len(values) > 1 else None
    last = len(values) - 1
    frames = np.unique([0, last])
    everywhere = np.arange(last + 1)
    while True:
        keys = Keys(frames, values[frames], None if slopes is None else slopes[frames])
        error = np.linalg.norm(_played(keys, everywhere) - values, axis=1)
        error[frames] = 0.0
        if error.max() <= tolerance:
            return keys
        # the worst frame of every stretch between two keys that is not yet good enough
        largest = np.maximum.reduceat(error, frames[:-1])
        stretch = np.searchsorted(frames, everywhere, side="right") - 1
        worst = (error == largest[np.minimum(stretch, len(largest) - 1)]) & (error > tolerance)
        _, first = np.unique(stretch[worst], return_index=True)
        frames = np.union1d(frames, everywhere[worst][first])


def _played(keys: Keys, at: NDArray[np.int64]) -> Array:
    frames, values = keys.frames, keys.values
    if len(frames) == 1:
        return np.repeat(values, len(at), axis=0)
    left = np.clip(np.searchsorted(frames, at, side="right") - 1, 0, len(frames) - 2)
    length = (frames[left + 1] - frames[left]).astype(np.float64)[:, None]
    u = (at - frames[left])[:, None] / length
    a, b = values[left], values[left + 1]
    if keys.slopes is None:
        return np.asarray(a + u * (b - a))
    rise, fall = length * keys.slopes[left], length * keys.slopes[left + 1]
    cubic = rise + u * (3.0 * (b - a) - 2.0 * rise - fall + u * (2.0 * (a - b) + rise + fall))
    return np.asarray(a + u * cubic)
