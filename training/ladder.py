# SPDX-License-Identifier: GPL-3.0-or-later
"""The ladder: the same questions to real, rebuilt and generated motion, a figure for each answer.

Large test sets are asked as published: every clip once a repeat, with one of its captions, in pools
of 32 as they come. Where that would leave fewer than ten pools, every caption is asked, each in a
pool of its own drawn anew, and mirrored copies are left out, since they are no further evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.quality import floor_penetration, foot_skate_ratio, jitter

from .data.dataset import Clip, Dataset
from .metrics import (
    DIVERSITY_PAIRS,
    POOL,
    Array,
    Estimate,
    Matching,
    bootstrap_interval,
    diversity,
    fid,
    match_in_order,
    match_resampled,
    mean_distance,
    modality_distances,
    repeat_interval,
)
from .motion_quality import (
    joint_error,
    limb_length_error,
    root_error_after,
    root_path_error,
)

FEW_CLIPS = 10 * POOL
BOOTSTRAP_DRAWS = 300
PATH_SECONDS = 5.0  # after which the root's place is compared, of clips that last so long

R_PRECISION = ("R-Precision top 1", "R-Precision top 2", "R-Precision top 3")
FID, MM_DIST, DIVERSITY, MODALITY = "FID", "MM-Dist", "Diversity", "MModality"
BETTER = dict.fromkeys(R_PRECISION, "higher") | {FID: "lower", MM_DIST: "lower"}


@dataclass(frozen=True, eq=False)
class Questions:
    """What is asked.

    Attributes:
        clips: Those of the split that are asked about, C.
        captions: Each sentence once.
        clip_of, caption_of: [N] every caption of every clip, as indices.
        resampled: Every caption in pools drawn anew; else as published.
    """

    clips: tuple[Clip, ...]
    captions: tuple[str, ...]
    clip_of: NDArray[np.int64]
    caption_of: NDArray[np.int64]
    resampled: bool

    def asked(self, repeat: int, seed: int) -> NDArray[np.int64]:
        """The rows of a repeat: all, or as published one of every clip, in random order."""
        if self.resampled:
            return np.arange(len(self.clip_of))
        generator = np.random.default_rng([seed, repeat])
        rows = [generator.choice(np.flatnonzero(self.clip_of == k)) for k in range(len(self.clips))]
        return generator.permutation(rows)[: len(rows) // POOL * POOL]


def questions_of(dataset: Dataset, split: str) -> Questions:
    """The questions of a split.

    Raises:
        InputError: It has no captioned clip, or fewer than a pool.
    """
    clips = [clip for clip in dataset.split(split) if clip.captions]
    if not clips:
        raise InputError(f"The split '{split}' has no clip with a caption; prepare captions too.")
    resampled = sum(not clip.mirrored for clip in clips) < FEW_CLIPS
    if resampled:
        clips = [clip for clip in clips if not clip.mirrored]
    if len(clips) < POOL:
        raise InputError(
            f"The split '{split}' has {len(clips)} captioned clips, fewer than a pool of {POOL}; "
            "name another split, or prepare more clips."
        )
    captions = sorted({caption for clip in clips for caption in clip.captions})
    index = {caption: k for k, caption in enumerate(captions)}
    rows = [(k, index[caption]) for k, clip in enumerate(clips) for caption in clip.captions]
    clip_of, caption_of = np.array(rows).T
    return Questions(tuple(clips), tuple(captions), clip_of, caption_of, resampled)


@dataclass(frozen=True, eq=False)
class Answers:
    """The embeddings of one repeat of one row of the ladder.

    Attributes:
        clips: [M] which clip each question is about.
        text, motion, real: [M, E] of the captions, of the answers, of the clips.
    """

    clips: NDArray[np.int64]
    text: Array
    motion: Array
    real: Array


def embedding_figures(
    repeats: Sequence[Answers], *, resampled: bool, seed: int
) -> dict[str, Estimate]:
    """R-Precision, FID, MM-Dist and Diversity of a row of the ladder."""
    matchings, fids, diversities = [], [], []
    for number, answers in enumerate(repeats):
        generator = np.random.default_rng([seed, number, 1])
        matchings.append(_matched(answers, generator, resampled))
        fids.append(fid(answers.real, answers.motion))
        diversities.append(_diversity(answers.motion, answers.clips, generator, resampled))
    clips = np.concatenate([answers.clips for answers in repeats])
    hits = np.concatenate([matching.hits for matching in matchings])
    apart = np.concatenate([matching.distances for matching in matchings])
    figures = {}
    for place, name in enumerate(R_PRECISION):
        values = [float(matching.r_precision[place]) for matching in matchings]
        figures[name] = _estimate(values, _mean_of(hits[:, place]), clips, seed)
    first = repeats[0]
    found = _estimate(
        fids, lambda rows, _: fid(first.real[rows], first.motion[rows]), first.clips, seed
    )
    figures[FID] = replace(found, low=max(0.0, found.low))
    values = [matching.mm_dist for matching in matchings]
    figures[MM_DIST] = _estimate(values, _mean_of(apart), clips, seed)
    figures[DIVERSITY] = _estimate(
        diversities,
        lambda rows, drawn: _diversity(
            first.motion[rows], drawn, np.random.default_rng(seed), resampled
        ),
        first.clips,
        seed,
    )
    return figures


def modality_figure(motion: Array, *, repeats: int, seed: int) -> Estimate:
    """MModality of [C, G, E], G motions of each of C texts."""
    drawn = [
        modality_distances(motion, np.random.default_rng([seed, k, 2])) for k in range(repeats)
    ]
    texts = np.tile(np.arange(len(motion)), repeats)
    return _estimate([float(d.mean()) for d in drawn], _mean_of(np.concatenate(drawn)), texts, seed)


def quality_figures(
    motions: Sequence[Motion], clips: NDArray[np.int64], lengths: Array, *, seed: int
) -> dict[str, Estimate]:
    """What an animator sees of motions, each about one of `clips` [M].

    `lengths` [J] are those of the bones, in metres.
    """
    measures: dict[str, Callable[[Motion], float]] = {
        "foot skate, % of frames": lambda motion: 100.0 * foot_skate_ratio(motion),
        "jitter, m/s³": jitter,
        "below the floor, mm": lambda motion: 1000.0 * floor_penetration(motion),
        "limb length error, %": lambda motion: 100.0 * limb_length_error(motion, lengths),
    }
    return {
        name: _measured([measure(motion) for motion in motions], clips, seed)
        for name, measure in measures.items()
    }


def reconstruction_figures(
    real: Sequence[Motion],
    rebuilt: Sequence[Motion],
    postures: Sequence[Sequence[Motion]],
    *,
    seed: int,
) -> dict[str, Estimate]:
    """Joint errors of rebuilt clips; `postures` are the same pairs without turning and travel."""
    pairs = list(zip(real, rebuilt, strict=True))
    clips = np.arange(len(pairs))
    tables = {
        "MPJPE, mm": [1000.0 * joint_error(*pair) for pair in pairs],
        "MPJPE beside the heading, mm": [1000.0 * joint_error(*pair) for pair in postures],
        "root path error, mm": [1000.0 * root_path_error(*pair) for pair in pairs],
    }
    figures = {name: _measured(values, clips, seed) for name, values in tables.items()}
    after = [root_error_after(PATH_SECONDS, *pair) for pair in pairs]
    lasting = [1000.0 * error for error in after if error is not None]
    if lasting:
        name = f"root path error after {PATH_SECONDS:g} s, mm"
        figures[name] = _measured(lasting, np.arange(len(lasting)), seed)
    return figures


def length_figures(
    made: Array, real: Array, clips: NDArray[np.int64], *, seed: int
) -> dict[str, Estimate]:
    """How far generated lengths [M] are from those of the clips [M] whose captions they answer.

    Lengths are in seconds; the same clip may be answered several times.
    """
    seconds = np.abs(made - real)
    share = 100.0 * seconds / real
    return {
        "length error, s": _measured(seconds, clips, seed),
        "length error, median %": _bootstrapped(
            lambda rows, _: float(np.median(share[rows])), clips, seed
        ),
        "length, % of real": _bootstrapped(
            lambda rows, _: float(100.0 * made[rows].sum() / real[rows].sum()), clips, seed
        ),
    }


def separated(rows: dict[str, dict[str, Estimate]]) -> list[str]:
    """Every ordering that lies outside the bootstrap intervals, a sentence each.

    Args:
        rows: Label -> figures. FID compares with real motion itself, which is therefore left out
            of its orderings.
    """
    said = []
    for figure, better in BETTER.items():
        sign = 1.0 if better == "higher" else -1.0
        known = [(label, row[figure]) for label, row in rows.items() if figure in row]
        if figure == FID:
            known = known[1:]
        for label, mine in known:
            worse = [
                other
                for other, theirs in known
                if min(sign * mine.low, sign * mine.high)
                > max(sign * theirs.low, sign * theirs.high)
            ]
            if worse:
                said.append(f"{figure}: {label} is better than {', '.join(worse)}.")
    return said


def _matched(answers: Answers, generator: np.random.Generator, resampled: bool) -> Matching:
    if resampled:
        return match_resampled(answers.text, answers.motion, answers.clips, generator)
    return match_in_order(answers.text, answers.motion)


def _diversity(
    motion: Array, clips: NDArray[np.int64], generator: np.random.Generator, resampled: bool
) -> float:
    if resampled:
        return mean_distance(motion, clips)
    return diversity(motion, generator, DIVERSITY_PAIRS)


def _mean_of(values: Array) -> Callable[[NDArray[np.int64], NDArray[np.int64]], float]:
    return lambda rows, _: float(values[rows].mean())


def _estimate(
    values: Sequence[float],
    figure: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    clips: NDArray[np.int64],
    seed: int,
) -> Estimate:
    value = float(np.mean(values))
    low, high = bootstrap_interval(figure, clips, value, seed=seed, draws=BOOTSTRAP_DRAWS)
    return Estimate(value, repeat_interval(values), low, high)


def _measured(values: Sequence[float] | Array, clips: NDArray[np.int64], seed: int) -> Estimate:
    return _bootstrapped(_mean_of(np.asarray(values, dtype=np.float64)), clips, seed)


def _bootstrapped(
    figure: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    clips: NDArray[np.int64],
    seed: int,
) -> Estimate:
    """A figure measured once, of all rows, with its interval."""
    value = figure(np.arange(len(clips)), clips)
    interval = bootstrap_interval(figure, clips, value, seed=seed, draws=BOOTSTRAP_DRAWS)
    return Estimate(value, None, *interval)
