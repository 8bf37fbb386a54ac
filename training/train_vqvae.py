# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: the motion VQ-VAE learns to write motion as tokens (T2M-GPT, section 3.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import file_sha256, read_checkpoint, read_tensors, write_tensors
from t2m_blender.engine.configs import VQVAEConfig
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.skeleton import skeleton_from_json, skeleton_to_json
from t2m_blender.engine.vqvae import VQVAE

from .board import motion_picture
from .config import Config, network_config
from .data.dataset import Dataset, read_dataset
from .loop import train
from .ranks import Ranks
from .reconstruction import (
    ReconstructionLoss,
    rebuilt_features,
    reconstruction_error,
    whole_tokens,
)

_USAGE_WINDOWS = 256
_SHOWN = 4


def train_vqvae(
    config: Config,
    data: Path,
    folder: Path,
    *,
    start_from: Path | None = None,
    decoder_only: bool = False,
    device: str = "cpu",
    board: bool = False,
) -> Path:
    """Trains stage 1 on a prepared dataset; returns the best network's file.

    With `start_from`, another stage 1 file, it learns on from there; with `decoder_only`, only the
    decoder does: tokens stay what they are, so that a GPT that was trained on them stays right.
    `board` shows curves and rebuilt motions in TensorBoard.

    Raises:
        CheckpointError: `start_from` is no stage 1 file, or of another skeleton.
        InputError: The dataset has no clip as long as a window, none to validate on, or statistics
            that cannot be used; or only the decoder is to learn, from nothing.
    """
    if decoder_only and not start_from:
        raise InputError("The decoder alone learns on from a stage 1 file; name it too.")
    ranks = Ranks(device)
    dataset = checked_dataset(read_dataset(data), "val")
    settings = config.vqvae
    if start_from:
        network, mean, std = read_vqvae(start_from, dataset)
        dataset = replace(dataset, mean=mean, std=std)
        network.requires_grad_(not decoder_only).decoder.requires_grad_(True)
        sizes = network.config
    else:
        sizes = network_config(
            VQVAEConfig, config.vqvae_network, feature_size=dataset.skeleton.feature_size
        )
        torch.manual_seed(settings.seed)
        network = VQVAE(sizes)
    if settings.window % sizes.frames_per_token:
        raise InputError(
            f"A window of {settings.window} frames is no whole number of tokens of "
            f"{sizes.frames_per_token}; set another window."
        )
    rows = ranks.rows(settings.batch_size)
    windows = Windows(dataset, "train", settings.window)
    network = network.to(ranks.device)
    measure = ReconstructionLoss(settings, dataset, ranks.device)

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = torch.from_numpy(windows.draw(settings.batch_size, generator)[rows])
        batch = batch.to(ranks.device)
        if decoder_only:
            return measure(network.decode(network.encode(batch)), batch, torch.zeros(()))
        rebuilt, commitment, perplexity = network(batch)
        total, figures = measure(rebuilt, batch, commitment)
        return total, {**figures, "perplexity": float(perplexity)}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        assert isinstance(averaged, VQVAE)
        error = reconstruction_error(averaged, dataset, "val")
        seen = windows.draw(_USAGE_WINDOWS, np.random.default_rng(settings.seed))
        usage = codebook_usage(averaged, torch.from_numpy(seen).to(ranks.device))
        return error, {"mpjpe_mm": 1000.0 * error, "codes_used": usage}

    result = folder / "vqvae.safetensors"

    def keep(averaged: nn.Module) -> None:
        tensors = {name: tensor.cpu().numpy() for name, tensor in averaged.state_dict().items()}
        tensors |= {"statistics.mean": dataset.mean, "statistics.std": dataset.std}
        skeleton = json.dumps(skeleton_to_json(dataset.skeleton))
        write_tensors(result, tensors, {"config": json.dumps(asdict(sizes)), "skeleton": skeleton})

    def pictures(averaged: nn.Module) -> Mapping[str, NDArray[np.uint8]]:
        assert isinstance(averaged, VQVAE)
        motions = {}
        for clip in [clip for clip in dataset.split("val") if not clip.mirrored][:_SHOWN]:
            real = whole_tokens(dataset.features[clip.id], averaged)
            rebuilt = rebuilt_features(averaged, real, dataset)
            motions[f"{clip.id}, real"] = features_to_joints(real, dataset.skeleton)
            motions[f"{clip.id}, rebuilt"] = features_to_joints(rebuilt, dataset.skeleton)
        return {"reconstruction": motion_picture(motions, dataset.skeleton)}

    train(
        network,
        settings,
        folder,
        made_of={
            "network": asdict(sizes),
            "data": dataset_sha256(data),
            **({"start from": file_sha256(start_from)} if start_from else {}),
            **({"decoder only": True} if decoder_only else {}),
        },
        loss=loss,
        validate=validate,
        keep=keep,
        pictures=pictures if board else None,
    )
    return result


def read_vqvae(
    path: Path, dataset: Dataset
) -> tuple[VQVAE, NDArray[np.float32], NDArray[np.float32]]:
    """The stage 1 network of a file, in eval mode, and its statistics (mean and std, [D]).

    The file is one of `train_vqvae`, or a finished model.

    Raises:
        CheckpointError: Damaged, or made for another skeleton than the dataset's.
    """
    stored, metadata = read_tensors(path)
    try:
        if "format" in metadata:  # a finished model
            model = read_checkpoint(path)
            names = [name for name in model.tensors if name.startswith("vqvae.")]
            tensors = {name.removeprefix("vqvae."): np.array(model.tensors[name]) for name in names}
            sizes, skeleton, mean, std = model.vqvae, model.skeleton, model.mean, model.std
        else:
            tensors = {name: np.array(tensor) for name, tensor in stored.items()}
            mean, std = tensors.pop("statistics.mean"), tensors.pop("statistics.std")
            sizes = json.loads(metadata["config"])
            skeleton = skeleton_from_json(json.loads(metadata["skeleton"]))
        network = VQVAE(VQVAEConfig(**sizes))
        network.load_state_dict(
            {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        )
    except (KeyError, ValueError, TypeError, RuntimeError, InputError) as error:
        raise CheckpointError(f"{path} is not a stage 1 file; train one first.") from error
    if skeleton_to_json(skeleton) != skeleton_to_json(dataset.skeleton):
        raise CheckpointError(
            f"{path} is for the skeleton {skeleton.name}, and the dataset has another "
            f"({dataset.skeleton.name}); train stage 1 on this dataset."
        )
    return network.eval(), mean, std


def checked_dataset(dataset: Dataset, *splits: str) -> Dataset:
    """The dataset, if it can be trained on.

    Raises:
        InputError: A split has no clip (other than mirrored ones), or the statistics cannot
            normalise.
    """
    for split in splits:
        if not any(not clip.mirrored for clip in dataset.split(split)):
            raise InputError(f"The dataset has no clip in its split '{split}'; prepare it again.")
    finite = np.isfinite(dataset.mean).all() and np.isfinite(dataset.std).all()
    if not finite or (dataset.std <= 0.0).any():
        column = int(np.argmax(~(np.isfinite(dataset.mean) & (dataset.std > 0.0))))
        raise InputError(
            f"The dataset's statistics cannot normalise column {column} (mean "
            f"{dataset.mean[column]:g}, std {dataset.std[column]:g}); prepare it again."
        )
    return dataset


def dataset_sha256(data: Path) -> str:
    """A hash that changes with a dataset's clips and captions."""
    return file_sha256(data / "clips.jsonl") + file_sha256(data / "statistics.npz")


@torch.no_grad()
def codebook_usage(network: VQVAE, windows: Tensor) -> float:
    """Share of the codes, over all levels, that some token of the windows [B, T, D] has."""
    tokens = network.encode(windows).flatten(0, 1)
    codes = network.config.codebook_size
    counts = [torch.bincount(level, minlength=codes) for level in tokens.unbind(-1)]
    return float((torch.stack(counts) > 0).float().mean())


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
