# SPDX-License-Identifier: GPL-3.0-or-later
"""The five metrics of text-to-motion on embeddings [N, E], with their intervals.

R-Precision, MM-Dist, FID, Diversity and MModality are those of Guo et al. (CVPR 2022, section 5),
which T2M-GPT reports. Embeddings are rows: text row i describes motion row i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError

Array = NDArray[np.float64]
Chance = np.random.Generator | np.random.RandomState

POOL = 32
TOPS = (1, 2, 3)
DIVERSITY_PAIRS = 300
MODALITY_PAIRS = 10


@dataclass(frozen=True, eq=False)
class Matching:
    """How well texts find their own motions.

    Attributes:
        hits: [M, 3] chance that the own motion of each of the first M rows is among the nearest 1,
            2, 3 of its pool; between 0 and 1 only where others are exactly as near.
        distances: [M] from each text to its own motion.
    """

    hits: Array
    distances: Array

    @property
    def r_precision(self) -> Array:
        """[3] R-Precision, top 1, 2, 3."""
        return self.hits.mean(axis=0)

    @property
    def mm_dist(self) -> float:
        """MM-Dist: mean distance between a text and its motion."""
        return float(self.distances.mean())


def match_in_order(text: Array, motion: Array, pool: int = POOL) -> Matching:
    """The published protocol: each `pool` rows, as they come, are a pool; the last rest is dropped.

    Raises:
        InputError: There are fewer rows than a pool.
    """
    count = len(text) // pool * pool
    _need_rows(count, pool)
    rows = np.arange(count)
    pools = (rows // pool * pool)[:, None] + np.arange(pool)
    return _match(text, motion, pools, own=rows % pool)


def match_resampled(
    text: Array, motion: Array, clips: NDArray[np.int64], generator: Chance, pool: int = POOL
) -> Matching:
    """For small sets: every row in a pool of its own, drawn anew.

    A pool is a row's own motion and one motion each of `pool - 1` other clips.

    Args:
        text, motion: [N, E].
        clips: [N] the clip that each row is about; several rows may be about one.
        generator: Of the choice.
        pool: Motions in a pool.

    Raises:
        InputError: There are fewer clips than a pool.
    """
    names, index = np.unique(clips, return_inverse=True)
    _need_rows(len(names), pool)
    rows_of = [np.flatnonzero(index == k) for k in range(len(names))]
    pools = np.empty((len(text), pool), dtype=np.int64)
    for row, own in enumerate(index):
        drawn = generator.permutation(len(names) - 1)[: pool - 1]
        drawn = drawn + (drawn >= own)
        pools[row, 0] = row
        pools[row, 1:] = [generator.choice(rows_of[k]) for k in drawn]
    return _match(text, motion, pools, own=np.zeros(len(text), dtype=np.int64))


def _match(
    text: Array, motion: Array, pools: NDArray[np.int64], own: NDArray[np.int64]
) -> Matching:
    """Matches the first M texts against the motions of their pools [M, P].

    `own` is where in its pool a text's own motion is.
    """
    rows = text[: len(pools)]
    apart = np.stack(
        [np.linalg.norm(motion[p] - row, axis=-1) for row, p in zip(rows, pools, strict=True)]
    )
    distances = apart[np.arange(len(pools)), own]
    nearer = (apart < distances[:, None]).sum(axis=1)
    # those exactly as near share their places, so that a model of one motion gains nothing
    level = (apart == distances[:, None]).sum(axis=1)
    hits = [np.clip((top - nearer) / level, 0.0, 1.0) for top in TOPS]
    return Matching(np.stack(hits, axis=1), distances)


def fid(real: Array, generated: Array) -> float:
    """Frechet distance of two sets of embeddings [N, E] and [M, E], taken as Gaussians.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). With S = R^T R, the last trace is the sum of the
    singular values of R1 R2^T. R comes from the centred rows themselves, so no covariance is
    inverted or rooted: the distance of these samples is exact also where they are fewer than E.
    (How far it is from the distance of what they were drawn from is for the noise floor to tell.)

    Raises:
        InputError: A set has fewer than two rows, or holds NaN, so that there is no covariance.
    """
    roots: list[Array] = []
    means: list[Array] = []
    for name, rows in (("real", real), ("generated", generated)):
        if len(rows) < 2 or not np.isfinite(rows).all():
            reason = f"{len(rows)} of them" if len(rows) < 2 else "NaN among them"
            raise InputError(f"FID cannot be computed from the {name} embeddings: {reason}.")
        wide = np.asarray(rows, dtype=np.float64)
        means.append(wide.mean(axis=0))
        centred = (wide - means[-1]) / np.sqrt(len(wide) - 1)
        roots.append(np.asarray(np.linalg.qr(centred, mode="r")))
    spread = sum(float((root**2).sum()) for root in roots)
    common = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    shift = float(((means[0] - means[1]) ** 2).sum())
    return max(0.0, shift + spread - 2.0 * common)


def noise_floor(real: Array, generator: Chance, repeats: int) -> list[float]:
    """FIDs of two random halves of the same motions: what cannot be told from a perfect model."""
    found = []
    for _ in range(repeats):
        order = generator.permutation(len(real))
        half = len(real) // 2
        found.append(fid(real[order[:half]], real[order[half : 2 * half]]))
    return found


def diversity(motion: Array, generator: Chance, pairs: int = DIVERSITY_PAIRS) -> float:
    """Mean distance of `pairs` random pairs, as published.

    Raises:
        InputError: There are fewer rows than pairs; see `mean_distance`.
    """
    if len(motion) < pairs:
        raise InputError(f"Diversity draws {pairs} pairs; there are {len(motion)} motions only.")
    first = generator.choice(len(motion), pairs, replace=False)
    second = generator.choice(len(motion), pairs, replace=False)
    return float(np.linalg.norm(motion[first] - motion[second], axis=-1).mean())


def mean_distance(motion: Array, clips: NDArray[np.int64]) -> float:
    """Diversity of small sets: the mean distance of all pairs of motions of different clips.

    Raises:
        InputError: All are of one clip.
    """
    different = clips[:, None] != clips[None]
    if not different.any():
        raise InputError("Diversity needs motions of at least two clips.")
    squares = (motion**2).sum(axis=-1)
    apart = squares[:, None] + squares[None] - 2.0 * motion @ motion.T
    return float(np.sqrt(np.maximum(apart[different], 0.0)).mean())


def multimodality(motion: Array, generator: Chance, pairs: int = MODALITY_PAIRS) -> float:
    """MModality of [C, G, E], G motions of each of C texts: mean distance of pairs within a text.

    Raises:
        InputError: There are fewer motions of a text than pairs.
    """
    return float(modality_distances(motion, generator, pairs).mean())


def modality_distances(motion: Array, generator: Chance, pairs: int = MODALITY_PAIRS) -> Array:
    """[C] the mean of each text; see `multimodality`."""
    if motion.shape[1] < pairs:
        raise InputError(f"MModality draws {pairs} pairs; a text has {motion.shape[1]} motions.")
    first = generator.choice(motion.shape[1], pairs, replace=False)
    second = generator.choice(motion.shape[1], pairs, replace=False)
    apart: Array = np.linalg.norm(motion[:, first] - motion[:, second], axis=-1)
    return apart.mean(axis=1)


@dataclass(frozen=True)
class Estimate:
    """A figure and how sure it is.

    Attributes:
        value: The mean over the repeats.
        repeat: Half width of the published interval, 1.96 sigma / sqrt(repeats): what the choice of
            pools, captions and random numbers does; None for what is measured once.
        low, high: The bootstrap's 95 % interval: what the choice of clips does as well.
    """

    value: float
    repeat: float | None
    low: float
    high: float


def repeat_interval(values: Sequence[float]) -> float:
    """1.96 sigma / sqrt(repeats), as published."""
    return float(1.96 * np.std(values) / np.sqrt(len(values)))


def bootstrap_interval(
    figure: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    clips: NDArray[np.int64],
    value: float,
    *,
    seed: int,
    draws: int,
) -> tuple[float, float]:
    """The 95 % interval around `value` if other clips had been drawn (Efron, 1979).

    Clips are drawn with replacement, as many as there are, each with all of its rows. The 2.5 and
    97.5 percentiles of the figure are laid around `value` by the figure's own mean over the draws:
    repeated clips make some figures (FID) larger, which is no part of the uncertainty.

    Args:
        figure: Of (rows [M], the clip of each [M]); a clip drawn twice keeps one number.
        clips: [N] the clip of each row.
        value: The figure of all rows.
        seed: The same seed draws the same clips, whatever the figure.
        draws: How many.
    """
    generator = np.random.default_rng(seed)
    names, index = np.unique(clips, return_inverse=True)
    rows_of = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    found = []
    for _ in range(draws):
        rows = np.concatenate([rows_of[k] for k in generator.integers(len(names), size=len(names))])
        found.append(figure(rows, clips[rows]))
    spread = np.percentile(found, (2.5, 97.5)) - np.mean(found)
    return float(value + spread[0]), float(value + spread[1])


def as_rows(embeddings: Any) -> Array:
    """Embeddings as the metrics take them: float64 [N, E]."""
    return np.asarray(embeddings, dtype=np.float64)


def _need_rows(count: int, pool: int) -> None:
    if count < pool:
        raise InputError(
            f"R-Precision needs a pool of {pool} captioned clips; there are {count}. Prepare more "
            "clips, or name another split."
        )
