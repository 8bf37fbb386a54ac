# SPDX-License-Identifier: GPL-3.0-or-later
"""Datasets and settings small enough to train on in seconds, and what a model makes of a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import training.loop
from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.features import motion_to_features
from t2m_blender.engine.generate import generate, load_model
from t2m_blender.engine.gpt import TextCondition
from t2m_blender.engine.model import TextToMotion
from t2m_blender.engine.text import TextFeatures
from t2m_blender.engine.torch_runtime import load_networks
from t2m_blender.engine.writing import encode_prompts
from training.config import Config, GPTTraining, ModelSettings, VQVAETraining
from training.data.dataset import Clip, Dataset, read_dataset, statistics, write_dataset

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
# what is read of the clips is noise, so that the text matters at every token
OF_TEXT = replace(CONFIG.gpt, steps=150, learning_rate=1e-2, corruption=1.0, crop=0.0)
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


def with_a_wording(plain_set: Path, folder: Path) -> Path:
    """The set, whose walk is also told in words that are nearer to the other clip's."""
    dataset = read_dataset(plain_set)
    walk, *others = dataset.clips
    walk = replace(
        walk,
        captions=(*walk.captions, "someone waves the left hand around"),
        caption_origins=(*walk.caption_origins, f"wording: {walk.captions[0]}"),
    )
    write_dataset(replace(dataset, clips=(walk, *others)), folder)
    return folder


def first_chances(file: Path, prompts: list[str], guidance: float = 1.0) -> np.ndarray:
    """What a model foretells for the first token of each prompt [B, K + 1]."""
    logits = first_logits(load_model(file), prompts)
    if guidance != 1.0:
        bare = first_logits(load_model(file), [""])
        logits = bare + guidance * (logits - bare)
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def first_logits(model: TextToMotion, prompts: list[str]) -> np.ndarray:
    network, _ = load_networks(model.checkpoint)
    text = encode_prompts(prompts, model)
    if prompts == [""]:
        text = TextFeatures.of_nothing(model.gpt.text_size)
    condition = TextCondition(
        torch.tensor(text.pooled), torch.tensor(text.tokens).float(), torch.tensor(text.mask)
    )
    with torch.no_grad():
        hidden, _ = network.begin(condition)
        return network.head(hidden).double().numpy()


def apart(chances: np.ndarray, wanted: np.ndarray) -> float:
    """Kullback-Leibler divergence from `wanted`, the mean over rows."""
    return float((wanted * np.log(wanted / chances)).sum(axis=-1).mean())


def goes_on_as_if_not_stopped(
    run: Callable[[Path], bytes], folder: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops a run of 60 steps in its 47th, 7 steps after it was saved: they are taken again, and
    what it makes is what the whole run made.
    """
    monkeypatch.setattr(training.loop, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(training.loop, "_REPORT_EVERY", 20)
    steps = 0
    backward = torch.Tensor.backward

    def interrupted_backward(*arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 47:
            raise KeyboardInterrupt
        backward(*arguments)

    monkeypatch.setattr(torch.Tensor, "backward", interrupted_backward)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert log(folder)[-1]["step"] == 40
    assert run(folder) == whole
    assert steps == 47 + 20
