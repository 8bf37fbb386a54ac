# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides in double precision what float32 cannot: a number that falls within rounding of a token's
edge.

Runtimes add up in different orders, so that each would take the one or the other token. All of them
ask here, where the same numbers give the same token whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .configs import GPTConfig
from .layers import memory_checked, normalised
from .numpy_gpt import GPT, NORM_EPSILON, Block
from .runtime import LARGE
from .sampling import Sampling, draw_tokens
from .text import TextFeatures

__all__ = ["Arbiter"]

_Exact = NDArray[Any]  # float64


class Arbiter:
    """The GPT of a file in double precision.

    It is asked for a token of every thirtieth clip or so. The blocks of a large model are made each
    time: they would take twice the memory of its weights.

    Args:
        tensors: Of the checkpoint.
        config: Sizes of its GPT.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], config: GPTConfig) -> None:
        self._tensors = tensors
        self._config = config
        self._blocks: dict[int, Block] = {}

    @cached_property
    def _gpt(self) -> GPT:
        return GPT(self._tensors, self._config, np.float64)

    def _block(self, index: int) -> Block:
        if self._config.weights >= LARGE:
            return self._gpt.block(index)
        if index not in self._blocks:
            self._blocks[index] = self._gpt.block(index)
        return self._blocks[index]

    @memory_checked()
    def draw(
        self,
        text: TextFeatures,
        written: NDArray[np.int64],
        chances: NDArray[np.float64],
        *,
        may_end: bool,
        sampling: Sampling,
    ) -> NDArray[np.int64]:
        """The token [Q] that comes after those written [L, Q] of one clip.

        Args:
            text: Of its prompt, one row.
            written: The window so far.
            chances: [Q] numbers in [0, 1), which decide.
            may_end: Whether the first level may be End (K).
            sampling: As the clip is drawn.

        Raises:
            OutOfMemory: There is no room for it.
        """
        gpt = self._gpt
        texts = [text]
        if sampling.guidance != 1.0:
            texts.append(TextFeatures.of_nothing(self._config.text_size))
        normed = np.concatenate([self._read(one, written) for one in texts], axis=1)

        def drawn(logits: _Exact, level: int) -> int:
            row = logits[:, -1] + sampling.guidance * (logits[:, 0] - logits[:, -1])
            if level == 0 and not may_end:
                row[self._config.end] = -np.inf
            token, _ = draw_tokens(row[None], chances[level : level + 1], sampling)
            return int(token[0])

        tokens = [drawn(gpt.head(normed), 0)]
        state = gpt.state(normed)
        for level, refiner in enumerate(gpt.refiners, start=1):
            below = 0 if tokens[-1] == self._config.end else tokens[-1]
            state, foretold = refiner(state, np.full(len(texts), below))
            tokens.append(drawn(foretold, level))
        return np.array(tokens)

    def _read(self, text: TextFeatures, written: NDArray[np.int64]) -> _Exact:
        """The normalised last state [C, 1] of a text and the tokens after it."""
        x, seen = self._gpt.embed_text(text)
        words, count = x.shape[1], len(written)
        bias = np.where(np.tri(words + count, dtype=bool), 0.0, -np.inf)
        if seen is not None:
            bias[:words, :words] = seen[0, 0]
            bias[words:, :words] = seen[0, 0, -1]
        x = np.concatenate((x, self._gpt.embed(written, np.arange(count))), axis=1)
        config = self._config
        cache = np.empty((2, 1, config.heads, words + count, config.width // config.heads))
        for index in range(config.blocks):
            x = self._block(index).begin(x, 1, bias, *cache)
        return normalised(x[:, -1:], NORM_EPSILON)
