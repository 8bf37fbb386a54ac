# SPDX-License-Identifier: GPL-3.0-or-later
"""One definition of chance for every runtime.

A clip has its own stream of numbers: NumPy's Philox keyed by the clip's seed. Number n * Q + q
draws level q of the n-th token, whoever computes the logits and in whatever batch.

Runtimes add up in different orders, so that their logits differ by about 1e-6. Tokens are drawn in
the order of their index, not of their likelihood: two tokens that are almost equally likely do not
change places, and only a number that falls within about 1e-6 of a token's edge can draw its
neighbour (benchmarks/same_tokens.py counts them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

SEED_LIMIT = 2**63


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        guidance: Classifier-free guidance (Ho & Salimans, 2022): 1 takes the text as it is, more
            follows it more closely.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_p: Keep the likeliest tokens that together reach this probability (nucleus sampling,
            Holtzman et al., 2020).
    """

    guidance: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0


def token_stream(seed: int, length: int, levels: int) -> NDArray[np.float64]:
    """Numbers [length, levels] in [0, 1): the beginning of a clip's stream.

    Raises:
        InputError: The seed is negative or not below 2 ** 63.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise InputError(f"The seed is {seed}; give a whole number from 0 to {SEED_LIMIT - 1}.")
    return np.random.Generator(np.random.Philox(key=seed)).random((length, levels))


def draw_tokens(
    logits: NDArray[np.floating[Any]],
    chances: Sequence[float] | NDArray[np.float64],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> NDArray[np.int64]:
    """One token [B] from each row of logits [B, K] by inverse transform sampling.

    Args:
        logits: -inf forbids a token.
        chances: [B] numbers in [0, 1), one a row.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_k: Keep only so many of the likeliest; 0 keeps all.
        top_p: See `Sampling`.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if temperature == 0.0:
        return np.argmax(logits, axis=-1)
    weights = np.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature)
    if top_k or top_p < 1.0:
        order = np.argsort(-weights, axis=-1, kind="stable")
        ranked = np.take_along_axis(weights, order, axis=-1)
        before = np.cumsum(ranked, axis=-1) - ranked
        # a token stays while those likelier than it have not yet reached top_p
        dropped = before >= top_p * ranked.sum(axis=-1, keepdims=True)
        if top_k:
            dropped[:, top_k:] = True
        dropped[:, 0] = False
        ranked[dropped] = 0.0
        np.put_along_axis(weights, order, ranked, axis=-1)
    totals = np.cumsum(weights, axis=-1)
    return np.sum(totals <= np.asarray(chances)[:, None] * totals[:, -1:], axis=-1)
