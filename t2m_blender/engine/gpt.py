# SPDX-License-Identifier: GPL-3.0-or-later
"""The transformer of T2M-GPT (Zhang et al., CVPR 2023, section 3.2): text features -> tokens.

A causal transformer whose sequence begins with the text and goes on with motion tokens. Its
vocabulary is the K codes and End (index K); Pad (K + 1) is an input only. The text is one pooled
feature (the paper), or a prefix of word features followed by the pooled one: pooled sentences can
hardly tell left from right. Where a token has several levels, the transformer foretells the first,
and small refiners foretell each further one from the levels before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .configs import GPTConfig

__all__ = ["GPT", "Cache", "GPTConfig", "TextCondition"]


@dataclass
class TextCondition:
    """Text features of B prompts; `without_text` is the condition of classifier-free guidance.

    Attributes:
        pooled: [B, text_size].
        words: [B, W, text_size], W at most word_limit.
        known: [B, W] bool, False where a prompt has fewer words.
    """

    pooled: Tensor
    words: Tensor
    known: Tensor

    def without_text(self, dropped: Tensor | None = None) -> TextCondition:
        """The same with the text taken out everywhere, or only in the rows `dropped` [B] bool."""
        if dropped is None:
            dropped = torch.ones(len(self.pooled), dtype=torch.bool, device=self.pooled.device)
        keep = ~dropped[:, None]
        return TextCondition(self.pooled * keep, self.words * keep[..., None], self.known & keep)

    def to(self, device: torch.device) -> TextCondition:
        return TextCondition(self.pooled.to(device), self.words.to(device), self.known.to(device))

    def rows(self, part: slice) -> TextCondition:
        """Of some of the prompts."""
        return TextCondition(self.pooled[part], self.words[part], self.known[part])

    def followed_by(self, other: TextCondition) -> TextCondition:
        """Both batches in one."""
        return TextCondition(
            torch.cat((self.pooled, other.pooled)),
            torch.cat((self.words, other.words)),
            torch.cat((self.known, other.known)),
        )


@dataclass
class Cache:
    """What was read so far, at full size from the beginning: a step changes values, never shapes,
    so that a device can record it once and play it again.

    Attributes:
        keys, values: [blocks, B, heads, positions, width / heads].
        known: [B, positions] bool: may be attended to.
        length: int64 [1], how many positions are filled.
    """

    keys: Tensor
    values: Tensor
    known: Tensor
    length: Tensor


class GPT(nn.Module):
    """Next-token logits. `read` takes whole sequences, `begin` and `step` one token at a time; both
    give hidden states [..., width], of which `head` and the refiners make logits.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.token_embedding = nn.Embedding(config.codebook_size + 2, width)
        self.refinement_embeddings = nn.ModuleList(
            nn.Embedding(config.codebook_size, width) for _ in range(config.levels - 1)
        )
        self.pooled_projection = nn.Linear(config.text_size, width)
        self.positions = nn.Parameter(_sinusoids(config.token_limit + 1, width))
        if config.word_limit:
            self.word_projection = nn.Linear(config.text_size, width)
            self.word_positions = nn.Parameter(_sinusoids(config.word_limit, width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.codebook_size + 1, bias=False)
        self.refiners = nn.ModuleList(Refiner(config) for _ in range(config.levels - 1))
        self.apply(_initialise)

    def forward(self, tokens: Tensor, text: TextCondition) -> Tensor:
        """Logits [B, L + 1, K + 1] of the first level: entry i foretells token i.

        `tokens` is [B, L, Q], L <= token_limit; L = 0 asks for the first token only.
        """
        logits: Tensor = self.head(self.read(tokens, text))
        return logits

    def read(self, tokens: Tensor, text: TextCondition) -> Tensor:
        """Hidden states [B, L + 1, width] of tokens [B, L, Q]: entry i knows what is before i."""
        x, known = self._embed_text(text)
        if tokens.shape[1]:
            later = self._embed(tokens) + self.positions[1 : tokens.shape[1] + 1]
            x = torch.cat((x, later), dim=1)
        x = self.dropout(x)
        total = x.shape[1]
        known = functional.pad(known, (0, total - known.shape[1]), value=True)
        mask = _causal_mask(known)
        for block in self.blocks:
            x, _, _ = block(x, mask)
        hidden: Tensor = self.norm(x[:, total - tokens.shape[1] - 1 :])
        return hidden

    def refine(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Logits [..., Q - 1, K] of the further levels of tokens [..., Q], given those below each.

        `hidden` [..., width] are the states that foretell these tokens.
        """
        logits = []
        for refiner, below in zip(self.refiners, tokens.unbind(-1), strict=False):
            hidden, foretold = refiner(hidden, below)
            logits.append(foretold)
        return torch.stack(logits, dim=-2)

    def empty_cache(self, batch: int) -> Cache:
        """Room for B sequences of the greatest length."""
        config, like = self.config, self.positions
        shape = (config.blocks, batch, config.heads, config.positions, config.width // config.heads)
        return Cache(
            like.new_zeros(shape),
            like.new_zeros(shape),
            torch.ones(batch, config.positions, dtype=torch.bool, device=like.device),
            torch.zeros(1, dtype=torch.int64, device=like.device),
        )

    def begin(self, text: TextCondition, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Reads the text: the hidden state [B, width] before the first token, and the cache.

        A cache of an earlier batch of the same size may be used again.
        """
        x, known = self._embed_text(text)
        length = x.shape[1]
        if cache is None:
            cache = self.empty_cache(len(x))
        cache.known[:, :length] = known
        cache.length.zero_()
        if length == 1:
            x = self.through_blocks(x[:, 0], cache)[:, None]
        else:
            mask = _causal_mask(known)
            for index, block in enumerate(self.blocks):
                x, keys, values = block(x, mask)
                cache.keys[index, :, :, :length] = keys
                cache.values[index, :, :, :length] = values
        cache.length += length
        hidden: Tensor = self.norm(x[:, -1])
        return hidden, cache

    def step(self, tokens: Tensor, cache: Cache) -> Tensor:
        """Appends one token [B, Q] to the cache: the hidden state [B, width] after it."""
        place = (cache.length - self.config.word_limit).clamp(min=0)
        x = self._embed(tokens) + self.positions.index_select(0, place)
        x = self.through_blocks(x, cache)
        cache.length += 1
        hidden: Tensor = self.norm(x)
        return hidden

    def through_blocks(self, x: Tensor, cache: Cache) -> Tensor:
        """One token of each clip, [B, width]; its keys and values go to the cache's next place."""
        before = torch.arange(self.config.positions, device=x.device) <= cache.length
        mask = (before & cache.known)[:, None, None]
        x = x[:, None]
        for index, block in enumerate(self.blocks):
            x, _, _ = block(x, mask, (cache.keys[index], cache.values[index], cache.length))
        return x[:, 0]

    def _embed(self, tokens: Tensor) -> Tensor:
        """[..., Q] -> [..., width]: the sum over levels."""
        x: Tensor = self.token_embedding(tokens[..., 0])
        for level, embedding in enumerate(self.refinement_embeddings, start=1):
            x = x + embedding(tokens[..., level])
        return x

    def _embed_text(self, text: TextCondition) -> tuple[Tensor, Tensor]:
        """The text part of the sequence [B, word_limit + 1, width], and which of it is known."""
        pooled = self.pooled_projection(text.pooled)[:, None] + self.positions[:1]
        one = torch.ones_like(text.pooled[:, :1], dtype=torch.bool)
        if not self.config.word_limit:
            return pooled, one
        words = self.word_projection(text.words) + self.word_positions[: text.words.shape[1]]
        return torch.cat((words, pooled), dim=1), torch.cat((text.known, one), dim=1)


class Refiner(nn.Module):
    """Foretells one further level of a token from the state so far and the level below."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.width
        self.below = nn.Embedding(config.codebook_size, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.codebook_size, bias=False)

    def forward(self, hidden: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """hidden [..., width], tokens of the level below [...] -> hidden, logits [..., K]."""
        x = hidden + self.below(below)
        x = x + self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x))))
        return x, self.head(self.norm(x))


class Block(nn.Module):
    """Causal self-attention and a GELU layer, each normalised before and added to its input."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.dropout = config.dropout
        self.attention_dropout = config.attention_dropout
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.attention_out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, mask: Tensor, cached: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, L, C], mask [B, 1, L, S] -> x, and keys and values [B, H, S, C/H].

        `cached` are keys and values [B, H, S, C/H] and the place [1] where those of x, L = 1, are
        written; without it, S = L.
        """
        normed = self.attention_norm(x)
        query, keys, values = (
            part.view(*x.shape[:2], self.heads, -1).transpose(1, 2) for part in self.project(normed)
        )
        if cached is not None:
            all_keys, all_values, place = cached
            keys = all_keys.index_copy_(2, place, keys)
            values = all_values.index_copy_(2, place, values)
        rate = self.attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, keys, values, mask, dropout_p=rate)
        x = x + self._drop(self.attention_out(mixed.transpose(1, 2).flatten(2)))
        fed = self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x))))
        return x + self._drop(fed), keys, values

    def project(self, normed: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, L, C]."""
        return self.query(normed), self.key(normed), self.value(normed)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


def _causal_mask(known: Tensor) -> Tensor:
    """[B, 1, S, S] bool of known [B, S]; everyone may look at itself."""
    total = known.shape[1]
    square = torch.ones(total, total, dtype=torch.bool, device=known.device)
    itself = torch.eye(total, dtype=torch.bool, device=known.device)
    return ((square.tril() & known[:, None, :]) | itself)[:, None]


def _sinusoids(length: int, width: int) -> Tensor:
    """[length, width] sines in the even and cosines in the odd channels (Vaswani et al., 2017)."""
    place = torch.arange(length)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)
    return table


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
