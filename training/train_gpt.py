# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2: the GPT learns to write motion tokens from text (T2M-GPT, section 3.2)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import Checkpoint, file_sha256, read_tensors, write_checkpoint
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.generate import MODELS
from t2m_blender.engine.gpt import GPT, GPTConfig, TextCondition
from t2m_blender.engine.text import TextEncoder
from t2m_blender.engine.vqvae import VQVAE, VQVAEConfig

from .config import Config, GPTTraining, network_config
from .data.dataset import Dataset, read_dataset
from .loop import train
from .train_vqvae import dataset_sha256


def train_gpt(
    config: Config,
    data: Path,
    vqvae_file: Path,
    folder: Path,
    *,
    licence: str = "",
    device: str = "cpu",
) -> Path:
    """Trains stage 2 on a prepared dataset and a stage 1 file; returns the finished model's file.

    The file names `licence` as that of its weights; without one, it says that the data's holds.

    Raises:
        InputError: No captioned clip in train or val.
        CheckpointError: The stage 1 file does not fit the dataset.
    """
    dataset = read_dataset(data)
    vqvae, mean, std = read_vqvae(vqvae_file, dataset)
    # features are normalised as stage 1 saw them, also where the dataset has grown since
    dataset = replace(dataset, mean=mean, std=std)
    encoder = TextEncoder.load(MODELS / f"{config.model.text_encoder}.safetensors")
    sizes = network_config(
        GPTConfig,
        config.gpt_network,
        codebook_size=vqvae.config.codebook_size,
        levels=vqvae.config.levels,
        text_size=encoder.feature_size,
    )
    samples = {
        split: CaptionedTokens(dataset, split, vqvae, encoder, sizes) for split in ("train", "val")
    }
    torch.manual_seed(config.gpt.seed)
    network = GPT(sizes).to(device)

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = samples["train"].draw(config.gpt, generator).to(device)
        cross_entropy, accuracy = token_loss(network, batch)
        return cross_entropy, {"accuracy": accuracy}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        assert isinstance(averaged, GPT)
        results = [token_loss(averaged, batch.to(device)) for batch in samples["val"].plain()]
        cross_entropy = float(np.mean([float(value) for value, _ in results]))
        accuracy = float(np.mean([right for _, right in results]))
        return cross_entropy, {"loss": cross_entropy, "accuracy": accuracy}

    result = folder / "model.safetensors"

    def keep(averaged: nn.Module) -> None:
        tensors = {f"gpt.{name}": t.cpu().numpy() for name, t in averaged.state_dict().items()}
        tensors |= {f"vqvae.{name}": t.cpu().numpy() for name, t in vqvae.state_dict().items()}
        model = config.model
        write_checkpoint(
            result,
            Checkpoint(
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
            ),
        )

    train(
        network,
        config.gpt,
        folder,
        made_of={
            "network": asdict(sizes),
            "data": dataset_sha256(data),
            "vqvae": file_sha256(vqvae_file),
        },
        loss=loss,
        validate=validate,
        keep=keep,
    )
    return result


def read_vqvae(
    path: Path, dataset: Dataset
) -> tuple[VQVAE, NDArray[np.float32], NDArray[np.float32]]:
    """The stage 1 network of a file, in eval mode, and its statistics (mean and std, [D]).

    Raises:
        CheckpointError: Damaged, or made for another feature size.
    """
    stored, metadata = read_tensors(path)
    tensors = {name: np.array(tensor) for name, tensor in stored.items()}
    try:
        mean, std = tensors.pop("statistics.mean"), tensors.pop("statistics.std")
        network = VQVAE(VQVAEConfig(**json.loads(metadata["config"])))
        network.load_state_dict(
            {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        )
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a stage 1 file; train one first.") from error
    if network.config.feature_size != dataset.skeleton.feature_size:
        raise CheckpointError(
            f"{path} reads {network.config.feature_size} features a frame, and the dataset has "
            f"{dataset.skeleton.feature_size}; train stage 1 on this dataset."
        )
    return network.eval(), mean, std


@dataclass
class TokenBatch:
    """Tokens of B captioned clips, padded to the longest.

    Attributes:
        inputs: [B, L, Q] tokens as the network reads them: corrupted in training, Pad after the
            end.
        targets: [B, L + 1, Q] tokens and End; -100 after it and in End's further levels, which the
            loss ignores.
        text: Of the captions.
    """

    inputs: Tensor
    targets: Tensor
    text: TextCondition

    def to(self, device: str) -> TokenBatch:
        text = TextCondition(
            self.text.pooled.to(device), self.text.words.to(device), self.text.known.to(device)
        )
        return TokenBatch(self.inputs.to(device), self.targets.to(device), text)


def token_loss(network: GPT, batch: TokenBatch) -> tuple[Tensor, float]:
    """Cross-entropy over tokens up to and with End, and the share of first levels foretold rightly.

    With Q levels it is the sum over levels of each one's mean.
    """
    hidden = network.read(batch.inputs, batch.text)
    logits = network.head(hidden)
    first = batch.targets[..., 0]
    loss = functional.cross_entropy(logits.flatten(0, 1).float(), first.flatten())
    if network.config.levels > 1:
        refined = network.refine(hidden, batch.targets.clamp(0, network.config.codebook_size - 1))
        for level, foretold in enumerate(refined.unbind(-2), start=1):
            wanted = batch.targets[..., level].flatten()
            loss = loss + functional.cross_entropy(foretold.flatten(0, 1).float(), wanted)
    judged = first >= 0
    right = (logits.argmax(-1) == first)[judged].float().mean()
    return loss, float(right)


class CaptionedTokens:
    """The captioned clips of a split as tokens, with the text features of all their captions.

    A clip is tokenised from each of its first frames (0 .. frames_per_token - 1), so that the same
    motion is seen in several tokenisations.

    Raises:
        InputError: No clip of the split has a caption.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        vqvae: VQVAE,
        encoder: TextEncoder,
        config: GPTConfig,
    ) -> None:
        self.config = config
        clips = [clip for clip in dataset.split(split) if clip.captions]
        if not clips:
            raise InputError(f"No clip of the split '{split}' has a caption; prepare captions too.")
        step = vqvae.config.frames_per_token
        self.tokens: list[list[NDArray[np.int64]]] = []
        with torch.inference_mode():
            for clip in clips:
                features = (dataset.features[clip.id] - dataset.mean) / dataset.std
                shifted = (features[start:] for start in range(step))
                whole = [f[: min(len(f) // step, config.token_limit) * step] for f in shifted]
                self.tokens.append(
                    [vqvae.encode(torch.from_numpy(frames)[None])[0].numpy() for frames in whole]
                )
        captions = sorted({caption for clip in clips for caption in clip.captions})
        index = {caption: row for row, caption in enumerate(captions)}
        self.captions = [[index[caption] for caption in clip.captions] for clip in clips]
        words = config.word_limit or encoder.token_limit
        features_of = encoder.encode(captions, words, batch_size=32)
        self.pooled = features_of.pooled
        self.words = features_of.tokens[:, : config.word_limit].astype(np.float16)
        self.known = features_of.mask[:, : config.word_limit]

    def draw(self, settings: GPTTraining, generator: np.random.Generator) -> TokenBatch:
        """A training batch: cropped one time in three, corrupted, some without text."""
        # clips of like length together, so that little is padded; each is as likely as any other
        clips = generator.integers(len(self.tokens), size=4 * settings.batch_size)
        clips = clips[np.argsort([len(self.tokens[clip][0]) for clip in clips], kind="stable")]
        first = settings.batch_size * generator.integers(4)
        clips = clips[first : first + settings.batch_size]
        rows, captions = [], []
        for clip in clips:
            tokens = self.tokens[clip][generator.integers(len(self.tokens[clip]))]
            crop = generator.integers(6)  # one time in six the first, one in six the last
            rows.append(tokens[1:] if crop == 0 else tokens[:-1] if crop == 1 else tokens)
            captions.append(self.captions[clip][generator.integers(len(self.captions[clip]))])
        batch = self._batch(rows, captions)
        batch.inputs = corrupted(batch.inputs, self.config, settings.corruption, generator)
        dropped = generator.random(len(rows)) < settings.text_dropout
        batch.text = batch.text.without_text(torch.from_numpy(dropped))
        return batch

    def plain(self, batch_size: int = 32) -> list[TokenBatch]:
        """Every clip once with each of its captions, unchanged."""
        pairs = [
            (tokens[0], caption)
            for tokens, captions in zip(self.tokens, self.captions, strict=True)
            for caption in captions
        ]
        parts = [pairs[start : start + batch_size] for start in range(0, len(pairs), batch_size)]
        return [self._batch([t for t, _ in part], [c for _, c in part]) for part in parts]

    def _batch(self, rows: list[NDArray[np.int64]], captions: list[int]) -> TokenBatch:
        longest = max(len(row) for row in rows)
        levels = self.config.levels
        inputs = np.zeros((len(rows), longest, levels), dtype=np.int64)
        inputs[..., 0] = self.config.pad
        targets = np.full((len(rows), longest + 1, levels), -100)
        for i, row in enumerate(rows):
            inputs[i, : len(row)] = targets[i, : len(row)] = row
            targets[i, len(row), 0] = self.config.end
        return TokenBatch(
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            TextCondition(
                torch.from_numpy(self.pooled[captions]),
                torch.from_numpy(self.words[captions].astype(np.float32)),
                torch.from_numpy(self.known[captions]),
            ),
        )


def corrupted(
    tokens: Tensor, config: GPTConfig, chance: float, generator: np.random.Generator
) -> Tensor:
    """Tokens [B, L, Q] with some replaced by random codes, all levels at once; Pad stays.

    `chance` of replacement, or -1 for one drawn from U[0, 1] for every row.
    """
    batch, length = tokens.shape[:2]
    chances = generator.random((batch, 1)) if chance < 0 else np.full((batch, 1), chance)
    replace = torch.from_numpy(generator.random((batch, length)) < chances)
    replace &= tokens[..., 0] < config.codebook_size
    noise = torch.from_numpy(generator.integers(config.codebook_size, size=tuple(tokens.shape)))
    return torch.where(replace[..., None], noise, tokens)
