# SPDX-License-Identifier: GPL-3.0-or-later
"""One definition of chance for every runtime.

A clip has its own stream of numbers: NumPy's Philox keyed by the clip's seed. Number n * Q + q
draws level q of the n-th token, whoever computes the logits and in whatever batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

SEED_LIMIT = 2**63


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
    """One token [B] from each row of logits [B, K + 1] by inverse transform sampling.

    Args:
        logits: -inf forbids a token.
        chances: [B] numbers in [0, 1), one a row.
        temperature: Divides the logits; 0 takes the likeliest token.
        top_k: Keep only so many of the likeliest; 0 keeps all.
        top_p: Keep the likeliest that together reach this probability (nucleus sampling,
            Holtzman et al., 2020).
    """
    logits = np.asarray(logits, dtype=np.float64)
    if temperature == 0.0:
        return np.argmax(logits, axis=-1)
    order = np.argsort(-logits, axis=-1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=-1) / temperature
    weights = np.exp(ranked - ranked[:, :1])
    if top_k:
        weights[:, top_k:] = 0.0
    totals = np.cumsum(weights, axis=-1)
    # a token stays while those likelier than it have not yet reached top_p
    weights[totals - weights >= top_p * totals[:, -1:]] = 0.0
    totals = np.cumsum(weights, axis=-1)
    rank = np.sum(totals <= np.asarray(chances)[:, None] * totals[:, -1:], axis=-1)
    return np.take_along_axis(order, rank[:, None], axis=-1)[:, 0]
