# SPDX-License-Identifier: GPL-3.0-or-later
"""Datasets whose captions tell how somebody sways, and models of random weights for them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from t2m_blender.engine.checkpoint import Checkpoint, write_checkpoint
from t2m_blender.engine.gpt import GPT, GPTConfig
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from t2m_blender.engine.vqvae import VQVAE, VQVAEConfig
from training.config import Config, EvaluatorTraining, GPTTraining, ModelSettings, VQVAETraining
from training.data.dataset import Clip, Dataset, statistics, write_dataset

CONFIG = Config(
    name="tiny",
    vqvae_network={},
    vqvae=VQVAETraining(),
    gpt_network={},
    gpt=GPTTraining(),
    model=ModelSettings(),
    evaluator_network={"width": 32, "embedding_size": 16, "heads": 2, "dropout": 0.1},
    evaluator=EvaluatorTraining(
        batch_size=32, steps=40, learning_rate=3e-3, warm_up=5, average=0.8, validate_every=20
    ),
)
DEEDS = (
    "walks forward", "walks backward", "jumps up and down", "sits down on a chair", "kicks a ball",
    "waves a hand", "climbs a ladder", "swims", "dances the salsa", "sweeps the floor",
)  # fmt: skip
PEOPLE = ("a person", "someone", "a man", "a woman")
COUNTS = {"train": 60, "val": 20, "test": 34}


def write_set(
    folder: Path, skeleton: Skeleton = HUMANML3D, counts: dict[str, int] = COUNTS
) -> Dataset:
    """Clips whose deed is written into all of their columns as a slow wave of its own."""
    generator = np.random.default_rng(0)
    waves = generator.standard_normal((len(DEEDS), 2, skeleton.feature_size))
    features, clips = {}, []
    for split, count in counts.items():
        for k in range(count):
            deed, frames = k % len(DEEDS), int(generator.integers(40, 60))
            turn = generator.uniform(0, 2 * np.pi) + 0.3 * np.arange(frames)[:, None]
            sway = np.sin(turn) * waves[deed, 0] + np.cos(turn) * waves[deed, 1]
            array = sway + waves[deed, 0] + 0.3 * generator.standard_normal(sway.shape)
            who = PEOPLE[generator.integers(len(PEOPLE))]
            captions = (f"{who} {DEEDS[deed]}", f"{who} {DEEDS[deed]} slowly")
            name = f"{split}{k:03}"
            features[name] = (0.1 * array).astype(np.float32)
            clips.append(
                Clip(
                    name, split, captions, ("", ""), name, 0, frames, frames, "nobody", "CC0",
                    "formulas", False,
                )
            )  # fmt: skip
    mean, std = statistics((features[c.id] for c in clips if c.split == "train"), skeleton)
    dataset = Dataset("waves", skeleton, tuple(clips), features, mean, std, licence="CC0")
    write_dataset(dataset, folder)
    return dataset


def write_model(path: Path, dataset: Dataset, *, seed: int = 0, levels: int = 1) -> None:
    """A model that has learnt nothing: at most ten tokens of four frames."""
    torch.manual_seed(seed)
    size = dataset.skeleton.feature_size
    vqvae_config = VQVAEConfig(
        feature_size=size, width=16, code_size=16, codebook_size=32, depth=1, levels=levels
    )
    gpt_config = GPTConfig(
        codebook_size=32, token_limit=10, width=32, blocks=1, heads=2, text_size=384, word_limit=4,
        levels=levels,
    )  # fmt: skip
    vqvae, gpt = VQVAE(vqvae_config), GPT(gpt_config)
    for codebook in (vqvae.codebook, *vqvae.refinements):
        codebook.codes.normal_()
    tensors = {f"vqvae.{name}": tensor.numpy() for name, tensor in vqvae.state_dict().items()}
    tensors |= {f"gpt.{name}": tensor.numpy() for name, tensor in gpt.state_dict().items()}
    checkpoint = Checkpoint(
        vqvae=asdict(vqvae_config),
        gpt=asdict(gpt_config),
        tensors=tensors,
        mean=dataset.mean,
        std=dataset.std,
        skeleton=dataset.skeleton,
        text_encoder="minilm",
        sampling={"guidance": 1.0, "temperature": 1.0, "top_p": 1.0},
        licence="CC0",
        origin="random",
    )
    write_checkpoint(path, checkpoint)
