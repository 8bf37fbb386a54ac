# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own evaluator: captions and motions embedded in one space, so that any dataset has numbers.

After TMR (Petrovich, Black and Varol, ICCV 2023): two encoders trained against each other, so that
a caption is nearest to its own motion. Smaller, since free datasets are: words come from the frozen
text encoder, motion from strided convolutions. Embeddings have length 1.

It reads of the features what is animated (root, positions, velocities); the 6D rotations and the
contacts, which no figure is posed from, do not count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import file_sha256, read_tensors, write_tensors
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.features import feature_columns
from t2m_blender.engine.generate import MODELS
from t2m_blender.engine.skeleton import Skeleton, skeleton_from_json, skeleton_to_json
from t2m_blender.engine.text import TextEncoder, TextFeatures

FORMAT = "t2m_blender evaluator 1"
TEXT_ENCODER = "minilm"
FRAMES_PER_STEP = 4
_READ = ("root_yaw_velocity", "root_velocity", "root_height", "positions", "velocities")
_BATCH = 64


class Evaluator(Protocol):
    """What the metrics need: captions and motions as points, near each other where they agree.

    Attributes:
        name: For the table.
        sha256: Of its file.
        skeleton: Of the features that it reads.
        embedding_size: E.
    """

    name: str
    sha256: str
    skeleton: Skeleton
    embedding_size: int

    def embed_motion(self, features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """[B, E] of B clips [T, D], not normalised."""

    def embed_text(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """[B, E] of B captions."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorConfig:
    """Sizes of the network.

    Attributes:
        feature_size: Features a frame that it reads; see `read_columns`.
        text_size: Numbers a word of the text encoder.
        width: Channels.
        heads: Of the attention over words.
        embedding_size: E.
        word_limit: Word pieces of a caption that are read.
        dropout: Everywhere.
    """

    feature_size: int
    text_size: int = 384
    width: int = 192
    heads: int = 4
    embedding_size: int = 64
    word_limit: int = 40
    dropout: float = 0.3


@dataclass(frozen=True)
class Words:
    """Captions as the text encoder gives them.

    Attributes:
        pooled: [B, text_size], the whole sentence.
        words: [B, W, text_size].
        known: [B, W] bool; False after a sentence's end.
    """

    pooled: Tensor
    words: Tensor
    known: Tensor

    @classmethod
    def of(cls, features: TextFeatures) -> Words:
        """From the engine's text features, on the CPU."""
        arrays = (features.pooled, features.tokens, features.mask)
        return cls(*(torch.from_numpy(array) for array in arrays))

    def at(self, rows: Tensor) -> Words:
        """The captions of some rows."""
        return Words(self.pooled[rows], self.words[rows], self.known[rows])

    def to(self, device: torch.device) -> Words:
        return Words(self.pooled.to(device), self.words.to(device), self.known.to(device))


class TextMotionNetwork(nn.Module):
    """The two encoders. Motion is normalised and zero after its end."""

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.drop = nn.Dropout(config.dropout)
        self.halvings = nn.ModuleList(
            nn.Conv1d(size, width, 4, stride=2, padding=1) for size in (config.feature_size, width)
        )
        self.motion_norm = nn.LayerNorm(width)
        self.motion_out = nn.Linear(2 * width, config.embedding_size)
        self.sentence_out = nn.Linear(config.text_size, config.embedding_size)
        self.word_in = nn.Linear(config.text_size, width)
        self.places = nn.Parameter(0.02 * torch.randn(config.word_limit, width))
        self.mix = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, config.dropout, functional.gelu,
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.word_norm = nn.LayerNorm(width)
        self.weigh = nn.Linear(width, 1)
        self.word_out = nn.Linear(width, config.embedding_size)

    def embed_motion(self, motion: Tensor, frames: Tensor) -> Tensor:
        """[B, E] of motion [B, T, D] with `frames` [B] each; T is a multiple of 4."""
        x = motion
        for halve in self.halvings:
            frames = frames // 2
            # what follows a clip's end stays zero, so that no clip depends on the batch's longest
            x = functional.gelu(halve(self.drop(x).mT)).mT * _within(frames, x.shape[1] // 2)
        known = _within(frames, x.shape[1])
        x = self.motion_norm(x)
        mean = (x * known).sum(1) / known.sum(1)
        most = x.masked_fill(known == 0.0, -torch.inf).amax(1)
        both = torch.cat((mean, most), dim=-1)
        return functional.normalize(self.motion_out(self.drop(both)), dim=-1)

    def embed_text(self, text: Words) -> Tensor:
        """[B, E] of B captions."""
        x = self.word_in(self.drop(text.words)) + self.places[: text.words.shape[1]]
        # a sentence of no known word still needs one place to attend to
        known = text.known | (torch.arange(x.shape[1], device=x.device) == 0)
        x = self.word_norm(self.mix(x, src_key_padding_mask=~known))
        weights = self.weigh(x).masked_fill(~known[..., None], -torch.inf).softmax(1)
        words = self.word_out(self.drop((weights * x).sum(1)))
        # unit vectors of many numbers: scaled so that dropout and the layer see numbers near 1
        sentence = self.sentence_out(self.drop(text.pooled * text.pooled.shape[1] ** 0.5))
        return functional.normalize(words + sentence, dim=-1)


def _within(frames: Tensor, length: int) -> Tensor:
    """[B, length, 1]: 1.0 before the end of each clip, 0.0 behind it."""
    places = torch.arange(length, device=frames.device)
    return (places[None] < frames[:, None]).float()[..., None]


class OwnEvaluator:
    """A trained network with its statistics, skeleton and text encoder."""

    def __init__(
        self,
        network: TextMotionNetwork,
        *,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        skeleton: Skeleton,
        text_encoder: TextEncoder,
        name: str,
        sha256: str = "",
    ) -> None:
        self.network = network.eval()
        self.name, self.sha256, self.skeleton = name, sha256, skeleton
        self.embedding_size = network.config.embedding_size
        self._mean, self._std, self._text_encoder = mean, std, text_encoder

    @torch.inference_mode()
    def embed_motion(self, features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """[B, E] of B clips [T, D], not normalised.

        Raises:
            InputError: A clip of fewer than 4 frames.
        """
        if min(map(len, features), default=FRAMES_PER_STEP) < FRAMES_PER_STEP:
            raise InputError(f"The evaluator needs clips of at least {FRAMES_PER_STEP} frames.")
        columns = read_columns(self.skeleton)
        clips = [((clip - self._mean) / self._std)[:, columns] for clip in features]
        return embed_clips(self.network, clips).cpu().numpy()

    @torch.inference_mode()
    def embed_text(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """[B, E] of B captions."""
        limit = self.network.config.word_limit
        text = Words.of(self._text_encoder.encode(captions, limit, batch_size=_BATCH))
        return embed_captions(self.network, text).cpu().numpy()


def embed_clips(network: TextMotionNetwork, clips: Sequence[NDArray[np.float32]]) -> Tensor:
    """[B, E] of clips [T, D] as the network reads them, some at a time."""
    found = []
    for start in range(0, len(clips), _BATCH):
        motion, frames = padded(clips[start : start + _BATCH])
        device = network.places.device
        found.append(network.embed_motion(motion.to(device), frames.to(device)))
    return torch.cat(found)


def embed_captions(network: TextMotionNetwork, text: Words) -> Tensor:
    """[B, E] of captions, some at a time."""
    device = network.places.device
    found = []
    for start in range(0, len(text.pooled), _BATCH):
        rows = torch.arange(start, min(start + _BATCH, len(text.pooled)))
        found.append(network.embed_text(text.at(rows).to(device)))
    return torch.cat(found)


def read_columns(skeleton: Skeleton) -> NDArray[np.int64]:
    """The feature columns that our evaluator reads."""
    columns = feature_columns(skeleton)
    whole = np.arange(skeleton.feature_size)
    return np.concatenate([whole[columns[name]] for name in _READ])


def padded(clips: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Clips of several lengths as [B, T, D], zero behind their ends, and their frames [B].

    Whole steps of 4 frames only.
    """
    frames = [len(clip) // FRAMES_PER_STEP * FRAMES_PER_STEP for clip in clips]
    motion = np.zeros((len(clips), max(frames), clips[0].shape[1]), dtype=np.float32)
    for row, clip, count in zip(motion, clips, frames, strict=True):
        row[:count] = clip[:count]
    return torch.from_numpy(motion), torch.tensor(frames)


def write_evaluator(
    path: Path,
    network: TextMotionNetwork,
    *,
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    skeleton: Skeleton,
    origin: str,
) -> None:
    """Writes one file: weights, statistics, sizes, skeleton, which text encoder, what it was
    trained on."""
    tensors = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    tensors |= {"statistics.mean": mean, "statistics.std": std}
    content = {
        "network": asdict(network.config),
        "skeleton": skeleton_to_json(skeleton),
        "text_encoder": TEXT_ENCODER,
        "text_encoder_sha256": file_sha256(_text_encoder_file()),
        "origin": origin,
    }
    write_tensors(path, tensors, {"format": FORMAT, "config": json.dumps(content)})


def read_evaluator(path: Path, *, device: str = "cpu") -> OwnEvaluator:
    """Reads what `write_evaluator` wrote.

    Raises:
        CheckpointError: Missing, damaged, not an evaluator of ours, or trained with another text
            encoder than the one that is here.
    """
    stored, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not an evaluator of ours (format {metadata.get('format', 'unknown')!r}); "
            "make one with 'python -m training train-evaluator'."
        )
    try:
        content: dict[str, Any] = json.loads(metadata["config"])
        tensors = {name: torch.from_numpy(np.array(tensor)) for name, tensor in stored.items()}
        mean, std = (tensors.pop(f"statistics.{name}").numpy() for name in ("mean", "std"))
        skeleton = skeleton_from_json(content["skeleton"])
        network = TextMotionNetwork(EvaluatorConfig(**content["network"]))
        network.load_state_dict(tensors)
        wanted = str(content["text_encoder_sha256"])
        if mean.shape != (skeleton.feature_size,) or std.shape != mean.shape:
            raise ValueError(f"statistics of {mean.shape} and {std.shape}")
    except (KeyError, TypeError, ValueError, RuntimeError, InputError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path} is damaged ({reason}); train it again.") from error
    encoder = _text_encoder_file()
    if wanted != file_sha256(encoder):
        raise CheckpointError(
            f"{path} was trained with another text encoder than {encoder} is; train it again."
        )
    return OwnEvaluator(
        network.to(device),
        mean=mean,
        std=std,
        skeleton=skeleton,
        text_encoder=TextEncoder.load(encoder),
        name=f"ours, {content['origin']}",
        sha256=file_sha256(path),
    )


def _text_encoder_file() -> Path:
    return MODELS / f"{TEXT_ENCODER}.safetensors"
