# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: the motion VQ-VAE learns to write motion as tokens (T2M-GPT, section 3.1)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import file_sha256, write_tensors
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import feature_columns, features_to_joints
from t2m_blender.engine.skeleton import Skeleton
from t2m_blender.engine.vqvae import VQVAE, VQVAEConfig

from .config import Config, network_config
from .data.dataset import Dataset, read_dataset
from .loop import train


def train_vqvae(config: Config, data: Path, folder: Path, *, device: str = "cpu") -> Path:
    """Trains stage 1 on a prepared dataset; returns the best network's file.

    Raises:
        InputError: The dataset has no clip as long as a window, or another feature size.
    """
    dataset = read_dataset(data)
    settings = config.vqvae
    sizes = network_config(
        VQVAEConfig, config.vqvae_network, feature_size=dataset.skeleton.feature_size
    )
    windows = Windows(dataset, "train", settings.window)
    torch.manual_seed(settings.seed)
    network = VQVAE(sizes).to(device)
    positions = feature_columns(dataset.skeleton)["positions"]

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = torch.from_numpy(windows.draw(settings.batch_size, generator)).to(device)
        reconstruction, commitment, perplexity = network(batch)
        whole = functional.smooth_l1_loss(reconstruction, batch)
        posture = functional.smooth_l1_loss(reconstruction[..., positions], batch[..., positions])
        total = whole + settings.position_weight * posture + settings.commitment_weight * commitment
        figures = {"whole": whole, "positions": posture, "commitment": commitment}
        return total, {
            **{key: float(value.detach()) for key, value in figures.items()},
            "perplexity": float(perplexity),
        }

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        assert isinstance(averaged, VQVAE)
        error = reconstruction_error(averaged, dataset, "val")
        return error, {"mpjpe_mm": 1000.0 * error}

    result = folder / "vqvae.safetensors"

    def keep(averaged: nn.Module) -> None:
        tensors = {name: tensor.cpu().numpy() for name, tensor in averaged.state_dict().items()}
        tensors |= {"statistics.mean": dataset.mean, "statistics.std": dataset.std}
        write_tensors(result, tensors, {"config": json.dumps(asdict(sizes))})

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


def dataset_sha256(data: Path) -> str:
    """A hash that changes with a dataset's clips and captions."""
    return file_sha256(data / "clips.jsonl") + file_sha256(data / "statistics.npz")


class Windows:
    """Windows of equal length out of a split's clips, each frame as likely as any other.

    Raises:
        InputError: No clip of the split is as long as a window.
    """

    def __init__(self, dataset: Dataset, split: str, length: int) -> None:
        arrays = [dataset.features[clip.id] for clip in dataset.split(split)]
        arrays = [array for array in arrays if len(array) >= length]
        if not arrays:
            raise InputError(
                f"No clip of the split '{split}' has {length} frames; prepare longer clips or set "
                "a smaller window."
            )
        self.length = length
        self.frames = (np.concatenate(arrays) - dataset.mean) / dataset.std
        offsets = np.cumsum([0, *(len(array) for array in arrays)])
        self.starts = np.concatenate(
            [
                np.arange(offset, offset + len(array) - length + 1)
                for offset, array in zip(offsets[:-1], arrays, strict=True)
            ]
        )

    def draw(self, count: int, generator: np.random.Generator) -> NDArray[np.float32]:
        """[count, length, D] normalised features."""
        starts = generator.choice(self.starts, count)
        return self.frames[starts[:, None] + np.arange(self.length)]


def reconstruction_error(network: VQVAE, dataset: Dataset, split: str) -> float:
    """Mean joint error in metres of whole clips through the VQ-VAE, heading and place aligned.

    Every frame is compared relative to its root's floor point and facing, as the position columns
    hold it; the root's own path is not judged.
    """
    device = next(network.parameters()).device
    errors = []
    for clip in dataset.split(split):
        if clip.mirrored:
            continue
        features = dataset.features[clip.id]
        step = network.config.frames_per_token
        features = features[: len(features) // step * step]
        normal = torch.from_numpy((features - dataset.mean) / dataset.std)[None].to(device)
        decoded = network.decode(network.encode(normal))[0].cpu().numpy()
        real = still(features, dataset.skeleton)
        rebuilt = still(decoded * dataset.std + dataset.mean, dataset.skeleton)
        errors.append(np.linalg.norm(real - rebuilt, axis=-1).mean(axis=-1))
    if not errors:
        raise InputError(f"The dataset has no clip in its split '{split}'; prepare it again.")
    return float(np.concatenate(errors).mean())


def still(features: NDArray[np.float32], skeleton: Skeleton) -> NDArray[np.float32]:
    """Joints [T, J, 3] of features with the root's turning and travelling taken out."""
    features = features.copy()
    features[:, :3] = 0.0
    return features_to_joints(features, skeleton)
