# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains our evaluator on a prepared dataset: a caption learns to be nearest to its own motion."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.generate import MODELS
from t2m_blender.engine.text import TextEncoder

from .config import Config, EvaluatorTraining, network_config
from .data.dataset import Dataset, read_dataset
from .evaluator import (
    FRAMES_PER_STEP,
    TEXT_ENCODER,
    EvaluatorConfig,
    TextMotionNetwork,
    Words,
    embed_captions,
    embed_clips,
    read_columns,
    write_evaluator,
)
from .loop import train
from .metrics import POOL, as_rows, match_resampled
from .ranks import Ranks
from .train_vqvae import checked_dataset, dataset_sha256

_SHORTEST = 40  # frames: a shorter clip is not cut
_SIDES = re.compile(r"\b(?:left|right|(?:counter|anti)?[\s-]?clock[\s-]?wise)", re.IGNORECASE)


def train_evaluator(config: Config, data: Path, folder: Path, *, device: str = "cpu") -> Path:
    """Trains an evaluator; returns the file of the one that did best on the val split.

    Raises:
        InputError: Statistics that cannot be used, or too few captioned clips in train or val.
    """
    ranks = Ranks(device)
    dataset = checked_dataset(read_dataset(data), "val")
    settings = config.evaluator
    encoder = TextEncoder.load(MODELS / f"{TEXT_ENCODER}.safetensors")
    sizes = network_config(
        EvaluatorConfig,
        config.evaluator_network,
        feature_size=len(read_columns(dataset.skeleton)),
        text_size=encoder.feature_size,
    )
    pairs = {name: CaptionedMotion(dataset, name, encoder, sizes) for name in ("train", "val")}
    if len(pairs["train"].motions) < POOL:
        raise InputError(
            f"Only {len(pairs['train'].motions)} clips of the split 'train' have captions, fewer "
            f"than a pool of {POOL}; prepare more."
        )
    torch.manual_seed(settings.seed)
    network = TextMotionNetwork(sizes).to(ranks.device)

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        known = pairs["train"]
        clips, captions = known.draw(settings.batch_size, generator)
        motions = [varied(known.motions[clip], settings, generator) for clip in clips.tolist()]
        text = embed_captions(network, known.text.at(captions))
        motion = embed_clips(network, motions)
        return contrast(text, motion, known.alike(clips, captions, settings.alike), settings), {}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        assert isinstance(averaged, TextMotionNetwork)
        held = pairs["val"]
        clips, captions = held.every()
        text = embed_captions(averaged, held.text)[captions]
        motion = embed_clips(averaged, held.motions)[clips]
        left_out = held.alike(clips, captions, settings.alike)
        value = float(contrast(text, motion, left_out, settings))
        pool = min(POOL, len(held.motions))
        matching = match_resampled(
            as_rows(text.cpu()), as_rows(motion.cpu()), clips.numpy(),
            np.random.default_rng(settings.seed), pool,
        )  # fmt: skip
        return value, {"loss": value, f"top3_of_{pool}": float(matching.r_precision[2])}

    result = folder / "evaluator.safetensors"

    def keep(averaged: nn.Module) -> None:
        assert isinstance(averaged, TextMotionNetwork)
        write_evaluator(
            result,
            averaged,
            mean=dataset.mean,
            std=dataset.std,
            skeleton=dataset.skeleton,
            origin=f"trained on {dataset.name} with {config.name}",
        )

    train(
        network,
        settings,
        folder,
        made_of={"network": asdict(sizes), "data": dataset_sha256(data)},
        loss=loss,
        validate=validate,
        keep=keep,
    )
    return result


class CaptionedMotion:
    """The captioned clips of a split, normalised, with the text features of all their captions.

    Raises:
        InputError: Fewer than two clips have captions, so that there is nothing to tell apart.
    """

    def __init__(
        self, dataset: Dataset, split: str, encoder: TextEncoder, config: EvaluatorConfig
    ) -> None:
        clips = [clip for clip in dataset.split(split) if clip.captions]
        clips = [clip for clip in clips if clip.frames >= FRAMES_PER_STEP]
        if len(clips) < 2:
            raise InputError(
                f"{len(clips)} clips of the split '{split}' have captions, and an evaluator needs "
                "two or more to tell apart; prepare captions too."
            )
        columns = read_columns(dataset.skeleton)
        mean, std = dataset.mean[columns], dataset.std[columns]
        self.motions = [(dataset.features[clip.id][:, columns] - mean) / std for clip in clips]
        sentences = sorted({caption for clip in clips for caption in clip.captions})
        index = {caption: row for row, caption in enumerate(sentences)}
        self.captions = [[index[caption] for caption in clip.captions] for clip in clips]
        self.text = Words.of(encoder.encode(sentences, config.word_limit, batch_size=32))
        found = [tuple(match.lower() for match in _SIDES.findall(s)) for s in sentences]
        kinds = {sides: kind for kind, sides in enumerate(sorted(set(found)))}
        self._sides = torch.tensor([kinds[sides] for sides in found])

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Some clips, each with one of its captions: indices [B] and [B]."""
        count = min(count, len(self.motions))
        clips = generator.choice(len(self.motions), count, replace=False)
        captions = [generator.choice(self.captions[clip]) for clip in clips]
        return torch.from_numpy(clips), torch.tensor(captions)

    def every(self) -> tuple[Tensor, Tensor]:
        """Every caption with its clip: indices [N] and [N]."""
        rows = [(clip, row) for clip, rows in enumerate(self.captions) for row in rows]
        clips, captions = zip(*rows, strict=True)
        return torch.tensor(clips), torch.tensor(captions)

    def alike(self, clips: Tensor, captions: Tensor, threshold: float) -> Tensor:
        """[B, B] bool: which rows are about one clip, or have captions that say nearly the same.

        The text encoder hardly tells left from right, so captions that name other sides are never
        alike.
        """
        pooled = self.text.pooled[captions]
        sides = self._sides[captions]
        same = (pooled @ pooled.T > threshold) & (sides[:, None] == sides[None])
        return same | (clips[:, None] == clips[None])


def contrast(text: Tensor, motion: Tensor, left_out: Tensor, settings: EvaluatorTraining) -> Tensor:
    """InfoNCE of text and motion [B, E], both ways: which of the batch belongs to this one?

    Of the wrong answers those in `left_out` [B, B] do not count: the same clip, captions alike.
    """
    scores = text @ motion.T / settings.temperature
    wrong = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill(left_out.to(scores.device) & wrong, -torch.inf)
    right = torch.arange(len(scores), device=scores.device)
    both = functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)
    return both / 2.0


def varied(
    motion: NDArray[np.float32], settings: EvaluatorTraining, generator: np.random.Generator
) -> NDArray[np.float32]:
    """A motion [T, D] cut shorter and with each feature shifted a little, at random."""
    share = generator.uniform(settings.shortest_cut, 1.0)
    frames = max(min(len(motion), _SHORTEST), int(share * len(motion)))
    start = generator.integers(len(motion) - frames + 1)
    shift = settings.shift * generator.standard_normal(motion.shape[1])
    return motion[start : start + frames] + shift.astype(np.float32)
