# SPDX-License-Identifier: GPL-3.0-or-later
"""A trained model as the ladder asks it: clips through its VQ-VAE and back, captions to motion.

Both give features as the network wrote them, not normalised; nothing is cleaned up behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from t2m_blender.engine.checkpoint import file_sha256
from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.generate import (
    Request,
    TextToMotion,
    encode_prompts,
    features_to_motion,
    load_model,
    sampling_of,
    tokens_to_features,
    write_tokens,
)
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.postprocess import finished
from t2m_blender.engine.sampling import Sampling
from t2m_blender.engine.skeleton import Skeleton, skeleton_to_json
from t2m_blender.engine.text import TextFeatures

from .data.dataset import Dataset
from .ranks import Ranks
from .train_vqvae import read_vqvae

Features = NDArray[np.float32]
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Rebuilder:
    """A VQ-VAE with its statistics.

    Attributes:
        label: For the table.
        sha256: Of the file that it came from.
        through: Normalised features [1, T, D] through tokens and back.
        frames_per_token: T is a multiple of it.
        mean, std: [D] of what it was trained on.
    """

    label: str
    sha256: str
    through: Callable[[Features], Features]
    frames_per_token: int
    mean: Features
    std: Features

    def rebuild(self, features: Features) -> Features:
        """Features [T, D] through tokens and back: whole tokens only."""
        whole = features[: len(features) // self.frames_per_token * self.frames_per_token]
        normal = ((whole - self.mean) / self.std).astype(np.float32)[None]
        return np.asarray(self.through(normal)[0] * self.std + self.mean, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A text-to-motion model under a label, with how it is sampled.

    Attributes:
        label: For the table, such as "GPT, tau = 0.5".
        model: Loaded.
        sampling: Guidance, temperature, top_p.
    """

    label: str
    model: TextToMotion
    sampling: Sampling

    @property
    def recipe(self) -> dict[str, str | float]:
        """What decides its motion beside captions and seeds."""
        used = self.sampling
        numbers = {"guidance": used.guidance, "temperature": used.temperature, "top_p": used.top_p}
        return {"sha256": self.model.checkpoint.sha256, **numbers}

    @property
    def rebuilder(self) -> Rebuilder:
        """Its VQ-VAE."""
        model, runtime = self.model, self.model.runtime
        return Rebuilder(
            label=f"VQ-VAE of {self.label}",
            sha256=model.checkpoint.sha256,
            through=lambda features: runtime.decode(runtime.encode(features)),
            frames_per_token=model.frames_per_token,
            mean=model.checkpoint.mean,
            std=model.checkpoint.std,
        )

    def generate(
        self,
        captions: Sequence[str],
        seeds: Sequence[int],
        *,
        on_progress: Callable[[int], object],
    ) -> list[Features]:
        """One motion [T, D] a caption; the model decides the length. Reports how many are done."""
        made = []
        for start in range(0, len(captions), _BATCH):
            part = captions[start : start + _BATCH]
            sentences = list(dict.fromkeys(part))
            text = encode_prompts(sentences, self.model)
            rows = [sentences.index(caption) for caption in part]
            request = Request(
                text=TextFeatures(text.pooled[rows], text.tokens[rows], text.mask[rows]),
                seeds=seeds[start : start + _BATCH],
                frames=[None] * len(part),
                sampling=self.sampling,
            )
            tokens = write_tokens(request, self.model)
            made += [tokens_to_features(clip, self.model) for clip in tokens]
            on_progress(len(part))
        return made

    def finished(self, made: Sequence[Features]) -> list[Motion]:
        """Generated features as motion that is shown: limbs of one length, planted feet held.

        Empty where the model's skeleton has no bone lengths, and so is never shown.
        """
        if self.model.checkpoint.skeleton.bone_lengths is None:
            return []
        return [finished(features_to_motion(features, self.model)) for features in made]


def load_candidate(
    label: str,
    path: Path,
    dataset: Dataset,
    *,
    device: str,
    guidance: float | None = None,
    temperature: float | None = None,
) -> Candidate:
    """Loads a model file to be measured on a dataset.

    Raises:
        CheckpointError: Missing, damaged, or made for another skeleton than the dataset's.
        InputError: Sampling that cannot be used, or no such device.
    """
    model = load_model(path, runtime="torch", device=device)
    check_skeleton(path, model.checkpoint.skeleton, dataset.skeleton)
    return Candidate(label, model, sampling_of(model, guidance=guidance, temperature=temperature))


def load_rebuilder(path: Path, dataset: Dataset, *, device: str) -> Rebuilder:
    """Loads a stage 1 file to be measured on a dataset.

    Raises:
        CheckpointError: Missing, damaged, or made for another skeleton than the dataset's.
        InputError: No such device.
    """
    place = Ranks(device).device
    network, mean, std = read_vqvae(path, dataset)
    network = network.to(place)

    @torch.inference_mode()
    def through(features: Features) -> Features:
        tokens = network.encode(torch.from_numpy(features).to(place))
        decoded: Features = network.decode(tokens).float().cpu().numpy()
        return decoded

    return Rebuilder(
        label="VQ-VAE",
        sha256=file_sha256(path),
        through=through,
        frames_per_token=network.config.frames_per_token,
        mean=mean,
        std=std,
    )


def check_skeleton(path: Path, own: Skeleton, wanted: Skeleton) -> None:
    """Refuses a file whose features are of another skeleton than the dataset's.

    Raises:
        CheckpointError: So they are.
    """
    if skeleton_to_json(own) != skeleton_to_json(wanted):
        raise CheckpointError(
            f"{path} is for motion of {own.name} ({own.feature_size} features a frame), and the "
            f"dataset is of {wanted.name} ({wanted.feature_size}); name one trained on such data."
        )
