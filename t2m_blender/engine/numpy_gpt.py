# SPDX-License-Identifier: GPL-3.0-or-later
"""The transformer of `gpt.py` on NumPy alone, for inference with a key-value cache.

Activations are [C, N], see `layers.py`. Query, key and value are one matrix, and the gain and bias
of a layer normalisation are part of the matrix behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .configs import GPTConfig
from .layers import Array, gelu, normalised, softmax, tensor_of
from .text import TextFeatures

__all__ = ["GPT", "NORM_EPSILON", "Block"]

NORM_EPSILON = 1e-5

Kind = type[np.floating[Any]]


class GPT:
    """All but the blocks, which `block` makes; weights as numbers of a kind, made ready once.

    Raises:
        ValueError: A tensor is missing or of another shape than the configuration says.
    """

    def __init__(
        self, tensors: Mapping[str, NDArray[Any]], config: GPTConfig, kind: Kind = np.float32
    ) -> None:
        self.config = config
        self._part = part = _Part(tensors, "gpt.", kind)
        codes, width, text = config.codebook_size, config.width, config.text_size
        later = range(config.levels - 1)
        self._embeddings = [part("token_embedding.weight", codes + 2, width)] + [
            part(f"refinement_embeddings.{i}.weight", codes, width) for i in later
        ]
        self._positions = part("positions", config.token_limit + 1, width)
        self._pooled = part.linear("pooled_projection", width, text)
        if config.word_limit:
            self._words = part.linear("word_projection", width, text)
            self._word_positions = part("word_positions", config.word_limit, width)
        self._norm = (part("norm.weight", width), part("norm.bias", width))
        self.head = Linear(part("head.weight", codes + 1, width), None, self._norm)
        self.refiners = [Refiner(part.under(f"refiners.{i}."), width, codes) for i in later]

    def block(self, index: int) -> Block:
        """The block of that number, made ready; it is not kept."""
        part = self._part.under(f"blocks.{index}.")
        return Block(part, self.config.width, self.config.heads)

    def embed_text(self, text: TextFeatures) -> tuple[Array, Array | None]:
        """The text part of the sequence [C, B L], and what is added to the scores [B, 1, L, L]:
        -inf for what may not be looked at, or None.

        L = 1 + the most words that any of the prompts has: nothing looks at the rest.
        """
        pooled = self._pooled(np.ascontiguousarray(text.pooled.T))  # [C, B]
        pooled += self._positions[0][:, None]
        known = text.mask[:, : self.config.word_limit]
        known = known[:, : int(known.sum(axis=1).max(initial=0))]
        batch, count = known.shape
        if not count:
            return pooled, None
        words = self._words(
            np.ascontiguousarray(text.tokens[:, :count].reshape(batch * count, -1).T)
        )
        words = words.reshape(-1, batch, count) + self._word_positions[:count].T[:, None]
        x = np.concatenate((words, pooled[:, :, None]), axis=2)
        known = np.pad(known, ((0, 0), (0, 1)), constant_values=True)
        seen = (np.tri(count + 1, dtype=bool) & known[:, None, :]) | np.eye(count + 1, dtype=bool)
        bias = np.where(seen, np.float32(0.0), np.float32(-np.inf))[:, None]
        return x.reshape(len(x), -1), bias

    def embed(self, tokens: NDArray[np.int64], place: int | NDArray[np.int64]) -> Array:
        """The tokens [B, Q] of a place, 0 the first, or one each -> [C, B]: the sum over levels."""
        x = self._positions[place + 1] + sum(
            table[chosen] for table, chosen in zip(self._embeddings, tokens.T, strict=True)
        )
        return np.ascontiguousarray(x.T)

    def state(self, normed: Array) -> Array:
        """The hidden state that the refiners read, of its normalised form [C, N]."""
        gain, shift = self._norm
        return normed * gain[:, None] + shift[:, None]


class Block:
    """Causal self-attention and a GELU layer, each normalised before and added to its input."""

    def __init__(self, part: _Part, width: int, heads: int) -> None:
        self._shape = (3, heads, width // heads)
        norm = (part("attention_norm.weight", width), part("attention_norm.bias", width))
        scale = (width // heads) ** -0.5
        sources = (("query", scale), ("key", 1.0), ("value", 1.0))
        matrix = np.concatenate([part(f"{n}.weight", width, width) * by for n, by in sources])
        bias = np.concatenate([part(f"{n}.bias", width) * by for n, by in sources])
        self._qkv = Linear(matrix, bias, norm)
        self._out = part.linear("attention_out", width, width)
        self._feed = Feed(part, width)

    def begin(self, x: Array, batch: int, bias: Array | None, keys: Array, values: Array) -> Array:
        """Read the text [C, B L]; its keys and values go into [B, H, S, C / H]."""
        qkv = self._qkv(normalised(x, NORM_EPSILON)).reshape(*self._shape, batch, -1)
        query, key, value = qkv.transpose(0, 3, 1, 4, 2)  # [B, H, L, C / H]
        length = query.shape[2]
        keys[:, :, :length], values[:, :, :length] = key, value
        scores = query @ key.swapaxes(2, 3)
        if bias is not None:
            scores += bias
        mixed = softmax(scores) @ value
        x = x + self._out(np.ascontiguousarray(mixed.transpose(1, 3, 0, 2)).reshape(x.shape))
        return self._feed(x)

    def step(self, x: Array, place: int, bias: Array | None, keys: Array, values: Array) -> Array:
        """Read one token [C, B] at a place; it looks at what is there up to itself."""
        qkv = self._qkv(normalised(x, NORM_EPSILON)).reshape(*self._shape, -1)
        query, key, value = qkv.transpose(0, 3, 1, 2)  # [B, H, C / H]
        keys[:, :, place], values[:, :, place] = key, value
        scores = (keys[:, :, : place + 1] @ query[..., None])[..., 0]  # [B, H, S]
        if bias is not None:
            scores[:, :, : bias.shape[2]] += bias
        mixed = (softmax(scores)[:, :, None] @ values[:, :, : place + 1])[:, :, 0]
        x = x + self._out(np.ascontiguousarray(mixed.transpose(1, 2, 0)).reshape(x.shape))
        return self._feed(x)


class Feed:
    """x + a GELU layer of x normalised, four times as wide."""

    def __init__(self, part: _Part, width: int) -> None:
        norm = (part("feed_norm.weight", width), part("feed_norm.bias", width))
        self._in = part.linear("feed_in", 4 * width, width, norm)
        self._out = part.linear("feed_out", width, 4 * width)

    def __call__(self, x: Array) -> Array:
        out = self._out(gelu(self._in(normalised(x, NORM_EPSILON))))
        out += x
        return out


class Refiner:
    """Foretells one further level of a token from the state so far and the level below."""

    def __init__(self, part: _Part, width: int, codes: int) -> None:
        self._below = part("below.weight", codes, width)
        self._feed = Feed(part, width)
        norm = (part("norm.weight", width), part("norm.bias", width))
        self._head = Linear(part("head.weight", codes, width), None, norm)

    def __call__(self, state: Array, below: NDArray[np.int64]) -> tuple[Array, Array]:
        """State [C, N], tokens of the level below [N] -> state, logits [K, N]."""
        state = self._feed(state + self._below[below].T)
        return state, self._head(normalised(state, NORM_EPSILON))


class Linear:
    """matrix @ x + bias; behind a layer normalisation, with its gain and bias in them."""

    def __init__(
        self, matrix: Array, bias: Array | None, norm: tuple[Array, Array] | None = None
    ) -> None:
        if norm is not None:
            gain, shift = norm
            shifted = matrix @ shift
            bias = shifted if bias is None else bias + shifted
            matrix = matrix * gain
        self._matrix = matrix
        self._bias = None if bias is None else bias[:, None]

    def __call__(self, x: Array) -> Array:
        out = self._matrix @ x
        if self._bias is not None:
            out += self._bias
        return out


class _Part:
    """The tensors under a prefix as numbers of a kind, checked as they are taken."""

    def __init__(
        self, tensors: Mapping[str, NDArray[Any]], prefix: str, kind: Kind = np.float32
    ) -> None:
        self._tensors = tensors
        self._prefix = prefix
        self._kind = kind

    def __call__(self, name: str, *shape: int) -> Array:
        return tensor_of(self._tensors, self._prefix + name, shape, self._kind)

    def under(self, prefix: str) -> _Part:
        return _Part(self._tensors, self._prefix + prefix, self._kind)

    def linear(
        self, name: str, out: int, width: int, norm: tuple[Array, Array] | None = None
    ) -> Linear:
        return Linear(self(f"{name}.weight", out, width), self(f"{name}.bias", out), norm)
