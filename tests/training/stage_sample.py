# SPDX-License-Identifier: GPL-3.0-or-later
"""A dataset and settings small enough to train both stages on in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.features import motion_to_features
from t2m_blender.engine.generate import generate, load_model
from training.config import Config, GPTTraining, ModelSettings, VQVAETraining
from training.data.dataset import Clip, Dataset, statistics, write_dataset

CONFIG = Config(
    name="tiny",
    vqvae_network={"width": 16, "code_size": 16, "codebook_size": 32},
    vqvae=VQVAETraining(
        batch_size=16, window=32, steps=60, learning_rate=3e-3, warm_up=5, validate_every=30
    ),
    gpt_network={"width": 32, "blocks": 1, "heads": 2, "word_limit": 6},
    gpt=GPTTraining(
        batch_size=8,
        steps=60,
        learning_rate=3e-3,
        warm_up=5,
        average=0.9,
        corruption=-1.0,
        validate_every=30,
    ),
    model=ModelSettings(guidance=2.0),
)
CAPTIONS = {
    "a": "a person walks forward",
    "b": "someone waves the left hand",
    "c": "a man sits down",
}


def write_small_set(folder: Path) -> None:
    """Three clips cut from motion of the embedded model, so that a bare clone can train too."""
    made = generate("a person walks in a circle", model=load_model(), seed=1, seconds=8.5)
    joints = made.motion.joints
    cuts = [joints[start : start + 61] for start in (0, 50, 100)]
    features = [motion_to_features(cut, HUMANML3D).astype(np.float32) for cut in cuts]
    _write(folder, features)


def write_random_set(folder: Path) -> None:
    """Three clips of noise: hardly two windows are alike, whatever the embedded model does."""
    noise = np.random.default_rng(0).normal(size=(3, 180, HUMANML3D.feature_size))
    _write(folder, list(noise.astype(np.float32)))


def _write(folder: Path, features: list[NDArray[np.float32]]) -> None:
    """Two clips for training and one to validate on."""
    clips = [
        Clip(
            id=name,
            split=split,
            captions=(CAPTIONS[name],),
            caption_origins=("hand",),
            source="made",
            start_frame=0,
            end_frame=len(array) + 1,
            frames=len(array),
            subject="none",
            licence="MIT",
            origin="made for tests",
            mirrored=False,
        )
        for name, split, array in zip("abc", ("train", "train", "val"), features, strict=True)
    ]
    mean, std = statistics(features[:2], HUMANML3D)
    named = dict(zip("abc", features, strict=True))
    write_dataset(Dataset("tiny", HUMANML3D, tuple(clips), named, mean, std, licence="MIT"), folder)


def log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
