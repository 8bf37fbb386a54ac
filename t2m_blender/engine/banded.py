# SPDX-License-Identifier: GPL-3.0-or-later
"""Least squares over time, in which a frame knows the next two frames only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class LeastSquaresOverTime:
    """Unknowns x [T, n], and terms weight * (what is said of them - what is wanted)^2.

    Weights are [T] or [T, n], one a frame, or [T - 1] for terms about a frame and the next.
    """

    def __init__(self, frames: int, size: int) -> None:
        self._same = np.zeros((frames, size, size))
        self._next_one = np.zeros((max(frames - 1, 0), size, size))
        self._next_two = np.zeros((max(frames - 2, 0), size, size))
        self._right = np.zeros((frames, size))
        self._diagonal = np.arange(size)

    def add_form(self, matrix: Array) -> None:
        """x[t] . matrix [n, n] . x[t], for all frames."""
        self._same += matrix

    def add_values(self, weight: Array, wanted: Array) -> None:
        """Each unknown [T, n] by itself."""
        self._same[:, self._diagonal, self._diagonal] += weight
        self._right += weight * wanted

    def add_steps(self, weight: Array, wanted: Array) -> None:
        """Each unknown's change to the next frame [T - 1, n]."""
        k = self._diagonal
        self._same[:-1, k, k] += weight
        self._same[1:, k, k] += weight
        self._next_one[:, k, k] -= weight
        self._right[:-1] -= weight * wanted
        self._right[1:] += weight * wanted

    def add_bends(self, weight: Array) -> None:
        """Each unknown's second difference, wanted to be 0, by weights [n]."""
        k, frames = self._diagonal, len(self._same)
        for start, share in ((0, 1.0), (1, 4.0), (2, 1.0)):
            self._same[start : max(frames - 2, 0) + start, k, k] += share * weight
        self._next_one[:-1, k, k] -= 2.0 * weight
        self._next_one[1:, k, k] -= 2.0 * weight
        self._next_two[:, k, k] += weight

    def add_rows(self, row: Array, weight: Array, wanted: Array) -> None:
        """row[t] . x[t], rows [T, n]."""
        self._same += np.einsum("t,ti,tj->tij", weight, row, row)
        self._right += (weight * wanted)[:, None] * row

    def add_row_steps(self, row: Array, weight: Array, wanted: Array) -> None:
        """The change of row[t] . x[t] to the next frame [T - 1]."""
        sooner, later = row[:-1], row[1:]
        self._same[1:] += np.einsum("t,ti,tj->tij", weight, later, later)
        self._same[:-1] += np.einsum("t,ti,tj->tij", weight, sooner, sooner)
        self._next_one -= np.einsum("t,ti,tj->tij", weight, sooner, later)
        self._right[1:] += (weight * wanted)[:, None] * later
        self._right[:-1] -= (weight * wanted)[:, None] * sooner

    def solution(self) -> Array:
        """The x [T, n] that makes the sum of all terms least."""
        return solve_over_time(self._same, self._next_one, self._next_two, self._right)


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
