# SPDX-License-Identifier: GPL-3.0-or-later
"""The VQ-VAE of `vqvae.py` on NumPy alone, for inference: features <-> tokens.

Activations are [C, T], one clip at a time: a clip already fills the processor, and clips of any
lengths need no padding. A convolution is one matrix product over the shifted copies of its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .configs import VQVAEConfig
from .layers import Array, tensor_of

__all__ = ["Decoder", "Encoder"]


class Decoder:
    """Tokens -> normalised features. Its weights are made float32 here, once.

    Raises:
        ValueError: A tensor is missing or of another shape than the configuration says.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], config: VQVAEConfig) -> None:
        width, stages = config.width, range(config.stages)
        self._codes = _codebooks(tensors, config)
        self._enter = _Convolution(tensors, "vqvae.decoder.enter", width, config.code_size, 3)
        self._residuals = [
            _residuals(tensors, f"vqvae.decoder.residuals.{i}", config) for i in stages
        ]
        self._doublings = [
            _Convolution(tensors, f"vqvae.decoder.doublings.{i}", width, width, 3) for i in stages
        ]
        self._gather = _Convolution(tensors, "vqvae.decoder.gather", width, width, 3)
        self._leave = _Convolution(tensors, "vqvae.decoder.leave", config.feature_size, width, 3)

    def __call__(self, tokens: NDArray[np.int64]) -> Array:
        """Features [L * 2 ** stages, D] of tokens [L, Q]."""
        codes = sum(book[chosen] for book, chosen in zip(self._codes, tokens.T, strict=True))
        x = _relu(self._enter(np.ascontiguousarray(np.transpose(codes))))
        for blocks, double in zip(self._residuals, self._doublings, strict=True):
            for block in blocks:
                x = block(x)
            x = double(np.repeat(x, 2, axis=1))
        x = self._leave(_relu(self._gather(x)))
        return np.ascontiguousarray(x.T)


class Encoder:
    """Normalised features -> tokens; as `Decoder`."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], config: VQVAEConfig) -> None:
        width, stages = config.width, range(config.stages)
        self._frames_per_token = config.frames_per_token
        self._codes = _codebooks(tensors, config)
        self._enter = _Convolution(tensors, "vqvae.encoder.enter", width, config.feature_size, 3)
        self._halvings = [
            _Convolution(tensors, f"vqvae.encoder.halvings.{i}", width, width, 4, stride=2)
            for i in stages
        ]
        self._residuals = [
            _residuals(tensors, f"vqvae.encoder.residuals.{i}", config) for i in stages
        ]
        self._leave = _Convolution(tensors, "vqvae.encoder.leave", config.code_size, width, 3)

    def __call__(self, features: Array) -> NDArray[np.int64]:
        """Tokens [T // 2 ** stages, Q] of features [T, D]."""
        x = _relu(self._enter(np.ascontiguousarray(features.T, dtype=np.float32)))
        for halve, blocks in zip(self._halvings, self._residuals, strict=True):
            x = halve(x)
            for block in blocks:
                x = block(x)
        left = self._leave(x).T
        tokens = []
        for book in self._codes:
            # |r - c|^2 without |r|^2, which is the same for every code
            distances = np.square(book).sum(axis=1) - 2.0 * left @ book.T
            tokens.append(distances.argmin(axis=1))
            left = left - book[tokens[-1]]
        return np.stack(tokens, axis=-1)


class _Convolution:
    """`nn.Conv1d` as a product: [C, T] -> [out, T / stride]; zeros beyond both ends."""

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        name: str,
        width: int,
        channels: int,
        taps: int,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        weight = tensor_of(tensors, f"{name}.weight", (width, channels, taps))
        self._matrix = weight.reshape(width, channels * taps)
        self._bias = tensor_of(tensors, f"{name}.bias", (width,))[:, None]
        self._taps, self._stride, self._dilation = taps, stride, dilation

    def __call__(self, x: Array) -> Array:
        if self._taps > 1:
            x = self._shifted(x)
        out = self._matrix @ x
        out += self._bias
        return out

    def _shifted(self, x: Array) -> Array:
        """[C * taps, T / stride]: what each tap sees."""
        channels, frames = x.shape
        steps = frames // self._stride
        edge = self._dilation  # zeros on either side; a halving has no dilation, and one zero too
        padded = np.zeros((channels, frames + 2 * edge), np.float32)
        padded[:, edge : edge + frames] = x
        seen = np.empty((channels, self._taps, steps), np.float32)
        for tap in range(self._taps):
            start = tap * self._dilation
            seen[:, tap] = padded[:, start : start + steps * self._stride : self._stride]
        return seen.reshape(channels * self._taps, steps)


class _ResidualBlock:
    """Two ReLU convolutions around a skip; the first is dilated."""

    def __init__(
        self, tensors: Mapping[str, NDArray[Any]], name: str, width: int, dilation: int
    ) -> None:
        self._dilated = _Convolution(tensors, f"{name}.dilated", width, width, 3, dilation=dilation)
        self._mix = _Convolution(tensors, f"{name}.mix", width, width, 1)

    def __call__(self, x: Array) -> Array:
        out = self._mix(_relu(self._dilated(np.maximum(x, 0.0))))
        out += x
        return out


def _residuals(
    tensors: Mapping[str, NDArray[Any]], name: str, config: VQVAEConfig
) -> list[_ResidualBlock]:
    dilations = [config.dilation_growth**i for i in reversed(range(config.depth))]
    return [
        _ResidualBlock(tensors, f"{name}.{index}", config.width, dilation)
        for index, dilation in enumerate(dilations)
    ]


def _codebooks(tensors: Mapping[str, NDArray[Any]], config: VQVAEConfig) -> list[Array]:
    names = ["codebook", *(f"refinements.{level}" for level in range(config.levels - 1))]
    shape = (config.codebook_size, config.code_size)
    return [tensor_of(tensors, f"vqvae.{name}.codes", shape) for name in names]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0, out=x)
