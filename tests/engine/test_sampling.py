# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing tokens: reproducible, and with the probabilities that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.sampling import ROUNDING, Sampling, draw_tokens, token_stream

LOGITS = np.log(np.array([0.1, 0.4, 0.05, 0.25, 0.2]))


def frequencies(**options: float) -> np.ndarray:
    chances = (np.arange(20000) + 0.5) / 20000
    drawn, _ = draw_tokens(np.tile(LOGITS, (20000, 1)), chances, Sampling(**options))
    return np.bincount(drawn, minlength=5) / 20000


def test_the_stream_is_philox_keyed_by_the_seed() -> None:
    """A fixed point: another NumPy or machine must give the same numbers."""
    assert token_stream(1, 3, 1)[:, 0].tolist() == [
        0.3035680343067586,
        0.8487087496857769,
        0.1561347780434731,
    ]
    assert np.array_equal(token_stream(7, 50, 2)[:10], token_stream(7, 10, 2))
    assert np.array_equal(token_stream(7, 10, 2).ravel(), token_stream(7, 20, 1).ravel())
    assert not np.array_equal(token_stream(7, 10, 1), token_stream(8, 10, 1))
    assert token_stream(2**63 - 1, 1, 3).shape == (1, 3)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_impossible_seeds_are_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed"):
        token_stream(seed, 1, 1)


def test_probabilities() -> None:
    assert np.allclose(frequencies(), [0.1, 0.4, 0.05, 0.25, 0.2], atol=1e-3)
    assert np.allclose(frequencies(temperature=0.0), [0, 1, 0, 0, 0])
    cold = np.array([0.1, 0.4, 0.05, 0.25, 0.2]) ** 2
    assert np.allclose(frequencies(temperature=0.5), cold / cold.sum(), atol=1e-3)


def test_top_p() -> None:
    assert np.allclose(frequencies(top_p=0.6), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0], atol=1e-3)
    assert np.allclose(frequencies(top_p=1e-6), [0, 1, 0, 0, 0])


def test_forbidden_tokens_are_never_drawn() -> None:
    logits = np.tile(LOGITS, (1000, 1))
    logits[:, 1] = -np.inf
    drawn, _ = draw_tokens(logits, np.linspace(0, 1, 1000, endpoint=False), Sampling())
    assert set(drawn) == {0, 2, 3, 4}


@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_what_is_sure_stays_whatever_rounding_does(temperature: float, guidance: float) -> None:
    random = np.random.default_rng(0)
    rule = Sampling(guidance=guidance, temperature=temperature)
    logits = 3.0 * random.normal(size=(4000, 64))
    logits[::2, 5] = logits[::2].max(axis=1) + 2e-5 * random.normal(size=2000)
    totals = np.cumsum(np.exp(logits / (temperature or 1.0)), axis=1)
    edges = totals[np.arange(4000), random.integers(0, 63, 4000)] / totals[:, -1]
    chances = np.clip(edges + 2.0 * ROUNDING * random.normal(size=4000), 0.0, 0.99999)
    expected, sure = draw_tokens(logits, chances, rule)
    assert 0.1 < sure.mean() < 0.95
    for _ in range(20):
        # each logit off by what float32 does, half of it the other way for its neighbour
        off = rule.rounding * random.uniform(-0.5, 0.5, logits.shape)
        found, _ = draw_tokens(logits + off, chances, rule)
        assert np.array_equal(found[sure], expected[sure])
    _, sure = draw_tokens(logits[1::2], random.random(2000), rule)
    assert sure.mean() > 0.98
