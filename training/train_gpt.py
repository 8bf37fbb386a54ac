# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2: the GPT learns to write motion tokens from text (T2M-GPT, section 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
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
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.generate import MODELS, generate_batch, load_model
from t2m_blender.engine.gpt import GPT, TextCondition
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
    be this one, or one that learnt on from it. What that changed of the text encoder stays.
    The file names `licence` as that of its weights; without one, it says that the data's holds.
    `board` shows curves and generated motions in TensorBoard.

    Raises:
        InputError: No captioned clip in train or val; or the config learns from a model and there
            is none to start from.
        CheckpointError: The stage 1 file does not fit the dataset, the text encoder is missing, or
            `start_from` is no model of these sizes.
    """
    of_model = config.gpt.distilled > 0.0 or config.gpt.misread > 0.0
    if of_model and start_from is None:
        raise InputError(
            f"The config {config.name} learns from what a finished model foretells: give that with "
            "--start-from, or set distilled and misread to 0."
        )
    ranks = Ranks(device)
    dataset = checked_dataset(read_dataset(data))
    vqvae, mean, std = read_vqvae(vqvae_file, dataset)
    # features are normalised as stage 1 saw them, also where the dataset has grown since
    dataset = replace(dataset, mean=mean, std=std)
    settings, model = config.gpt, config.model
    encoder_file = text_encoder_file(model.text_encoder)
    encoder = TextEncoder.load(encoder_file)
    reads = read_checkpoint(start_from).text_changes if start_from else {}
    encoder.weights.change(reads)
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
    # what is learnt from clips alone has no use for a copy, which of a large network is large
    teacher = copy.deepcopy(network).eval() if of_model else network
    if settings.misread:
        samples["train"].weigh(lambda text: first_chances(teacher, text.to(ranks.device)))

    def judged(learner: GPT, batch: TokenBatch, mean_of: Ranks | None) -> tuple[Tensor, float]:
        """The loss of a batch, and the share of its tokens foretold rightly."""
        logits = foretold(learner, batch.inputs, batch.text, batch.targets)
        value, accuracy = token_loss(
            logits, batch.targets, mean_over=settings.mean_over, ranks=mean_of
        )
        if settings.distilled:
            wanted = guided(teacher, batch, settings.distilled)
            wanted[0][..., sizes.end] -= settings.end_later
            value = divergence(logits, wanted, batch.targets, mean_of)
        return value, accuracy

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = samples["train"].draw(settings, generator).rows(rows).to(ranks.device)
        value, accuracy = judged(network, batch, ranks)
        return value, {"accuracy": accuracy}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        assert isinstance(averaged, GPT)
        batches = [batch.to(ranks.device) for batch in samples["val"].plain()]
        results = [judged(averaged, batch, None) for batch in batches]
        value = float(np.mean([float(value) for value, _ in results]))
        accuracy = float(np.mean([right for _, right in results]))
        return value, {"loss": value, "accuracy": accuracy}

    def finished(averaged: nn.Module) -> Checkpoint:
        tensors = {f"gpt.{name}": t.cpu().numpy() for name, t in averaged.state_dict().items()}
        tensors |= {f"vqvae.{name}": t.cpu().numpy() for name, t in vqvae.state_dict().items()}
        tensors |= {f"text.{name}": tensor for name, tensor in reads.items()}
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


def text_encoder_file(name: str) -> Path:
    """Where the text encoder of that name is.

    Raises:
        CheckpointError: It is missing.
    """
    file = MODELS / f"{name}.safetensors"
    if not file.is_file():
        raise CheckpointError(
            f"The text encoder '{name}' is missing ({file}): 'python -m training fetch-clip' makes "
            "clip; minilm comes with the extension."
        )
    return file


def foretold(network: GPT, inputs: Tensor, text: TextCondition, targets: Tensor) -> list[Tensor]:
    """Logits [B, L + 1, K] of each of Q levels (of the first with End), given the text, the inputs
    [B, L, Q] before each token and, for further levels, the targets [B, L + 1, Q] of those below.
    """
    hidden = network.read(inputs, text)
    logits = [network.head(hidden)]
    if network.config.levels > 1:
        known = targets.clamp(0, network.config.codebook_size - 1)
        logits += network.refine(hidden, known).unbind(-2)
    return logits


def token_loss(
    logits: Sequence[Tensor],
    targets: Tensor,
    *,
    mean_over: str = "tokens",
    ranks: Ranks | None = None,
) -> tuple[Tensor, float]:
    """Cross-entropy over tokens up to and with End, and the share of first levels foretold rightly.

    With Q levels it is the sum over levels of each one's mean. `mean_over` "tokens" counts every
    token of the batch alike, "clips" every clip; of several processes (`ranks`), all their tokens
    count alike, so that the mean of their losses is that of the whole batch.
    """
    loss = torch.zeros((), device=targets.device)
    for level, wanted in zip(logits, targets.unbind(-1), strict=True):
        each = functional.cross_entropy(
            level.flatten(0, 1).float(), wanted.flatten(), reduction="none"
        )
        loss = loss + (each.view_as(wanted) * _weights(wanted, mean_over, ranks)).sum()
    first = targets[..., 0]
    right = (logits[0].argmax(-1) == first) * _weights(first, "tokens", ranks)
    return loss, float(right.sum())


@torch.no_grad()
def first_chances(network: GPT, text: TextCondition) -> Tensor:
    """Logarithms [B, K + 1] of the chances of each clip's first token, End among them."""
    hidden, _ = network.begin(text)
    chances: Tensor = network.head(hidden).log_softmax(-1)
    return chances


@torch.no_grad()
def guided(network: GPT, batch: TokenBatch, guidance: float) -> list[Tensor]:
    """Logits of each level as a finished network foretells them with this guidance; of wordings,
    given the caption that they are wordings of."""
    text = batch.plain_text
    if guidance == 1.0:
        return foretold(network, batch.inputs, text, batch.targets)
    bare = TextCondition(torch.zeros_like(text.pooled), text.words[:, :0], text.known[:, :0])
    with_text, without = (
        foretold(network, batch.inputs, read, batch.targets) for read in (text, bare)
    )
    return [low + guidance * (high - low) for high, low in zip(with_text, without, strict=True)]


def divergence(
    logits: Sequence[Tensor],
    wanted: Sequence[Tensor],
    targets: Tensor,
    ranks: Ranks | None = None,
) -> Tensor:
    """Kullback-Leibler divergence of the chances of `logits` from those of `wanted`, [B, L + 1, K]
    each: over the levels given, the sum of each one's mean over the tokens that are judged."""
    total = torch.zeros((), device=targets.device)
    for level, (learned, right) in enumerate(zip(logits, wanted, strict=True)):
        each = functional.kl_div(
            learned.float().log_softmax(-1),
            right.float().log_softmax(-1),
            reduction="none",
            log_target=True,
        ).sum(-1)
        total = total + (each * _weights(targets[..., level], "tokens", ranks)).sum()
    return total


def _weights(targets: Tensor, mean_over: str, ranks: Ranks | None) -> Tensor:
    """What each of the targets [B, L] counts; those that are ignored count nothing."""
    judged = (targets >= 0).float()
    if mean_over == "clips":
        return judged / judged.sum(dim=1, keepdim=True).clamp(min=1.0) / len(judged)
    count = judged.sum().clamp(min=1.0)
    return judged / (ranks.mean(count) if ranks else count)
