# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks on NumPy alone: no more than Blender brings along."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Checkpoint
from .configs import GPTConfig, VQVAEConfig
from .errors import CheckpointError
from .layers import Array, memory_checked, normalised
from .numpy_gpt import GPT, NORM_EPSILON, Block
from .numpy_vqvae import Decoder, Encoder
from .sampling import Sampling, draw_tokens
from .text import TextFeatures

__all__ = ["NumpyRuntime"]


class NumpyRuntime:
    """See `Runtime`. The encoder makes its weights float32 when it is first used.

    Raises:
        ValueError: A tensor is missing or does not fit the configuration.
    """

    name = "NumPy on the CPU"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._tensors = checkpoint.tensors
        self._sizes = VQVAEConfig(**checkpoint.vqvae)
        self._gpt = GPT(self._tensors, GPTConfig(**checkpoint.gpt))
        self._blocks = [self._gpt.block(index) for index in range(self._gpt.config.blocks)]
        self._decoder = Decoder(self._tensors, self._sizes)

    @memory_checked()
    def begin(self, text: TextFeatures, sampling: Sampling) -> NumpyWriting:
        return NumpyWriting(self._gpt, self._blocks, text, sampling)

    def decode(self, tokens: NDArray[np.int64]) -> Array:
        return np.stack([self._decoder(clip) for clip in tokens])

    def encode(self, features: Array) -> NDArray[np.int64]:
        return np.stack([self._encoder(clip) for clip in features])

    def release(self) -> None:
        self.__dict__.pop("_encoder", None)

    @cached_property
    def _encoder(self) -> Encoder:
        try:
            return Encoder(self._tensors, self._sizes)
        except ValueError as error:
            raise CheckpointError(
                f"The model does not fit its own configuration: {error}"
            ) from error


class NumpyWriting:
    """See `Writing`. With guidance there are twice as many rows: with their texts, and without."""

    def __init__(
        self, gpt: GPT, blocks: Sequence[Block], text: TextFeatures, sampling: Sampling
    ) -> None:
        self._gpt = gpt
        self._blocks = blocks
        self._sampling = sampling
        self._guided = sampling.guidance != 1.0
        config, batch = gpt.config, len(text.pooled)
        rows = 2 * batch if self._guided else batch
        shape = (config.blocks, rows, config.heads, config.positions, config.width // config.heads)
        self._keys, self._values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        x, bias = gpt.embed_text(text)
        for block, keys, values in zip(blocks, self._keys, self._values, strict=True):
            x = block.begin(x, batch, bias, keys[:batch], values[:batch])
        self._text = x.shape[1] // batch  # positions that the text has
        self._bias = None if bias is None else bias[:, :, -1]
        self._place = 0
        last = x.reshape(len(x), batch, self._text)[:, :, -1]
        if self._guided:
            last = np.concatenate(
                (last, np.repeat(self._read_nothing(batch), batch, axis=1)), axis=1
            )
        self._normed = normalised(last, NORM_EPSILON)

    def _read_nothing(self, batch: int) -> Array:
        """Read an empty text, once for all rows without text: its last state [C, 1]."""
        pooled = self._text - 1
        x, _ = self._gpt.embed_text(TextFeatures.of_nothing(self._gpt.config.text_size))
        for block, keys, values in zip(self._blocks, self._keys, self._values, strict=True):
            key, value = (part[batch : batch + 1, :, pooled:] for part in (keys, values))
            x = block.begin(x, 1, None, key, value)
            keys[batch:, :, pooled], values[batch:, :, pooled] = key[:, :, 0], value[:, :, 0]
        if self._bias is not None:
            nothing = np.full((batch, 1, self._text), -np.inf, np.float32)
            nothing[:, :, pooled] = 0.0
            self._bias = np.concatenate((self._bias, nothing))
        return x

    @memory_checked()
    def draw(
        self, chances: NDArray[np.float64], may_end: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        gpt = self._gpt
        logits = self._guide(gpt.head(self._normed))
        logits[~may_end, gpt.config.end] = -np.inf
        token, sure = draw_tokens(logits, chances[0], self._sampling)
        tokens = [token]
        state = gpt.state(self._normed)
        for level, refiner in enumerate(gpt.refiners, start=1):
            below = np.where(token == gpt.config.end, 0, token)
            state, foretold = refiner(state, self._twice(below))
            token, as_sure = draw_tokens(self._guide(foretold), chances[level], self._sampling)
            tokens.append(token)
            sure = sure & as_sure
        return np.stack(tokens, axis=-1), sure

    @memory_checked()
    def append(self, tokens: NDArray[np.int64]) -> None:
        x = self._gpt.embed(self._twice(tokens), self._place)
        for block, keys, values in zip(self._blocks, self._keys, self._values, strict=True):
            x = block.step(x, self._text + self._place, self._bias, keys, values)
        self._place += 1
        self._normed = normalised(x, NORM_EPSILON)

    def _twice(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.concatenate((tokens, tokens)) if self._guided else tokens

    def _guide(self, logits: Array) -> Array:
        """[K, B], or [K, 2 B] with guidance -> [B, K]."""
        logits = logits.T
        if not self._guided:
            return logits
        with_text, without_text = np.split(logits, 2)
        return without_text + np.float32(self._sampling.guidance) * (with_text - without_text)
