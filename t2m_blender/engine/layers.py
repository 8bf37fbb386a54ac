# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic that every network on NumPy shares.

Activations are float32 [C, N], channels first and N vectors side by side; matrices are [out, in],
as files store them. So one product, `matrix @ x`, streams the weights once and in order, whether N
is 1 or 1,000, and OpenBLAS is at its best with it (benchmarks/products.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import WidenedTensors
from .errors import OutOfMemory

Array = NDArray[np.float32]


class Weights:
    """The tensors of a file as float32: each is widened when first used, and kept.

    Args:
        tensors: Memory-mapped, in the type in which they are stored.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = WidenedTensors(tensors)
        self._kept: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._kept:
            self._kept[name] = self._tensors[name]
        return self._kept[name]

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def change(self, low_rank: Mapping[str, NDArray[Any]]) -> None:
        """Adds `NAME.up` [out, r] @ `NAME.down` [r, in] to matrices `NAME.weight` [out, in].

        Raises:
            KeyError: There is no such matrix.
            ValueError: A change lacks its other half, or does not fit its matrix.
        """
        for name in sorted({half.rpartition(".")[0] for half in low_rank}):
            matrix = self[name + ".weight"]
            rank = len(np.atleast_1d(low_rank.get(name + ".down", ())))
            up = tensor_of(low_rank, name + ".up", (len(matrix), rank))
            down = tensor_of(low_rank, name + ".down", (rank, *matrix.shape[1:]))
            self._kept[name + ".weight"] = matrix + up @ down

    def columns(self, name: str, ids: NDArray[np.int64]) -> Array:
        """Rows of a table as [C, N] for ids [N]; nothing else of the table is widened."""
        return np.ascontiguousarray(self._tensors.rows(name, ids).T)

    def linear(self, name: str, x: Array) -> Array:
        """`NAME.weight` @ x + `NAME.bias`: [in, N] -> [out, N]."""
        out = self[name + ".weight"] @ x
        out += self[name + ".bias"][:, None]
        return out

    def norm(self, name: str, x: Array, epsilon: float) -> Array:
        """Layer normalisation of x [C, N] with the gain and bias of that name."""
        x = normalised(x, epsilon)
        x *= self[name + ".weight"][:, None]
        x += self[name + ".bias"][:, None]
        return x


@contextmanager
def memory_checked() -> Iterator[None]:
    """Turns NumPy's error for full memory into ours."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(str(error)) from error


def tensor_of(
    tensors: Mapping[str, NDArray[Any]],
    name: str,
    shape: tuple[int, ...],
    kind: type[np.floating[Any]] = np.float32,
) -> NDArray[Any]:
    """The tensor of that name as numbers of a kind, in order in memory.

    Raises:
        ValueError: It is missing or of another shape.
    """
    if name not in tensors:
        raise ValueError(f"there is no tensor {name}")
    tensor = np.ascontiguousarray(tensors[name], kind)
    if tensor.shape != shape:
        raise ValueError(f"{name} is {list(tensor.shape)}, not {list(shape)}")
    return tensor


def normalised(x: Array, epsilon: float) -> Array:
    """x [C, N] with mean 0 and variance 1 over the channels; the mean is a product, for speed."""
    average = _average(len(x))
    x = x - average @ x
    variance = average @ np.square(x)
    variance += epsilon
    x /= np.sqrt(variance, out=variance)
    return x


@lru_cache(maxsize=8)
def _average(channels: int) -> Array:
    return np.full((1, channels), 1.0 / channels, np.float32)


def softmax(scores: Array) -> Array:
    """Over the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def gelu(values: NDArray[Any]) -> NDArray[Any]:
    """The exact GELU, x Phi(x); of float32 values in place.

    Phi(-|x|) = erfc(|x| / sqrt 2) / 2 by formula 7.1.26 of Abramowitz and Stegun, whose error of
    1.5e-7 is that of float32 itself. Then x Phi(x) = max(x, 0) - |x| Phi(-|x|).
    """
    if values.dtype == np.float64:
        return _gelu_of_float64(values)
    size = np.abs(values)
    step = size * np.float32(0.3275911 / np.sqrt(2.0))
    step += np.float32(1.0)
    np.reciprocal(step, out=step)
    tail = step * np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient)
        tail *= step
    np.multiply(size, size, out=step)
    step *= np.float32(-0.5)
    tail *= np.exp(step, out=step)
    tail *= size
    tail *= np.float32(0.5)
    np.maximum(values, 0.0, out=values)
    values -= tail
    return values


_REACH, _PIECES = 8.0, 4096  # beyond it the GELU is max(x, 0) to the last bit


def _gelu_of_float64(values: NDArray[Any]) -> NDArray[Any]:
    """Within 1e-11, by cubic Hermite pieces between exact values and slopes; NaN stays NaN."""
    # not np.clip: what is no number must have a piece too
    place = (np.fmin(np.fmax(values, -_REACH), _REACH) + _REACH) * (_PIECES / (2.0 * _REACH))
    piece = np.minimum(place.astype(np.int64), _PIECES - 1)
    place -= piece
    found = _pieces()[3][piece]
    for coefficient in _pieces()[2::-1]:
        found *= place
        found += coefficient[piece]
    found += np.maximum(values - _REACH, 0.0)
    return found


@lru_cache(maxsize=1)
def _pieces() -> NDArray[np.float64]:
    """Coefficients [4, pieces], the constant first, over each piece's own 0 to 1."""
    x = np.linspace(-_REACH, _REACH, _PIECES + 1)
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x])
    value = x * below
    slope = below + x * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    slope *= x[1] - x[0]
    rise, first, last = np.diff(value), slope[:-1], slope[1:]
    return np.stack((value[:-1], first, 3.0 * rise - 2.0 * first - last, first + last - 2.0 * rise))


def self_attention(qkv: Array, batch: int, heads: int, mask: Array | None = None) -> Array:
    """Multi-head attention of B sentences of one length.

    Args:
        qkv: [3 C, B L], queries, keys and values below one another.
        batch: B.
        heads: That share C.
        mask: [L, L] added to the scores.

    Returns:
        [C, B L].
    """
    channels = len(qkv) // 3
    split = qkv.reshape(3, heads, channels // heads, batch, -1).transpose(0, 3, 1, 4, 2)
    query, key, value = split  # [B, heads, L, C / heads]
    scores = query @ key.swapaxes(2, 3)  # [B, heads, L, L]
    scores *= np.float32((channels // heads) ** -0.5)
    if mask is not None:
        scores += mask
    mixed = softmax(scores) @ value
    return mixed.transpose(1, 3, 0, 2).reshape(channels, -1)
