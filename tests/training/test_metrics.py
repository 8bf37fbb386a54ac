# SPDX-License-Identifier: GPL-3.0-or-later
"""The five metrics against the reference implementation, by hand, and where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from t2m_blender.engine.errors import InputError
from training.metrics import (
    bootstrap_interval,
    diversity,
    fid,
    match_in_order,
    match_resampled,
    mean_distance,
    multimodality,
    noise_floor,
    repeat_interval,
)


@pytest.fixture(scope="module")
def reference(parity: Path) -> dict[str, np.ndarray]:
    with np.load(parity / "metrics.npz") as file:
        return dict(file)


def test_all_metrics_equal_the_reference(reference: dict[str, np.ndarray]) -> None:
    matching = match_in_order(reference["text"], reference["motion"])
    np.testing.assert_allclose(
        matching.r_precision, reference["r_precision_top123"], rtol=0, atol=1e-6
    )
    assert abs(matching.mm_dist - float(reference["mm_dist"])) < 1e-6
    assert abs(fid(reference["real"], reference["generated"]) - float(reference["fid"])) < 1e-6
    drawn = diversity(reference["real"], np.random.RandomState(11))
    assert abs(drawn - float(reference["diversity_seed11_300"])) < 1e-6
    several = multimodality(reference["multimodality_input"], np.random.RandomState(12))
    assert abs(several - float(reference["multimodality_seed12_10"])) < 1e-6


@pytest.mark.parametrize(("rows", "size"), [(400, 16), (20, 64), (47, 512)])
def test_fid_of_a_set_with_itself_is_zero(rows: int, size: int) -> None:
    """Also where rows are fewer than numbers, and covariances singular."""
    points = 5.0 + np.random.default_rng(0).standard_normal((rows, size))
    assert fid(points, points) < 1e-6
    assert fid(points, points[::-1]) < 1e-6


def test_fid_equals_the_root_of_the_covariances() -> None:
    generator = np.random.default_rng(1)
    real = generator.standard_normal((300, 8)) @ generator.standard_normal((8, 8))
    other = 1.0 + generator.standard_normal((200, 8)) @ generator.standard_normal((8, 8))
    roots = scipy.linalg.sqrtm(np.cov(real.T) @ np.cov(other.T)).real
    shift = ((real.mean(axis=0) - other.mean(axis=0)) ** 2).sum()
    expected = shift + np.trace(np.cov(real.T) + np.cov(other.T) - 2.0 * roots)
    assert abs(fid(real, other) - expected) < 1e-9 * expected


def test_fid_of_singular_covariances_by_hand() -> None:
    """On one line the distance is that of two normal distributions: means and spreads."""
    line = np.zeros((1, 32))
    line[0, :2] = (0.6, 0.8)
    a, b = np.array([-1.0, 0.0, 4.0]), np.array([2.0, 3.0, 10.0, 5.0])
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert abs(fid(a[:, None] * line, b[:, None] * line) - expected) < 1e-9


def test_fid_says_when_it_cannot_be_computed() -> None:
    points = np.random.default_rng(0).standard_normal((10, 4))
    with pytest.raises(InputError, match=r"generated embeddings: 1 of them"):
        fid(points, points[:1])
    broken = points.copy()
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="real embeddings: NaN"):
        fid(broken, points)


def test_noise_floor_is_of_halves() -> None:
    points = np.random.default_rng(0).standard_normal((101, 6))
    found = noise_floor(points, np.random.default_rng(1), 4)
    order = np.random.default_rng(1).permutation(101)
    assert found[0] == fid(points[order[:50]], points[order[50:100]])
    assert len(set(found)) == 4
    assert 0.01 < np.mean(found) < 1.0


def test_the_last_rest_is_dropped() -> None:
    """Rows beyond the last whole pool change nothing; fewer than a pool is an error."""
    generator = np.random.default_rng(0)
    text, motion = generator.standard_normal((2, 90, 4))
    whole = match_in_order(text, motion)
    assert len(whole.hits) == len(whole.distances) == 64
    np.testing.assert_array_equal(whole.hits, match_in_order(text[:64], motion[:64]).hits)
    with pytest.raises(InputError, match="pool of 32 captioned clips; there are 0"):
        match_in_order(text[:31], motion[:31])
    with pytest.raises(InputError, match="there are 31"):
        match_resampled(text[:62], motion[:62], np.arange(62) // 2, generator)


def test_ranks_by_hand() -> None:
    """Each text stands between its own motion and others: 0, 1 or 3 of the pool are nearer."""
    motion = np.arange(32.0)[:, None] * 10.0
    text = motion.copy()
    text[4] += 6.0  # nearer to 5
    text[8] += 16.0  # nearer to 9, 10 and (14 away) no other: own is 16 away
    hits = match_in_order(text, motion).hits
    assert hits[4].tolist() == [0.0, 1.0, 1.0]
    assert hits[8].tolist() == [0.0, 0.0, 0.0]
    assert hits[:4].min() == 1.0


def test_one_motion_for_every_text_is_worth_chance() -> None:
    text = np.random.default_rng(0).standard_normal((64, 4))
    motion = np.ones((64, 4))
    expected = [1 / 32, 2 / 32, 3 / 32]
    np.testing.assert_allclose(match_in_order(text, motion).r_precision, expected)
    clips = np.arange(64)
    resampled = match_resampled(text, motion, clips, np.random.default_rng(0))
    np.testing.assert_allclose(resampled.r_precision, expected)


def test_resampled_pools_ask_every_caption_and_hold_other_clips_only() -> None:
    """Three captions a clip, whose motions are alike: they never stand in each other's pool."""
    clips = np.repeat(np.arange(40), 3)
    points = np.eye(40)[clips]
    perfect = match_resampled(points, points, clips, np.random.default_rng(0))
    assert perfect.hits.shape == (120, 3)
    assert perfect.hits.min() == 1.0
    random = np.random.default_rng(1).standard_normal((2, 120, 8))
    found = [
        match_resampled(*random, clips, np.random.default_rng(seed)).r_precision[2]
        for seed in range(20)
    ]
    assert len(set(found)) > 1
    assert abs(np.mean(found) - 3 / 32) < 0.04


def test_diversity_of_small_sets_is_the_mean_of_all_pairs() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0], [7.0, 7.0]])
    clips = np.array([0, 1, 2, 2])
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    expected = np.mean([np.linalg.norm(points[a] - points[b]) for a, b in pairs])
    assert abs(mean_distance(points, clips) - expected) < 1e-12
    with pytest.raises(InputError, match="at least two clips"):
        mean_distance(points[2:], clips[2:])
    with pytest.raises(InputError, match="300 pairs; there are 4"):
        diversity(points, np.random.default_rng(0))
    with pytest.raises(InputError, match="10 pairs; a text has 4"):
        multimodality(points[None], np.random.default_rng(0))


def test_intervals() -> None:
    """The published one by its formula; the bootstrap's of a mean by theory, clips as units."""
    assert abs(repeat_interval([1.0, 3.0]) - 1.96 / np.sqrt(2.0)) < 1e-12
    values = np.random.default_rng(0).standard_normal(400)

    def mean(rows: np.ndarray, clips: np.ndarray) -> float:
        return float(values[rows].mean())

    alone = bootstrap_interval(mean, np.arange(400), 0.5, seed=1, draws=500)
    width = 2 * 1.96 * values.std() / np.sqrt(400)
    assert abs((alone[1] - alone[0]) / width - 1.0) < 0.15
    assert abs(np.mean(alone) - 0.5) < 0.2 * width
    # four rows of a clip are no four clips: twice the width where they agree
    values = np.repeat(values[:100], 4)
    together = bootstrap_interval(mean, np.arange(400) // 4, 0.0, seed=1, draws=500)
    apart = bootstrap_interval(mean, np.arange(400), 0.0, seed=1, draws=500)
    assert 1.6 < (together[1] - together[0]) / (apart[1] - apart[0]) < 2.4
    again = bootstrap_interval(mean, np.arange(400) // 4, 0.0, seed=1, draws=500)
    assert together == again
