# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the ladder: who answers the questions, and how the answers are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from t2m_blender.engine.motion import Motion

from .candidate import Candidate, Features, Rebuilder
from .data.dataset import Dataset
from .evaluator import Evaluator
from .ladder import (
    MODALITY,
    Answers,
    Questions,
    embedding_figures,
    length_figures,
    modality_figure,
    quality_figures,
    reconstruction_figures,
)
from .metrics import Array, Estimate, as_rows, noise_floor
from .motion_quality import features_to_motion, limb_lengths

REAL = "real motion"
MODALITY_TEXTS = 100
MODALITY_MOTIONS = 30


@dataclass(frozen=True, eq=False)
class Row:
    """What one of them got.

    Attributes:
        figures: Of the embeddings.
        quality: What an animator sees.
        finished: The same of generated motion as it is shown: limbs of one length, feet held.
        source: File and sampling; empty for real motion.
    """

    figures: dict[str, Estimate]
    quality: dict[str, Estimate]
    source: dict[str, str | float] = field(default_factory=dict)
    finished: dict[str, Estimate] = field(default_factory=dict)


class Asker:
    """Asks the questions of a dataset, and measures the answers with one evaluator."""

    def __init__(
        self,
        dataset: Dataset,
        questions: Questions,
        evaluator: Evaluator,
        *,
        repeats: int,
        seed: int,
    ) -> None:
        self.questions, self.evaluator, self.seed = questions, evaluator, seed
        self._skeleton = dataset.skeleton
        self._real = [dataset.features[clip.id] for clip in questions.clips]
        self._motions = self._shown(self._real)
        self._real_points = self._points(self._real)
        self._text_points = as_rows(evaluator.embed_text(questions.captions))
        self._asked = [questions.asked(repeat, seed) for repeat in range(repeats)]
        found = np.concatenate([limb_lengths(motion) for motion in self._motions])
        self._lengths = np.median(found, axis=0)

    def of_real(self) -> Row:
        """The clips themselves."""
        return Row(self._of_clips(self._real_points), self._quality(self._motions))

    def of_rebuilt(self, rebuilder: Rebuilder) -> Row:
        """The clips through a VQ-VAE and back."""
        rebuilt = [rebuilder.rebuild(clip) for clip in self._real]
        motions = self._shown(rebuilt)
        postures = [self._shown(pair, still=True) for pair in zip(self._real, rebuilt, strict=True)]
        errors = reconstruction_figures(self._motions, motions, postures, seed=self.seed)
        figures = self._of_clips(self._points(rebuilt))
        return Row(figures, self._quality(motions) | errors, {"sha256": rebuilder.sha256})

    def of_generated(self, candidate: Candidate) -> Row:
        """What a model makes of the captions: anew in every repeat, and 30 each for MModality."""
        texts = self._modality_rows()
        several = np.repeat(texts, MODALITY_MOTIONS)
        total = sum(map(len, self._asked)) + len(several)
        with tqdm(total=total, desc=candidate.label, unit="motion", disable=None) as bar:
            first = self._generated(candidate, self._asked[0], 0, bar.update)
            points, frames = [self._points(first)], [len(one) for one in first]
            for repeat, rows in enumerate(self._asked[1:], start=1):
                made = self._generated(candidate, rows, repeat, bar.update)
                points.append(self._points(made))
                frames += [len(one) for one in made]
            many = self._generated(candidate, several, len(self._asked), bar.update)
        figures = self._figures(points)
        figures[MODALITY] = modality_figure(
            self._points(many).reshape(len(texts), MODALITY_MOTIONS, -1),
            repeats=len(self._asked),
            seed=self.seed,
        )
        clips = self.questions.clip_of[self._asked[0]]
        motions = self._shown(first)
        answered = np.concatenate([self.questions.clip_of[rows] for rows in self._asked])
        wanted = np.array([motion.seconds for motion in self._motions])[answered]
        seconds = np.array(frames) / motions[0].fps
        lengths = length_figures(seconds, wanted, answered, seed=self.seed)
        shown = candidate.finished(first)
        finished = self._quality(shown, clips) if shown else {}
        quality = self._quality(motions, clips) | lengths
        return Row(figures, quality, candidate.recipe, finished)

    def noise_floor(self) -> tuple[float, ...]:
        """FIDs of two random halves of the clips, as many as there are repeats."""
        generator = np.random.default_rng([self.seed, 4])
        return tuple(noise_floor(self._real_points, generator, len(self._asked)))

    def _figures(self, points: Sequence[Array]) -> dict[str, Estimate]:
        """Of the embedded answers to each repeat's questions."""
        answers = []
        for rows, motion in zip(self._asked, points, strict=True):
            clips = self.questions.clip_of[rows]
            text = self._text_points[self.questions.caption_of[rows]]
            answers.append(Answers(clips, text, motion, self._real_points[clips]))
        return embedding_figures(answers, resampled=self.questions.resampled, seed=self.seed)

    def _of_clips(self, points: Array) -> dict[str, Estimate]:
        """Where every clip has one answer [C, E], whatever its caption."""
        return self._figures([points[self.questions.clip_of[rows]] for rows in self._asked])

    def _quality(
        self, motions: Sequence[Motion], clips: NDArray[np.int64] | None = None
    ) -> dict[str, Estimate]:
        clips = np.arange(len(motions)) if clips is None else clips
        return quality_figures(motions, clips, self._lengths, seed=self.seed)

    def _points(self, motions: Sequence[Features]) -> Array:
        return as_rows(self.evaluator.embed_motion(motions))

    def _shown(self, clips: Sequence[Features], *, still: bool = False) -> list[Motion]:
        return [features_to_motion(clip, self._skeleton, still=still) for clip in clips]

    def _generated(
        self,
        candidate: Candidate,
        rows: NDArray[np.int64],
        repeat: int,
        on_progress: Callable[[int], object],
    ) -> list[Features]:
        captions = [self.questions.captions[k] for k in self.questions.caption_of[rows]]
        seeds = drawn_seeds([self.seed, repeat, 3], len(rows))
        return candidate.generate(captions, seeds, on_progress=on_progress)

    def _modality_rows(self) -> NDArray[np.int64]:
        """One caption each of up to 100 clips."""
        generator = np.random.default_rng([self.seed, 5])
        clips = generator.permutation(len(self._real))[:MODALITY_TEXTS]
        return np.array(
            [generator.choice(np.flatnonzero(self.questions.clip_of == clip)) for clip in clips]
        )


def drawn_seeds(key: Sequence[int], count: int) -> list[int]:
    """Seeds of generation that follow from a key."""
    return [int(seed) for seed in np.random.default_rng(key).integers(2**62, size=count)]
