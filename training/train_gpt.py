# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2: the GPT learns to write motion tokens from text (T2M-GPT, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import Checkpoint, file_sha256, read_checkpoint, write_checkpoint
from t2m_blender.engine.configs import GPTConfig
from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.generate import MODELS, generate_batch, load_model
from t2m_blender.engine.gpt import GPT
from t2m_blender.engine.text import TextEncoder

from .board import motion_picture
from .captioned_tokens import CaptionedTokens, TokenBatch
from .config import Config, network_config
from .data.dataset import read_dataset
from .loop import train
from .ranks import Ranks
from .train_vqvae import checked_dataset, dataset_sha256, read_vqvae

_SHOWN = 6


def train_gpt(
    config: Config,
    data: Path,
    vqvae_file: Path,
    folder: Path,
    *,
    start_from: Path | None = None,
    licence: str = "",
    device: str = "cpu",
    board: bool = False,
) -> Path:
    """Trains stage 2 on a prepared dataset and a stage 1 file; returns the finished model's file.

    With `start_from`, a model of a GPT of these sizes, it learns on from there: its stage 1 should
    be this one, or one that learnt on from it.
    The file names `licence` as that of its weights; without one, it says that the data's holds.
    `board` shows curves and generated motions in TensorBoard.

    Raises:
        InputError: No captioned clip in train or val.
        CheckpointError: The stage 1 file does not fit the dataset, the text encoder is missing, or
            `start_from` is no model of these sizes.
    """
    ranks = Ranks(device)
    dataset = checked_dataset(read_dataset(data))
    vqvae, mean, std = read_vqvae(vqvae_file, dataset)
    # features are normalised as stage 1 saw them, also where the dataset has grown since
    dataset = replace(dataset, mean=mean, std=std)
    settings, model = config.gpt, config.model
    encoder_file = _text_encoder(model.text_encoder)
    encoder = TextEncoder.load(encoder_file)
    sizes = network_config(
        GPTConfig,
        config.gpt_network,
        codebook_size=vqvae.config.codebook_size,
        levels=vqvae.config.levels,
        text_size=encoder.feature_size,
    )
    rows = ranks.rows(settings.batch_size)
    vqvae.to(ranks.device)
    samples = {
        split: CaptionedTokens(dataset, split, vqvae, encoder, sizes) for split in ("train", "val")
    }
    torch.manual_seed(settings.seed)
    network = GPT(sizes)
    if start_from:
        _take_weights(network, start_from)
    network = network.to(ranks.device)

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = samples["train"].draw(settings, generator).rows(rows).to(ranks.device)
        value, accuracy = token_loss(network, batch, mean_over=settings.mean_over, ranks=ranks)
        return value, {"accuracy": accuracy}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        assert isinstance(averaged, GPT)
        batches = [batch.to(ranks.device) for batch in samples["val"].plain()]
        results = [token_loss(averaged, batch, mean_over=settings.mean_over) for batch in batches]
        value = float(np.mean([float(value) for value, _ in results]))
        accuracy = float(np.mean([right for _, right in results]))
        return value, {"loss": value, "accuracy": accuracy}

    def finished(averaged: nn.Module) -> Checkpoint:
        tensors = {f"gpt.{name}": t.cpu().numpy() for name, t in averaged.state_dict().items()}
        tensors |= {f"vqvae.{name}": t.cpu().numpy() for name, t in vqvae.state_dict().items()}
        return Checkpoint(
            vqvae=asdict(vqvae.config),
            gpt=asdict(sizes),
            tensors=tensors,
            mean=dataset.mean,
            std=dataset.std,
            skeleton=dataset.skeleton,
            text_encoder=model.text_encoder,
            sampling={
                "guidance": model.guidance,
                "temperature": model.temperature,
                "top_p": model.top_p,
            },
            licence=licence or f"as its data: {dataset.licence}",
            origin=(
                f"Trained on {dataset.name} with {config.name}. {'. '.join(dataset.notes)} "
                f"{dataset.licence} {dataset.credit}"
            ),
        )

    result = folder / "model.safetensors"
    shown = [clip for clip in dataset.split("val") if clip.captions and not clip.mirrored]
    prompts = list(dict.fromkeys(clip.captions[0] for clip in shown))[:_SHOWN]

    def pictures(averaged: nn.Module) -> Mapping[str, NDArray[np.uint8]]:
        assert isinstance(averaged, GPT)
        with TemporaryDirectory() as place:
            file = Path(place) / result.name
            write_checkpoint(file, finished(averaged), weights=model.weights)
            model_so_far = load_model(file, device=ranks.device.type)
            made = generate_batch(
                prompts, model=model_so_far, seeds=[0] * len(prompts), seconds=[None] * len(prompts)
            )
        motions = {one.prompt: one.motion.joints for one in made}
        return {"generated": motion_picture(motions, dataset.skeleton)}

    train(
        network,
        settings,
        folder,
        made_of={
            "network": asdict(sizes),
            "data": dataset_sha256(data),
            "vqvae": file_sha256(vqvae_file),
            "text encoder": file_sha256(encoder_file),
            **({"start from": file_sha256(start_from)} if start_from else {}),
        },
        loss=loss,
        validate=validate,
        keep=lambda averaged: write_checkpoint(result, finished(averaged), weights=model.weights),
        pictures=pictures if board else None,
    )
    return result


def _take_weights(network: GPT, file: Path) -> None:
    """Fills the network with that of a model file."""
    stored = read_checkpoint(file).tensors
    try:
        network.load_state_dict(
            {name: torch.tensor(stored[f"gpt.{name}"]) for name in network.state_dict()}
        )
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{file} has no GPT of the sizes of the config ({error}); train without --start-from."
        ) from error


def _text_encoder(name: str) -> Path:
    file = MODELS / f"{name}.safetensors"
    if not file.is_file():
        raise CheckpointError(
            f"The text encoder '{name}' is missing ({file}): 'python -m training fetch-clip' makes "
            "clip; minilm comes with the extension."
        )
    return file


def token_loss(
    network: GPT, batch: TokenBatch, *, mean_over: str = "tokens", ranks: Ranks | None = None
) -> tuple[Tensor, float]:
    """Cross-entropy over tokens up to and with End, and the share of first levels foretold rightly.

    With Q levels it is the sum over levels of each one's mean. `mean_over` "tokens" counts every
    token of the batch alike, "clips" every clip; of several processes (`ranks`), all their tokens
    count alike, so that the mean of their losses is that of the whole batch.
    """
    hidden = network.read(batch.inputs, batch.text)
    foretold = [network.head(hidden)]
    if network.config.levels > 1:
        known = batch.targets.clamp(0, network.config.codebook_size - 1)
        foretold += network.refine(hidden, known).unbind(-2)
    loss = torch.zeros((), device=hidden.device)
    for logits, wanted in zip(foretold, batch.targets.unbind(-1), strict=True):
        each = functional.cross_entropy(
            logits.flatten(0, 1).float(), wanted.flatten(), reduction="none"
        )
        loss = loss + (each.view_as(wanted) * _weights(wanted, mean_over, ranks)).sum()
    first = batch.targets[..., 0]
    right = (foretold[0].argmax(-1) == first) * _weights(first, "tokens", ranks)
    return loss, float(right.sum())


def _weights(targets: Tensor, mean_over: str, ranks: Ranks | None) -> Tensor:
    """What each of the targets [B, L] counts; those that are ignored count nothing."""
    judged = (targets >= 0).float()
    if mean_over == "clips":
        return judged / judged.sum(dim=1, keepdim=True).clamp(min=1.0) / len(judged)
    count = judged.sum()
    return judged / (ranks.mean(count) if ranks else count)
