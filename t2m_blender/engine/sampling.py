# SPDX-License-Identifier: GPL-3.0-or-later
"""One definition of chance for every runtime.

A clip has its own stream of numbers: NumPy's Philox keyed by the clip's seed. Number n * Q + q
draws level q of the n-th token, whoever computes the logits and in whatever batch.

Runtimes add up in different orders, so that their logits differ by up to `ROUNDING`. Tokens are
drawn in the order of their index, not of their likelihood: two tokens that are almost equally
likely do not change places, and only a number that falls within rounding of a token's edge could
draw its neighbour. Such a token is not sure, and `arbiter.py` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

SEED_LIMIT = 2**63

ROUNDING = 5e-6
"""What a logit of float32 is off by; of the embedded model 8e-6 at most was seen, and less where it
decides."""


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

    @property
    def rounding(self) -> float:
        """What a guided logit of float32 may be off by."""
        return ROUNDING * max(self.guidance, 1.0)


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
    sampling: Sampling,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """One token [B] from each row of logits [B, K] by inverse transform sampling.

    Args:
        logits: -inf forbids a token.
        chances: [B] numbers in [0, 1), one a row.
        sampling: Temperature and top_p.

    Returns:
        The tokens, and whether each is sure [B]: whatever rounding did to the logits. What rounding
        does to the set that top_p keeps is not looked at.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if sampling.temperature == 0.0:
        second, first = np.partition(logits, -2, axis=-1)[:, -2:].T
        return np.argmax(logits, axis=-1), first - second > 2.0 * sampling.rounding
    weights = np.exp((logits - logits.max(axis=-1, keepdims=True)) / sampling.temperature)
    if sampling.top_p < 1.0:
        order = np.argsort(-weights, axis=-1, kind="stable")
        ranked = np.take_along_axis(weights, order, axis=-1)
        before = np.cumsum(ranked, axis=-1) - ranked
        # a token stays while those likelier than it have not yet reached top_p
        dropped = before >= sampling.top_p * ranked.sum(axis=-1, keepdims=True)
        dropped[:, 0] = False
        ranked[dropped] = 0.0
        np.put_along_axis(weights, order, ranked, axis=-1)
    totals = np.cumsum(weights, axis=-1)
    chance, whole = np.asarray(chances, dtype=np.float64), totals[:, -1]
    drawn = chance * whole
    tokens = np.minimum(np.sum(totals <= drawn[:, None], axis=-1), logits.shape[-1] - 1)
    rows = np.arange(len(tokens))
    above = totals[rows, tokens] - drawn
    nearest = np.minimum(above, weights[rows, tokens] - above)  # of the token's two edges
    # an edge at c moves by at most c (1 - c) of what the logits are off by
    reach = sampling.rounding / sampling.temperature * chance * (1.0 - chance)
    return tokens, nearest > reach * whole
