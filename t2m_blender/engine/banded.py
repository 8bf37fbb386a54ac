# SPDX-License-Identifier: GPL-3.0-or-later
"""Least squares over time: a symmetric system in which a frame knows the next two frames only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def solve_over_time(same: Array, next_one: Array, next_two: Array, right: Array) -> Array:
    """The solution [T, n] of a symmetric positive definite system with blocks around the diagonal.

    Two frames are taken together, which makes the blocks tridiagonal; then Thomas' algorithm.

    Args:
        same: [T, n, n] blocks on the diagonal.
        next_one: [T - 1, n, n] blocks of rows t and columns t + 1.
        next_two: [T - 2, n, n] blocks of rows t and columns t + 2 (empty for T < 3).
        right: [T, n].
    """
    frames, n = right.shape
    pairs = (frames + 1) // 2
    diagonal = np.zeros((pairs, 2 * n, 2 * n))
    above = np.zeros((pairs, 2 * n, 2 * n))
    sums = np.zeros((2 * pairs, n))
    sums[:frames] = right
    even, odd = slice(0, n), slice(n, None)
    diagonal[:, even, even] = same[0::2]
    diagonal[: frames // 2, odd, odd] = same[1::2]
    if frames % 2:
        diagonal[-1, odd, odd] = np.eye(n)
    within, between = next_one[0::2], next_one[1::2]
    diagonal[: len(within), even, odd] = within
    diagonal[: len(within), odd, even] = np.swapaxes(within, 1, 2)
    above[: len(between), odd, even] = between
    above[: len(next_two[0::2]), even, even] = next_two[0::2]
    above[: len(next_two[1::2]), odd, odd] = next_two[1::2]

    sums = sums.reshape(pairs, 2 * n)
    eliminated = np.empty_like(above)
    reduced = np.empty_like(sums)
    for k in range(pairs):
        block, rest = diagonal[k], sums[k]
        if k:
            block = block - above[k - 1].T @ eliminated[k - 1]
            rest = rest - above[k - 1].T @ reduced[k - 1]
        solved = np.linalg.solve(block, np.concatenate((above[k], rest[:, None]), axis=1))
        eliminated[k], reduced[k] = solved[:, :-1], solved[:, -1]
    for k in range(pairs - 2, -1, -1):
        reduced[k] -= eliminated[k] @ reduced[k + 1]
    return reduced.reshape(2 * pairs, n)[:frames]
