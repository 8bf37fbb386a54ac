# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing tokens: reproducible, and with the probabilities that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.sampling import draw_tokens, token_stream

LOGITS = np.log(np.array([0.1, 0.4, 0.05, 0.25, 0.2]))


def frequencies(**options: float) -> np.ndarray:
    chances = (np.arange(20000) + 0.5) / 20000
    drawn = draw_tokens(np.tile(LOGITS, (20000, 1)), chances, **options)
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


def test_top_k_and_top_p() -> None:
    assert np.allclose(frequencies(top_k=2), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0], atol=1e-3)
    assert np.allclose(frequencies(top_p=0.6), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0], atol=1e-3)
    assert np.allclose(frequencies(top_p=1e-6), [0, 1, 0, 0, 0])


def test_forbidden_tokens_are_never_drawn() -> None:
    logits = np.tile(LOGITS, (1000, 1))
    logits[:, 1] = -np.inf
    drawn = draw_tokens(logits, np.linspace(0, 1, 1000, endpoint=False))
    assert set(drawn) == {0, 2, 3, 4}
