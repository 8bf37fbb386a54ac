# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished model learns to read: its text encoder is changed, and nothing else of it.

The GPT was taught beside an encoder that stays as it is, whose words for "from standing to sitting"
and "from sitting to standing" are much the same. Here that is turned around: the GPT stays, and a
wording of a caption is to make it foretell what it foretells for the caption. What it does when it
has understood cannot be forgotten so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import file_sha256, read_checkpoint, write_checkpoint
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.minilm import MiniLM
from t2m_blender.engine.text import TextEncoder
from t2m_blender.engine.torch_runtime import load_networks

from .captioned_tokens import CaptionedTokens, TokenBatch
from .config import Config
from .data.dataset import read_dataset
from .loop import train
from .low_rank import LowRankMiniLM, sentence_ids
from .ranks import Ranks
from .train_gpt import divergence, first_chances, foretold, guided, text_encoder_file
from .train_vqvae import checked_dataset, dataset_sha256, read_vqvae


def train_text(
    config: Config, data: Path, start_from: Path, folder: Path, *, device: str = "cpu"
) -> Path:
    """Trains how a model reads on the captions of a dataset; returns the finished model's file.

    Of captions that are no wordings of others it goes on foretelling what it did. Changes to the
    encoder that the model has already are learnt on from.

    Raises:
        InputError: No captioned clip in train or val; or the model's encoder is none that learns.
        CheckpointError: `start_from` is no model, of another skeleton than the dataset's, or has
            changes of another rank.
    """
    ranks = Ranks(device)
    settings = config.text
    model = read_checkpoint(start_from)
    dataset = checked_dataset(read_dataset(data))
    vqvae, mean, std = read_vqvae(start_from, dataset)
    dataset = replace(dataset, mean=mean, std=std)
    encoder_file = text_encoder_file(model.text_encoder)
    encoder = TextEncoder.load(encoder_file)
    if not isinstance(encoder, MiniLM):
        raise InputError(
            f"{start_from} reads text with '{model.text_encoder}', which does not learn; name a "
            'model whose config has text_encoder = "minilm".'
        )
    torch.manual_seed(settings.seed)
    network = LowRankMiniLM(encoder, settings.rank).to(ranks.device)
    if model.text_changes:
        try:
            network.take(model.text_changes)
        except RuntimeError as error:
            raise CheckpointError(
                f"{start_from} has changes of another rank than {config.name} ({error}); set its."
            ) from error
        encoder.weights.change(model.text_changes)
    gpt = load_networks(model)[0].requires_grad_(False).to(ranks.device)
    rows = ranks.rows(settings.batch_size)
    vqvae.to(ranks.device)
    samples = {
        split: CaptionedTokens(dataset, split, vqvae, encoder, gpt.config)
        for split in ("train", "val")
    }
    if settings.misread:
        samples["train"].weigh(lambda text: first_chances(gpt, text.to(ranks.device)))

    def judged(reader: nn.Module, batch: TokenBatch, mean_of: Ranks | None) -> Tensor:
        ids = [
            sentence_ids(encoder, sentence, gpt.config.word_limit) for sentence in batch.sentences
        ]
        logits = foretold(gpt, batch.inputs, reader(ids), batch.targets)
        return divergence(logits, guided(gpt, batch, 1.0), batch.targets, mean_of)

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = samples["train"].draw_beginnings(settings, generator)
        return judged(network, batch.rows(rows).to(ranks.device), ranks), {}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        batches = [batch.to(ranks.device) for batch in samples["val"].plain()]
        value = float(np.mean([float(judged(averaged, batch, None)) for batch in batches]))
        return value, {"loss": value}

    result = folder / "model.safetensors"

    def keep(averaged: nn.Module) -> None:
        assert isinstance(averaged, LowRankMiniLM)
        others = {name: t for name, t in model.tensors.items() if not name.startswith("text.")}
        changes = {f"text.{name}": tensor for name, tensor in averaged.changes().items()}
        origin = f"{model.origin} Reads as {config.name} taught the model of sha256 {model.sha256}."
        write_checkpoint(
            result,
            replace(model, tensors={**others, **changes}, origin=origin),
            weights="int8" if model.has_int8 else "fp16",
        )

    train(
        network,
        settings,
        folder,
        made_of={
            "data": dataset_sha256(data),
            "text encoder": file_sha256(encoder_file),
            "start from": model.sha256,
        },
        loss=loss,
        validate=validate,
        keep=keep,
    )
    return result
