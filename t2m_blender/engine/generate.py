# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompt -> Motion: the whole story.

A sentence becomes word features; a GPT that has read them writes motion tokens, one at a time,
until it writes End; the VQ-VAE's decoder turns tokens into features, and those become joints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .checkpoint import Checkpoint, read_checkpoint
from .errors import Cancelled, CheckpointError, InputError
from .features import feature_columns, features_to_joints, rigid_joints
from .gpt import GPT, GPTConfig, TextCondition
from .motion import Motion
from .sampling import draw_tokens, token_stream
from .text import TextEncoder, check_prompt
from .vqvae import VQVAE, VQVAEConfig

MODELS = Path(__file__).resolve().parents[1] / "models"
DEFAULT_MODEL = "default"
SHORTEST_SECONDS = 1.0  # an unasked-for End comes no sooner


@dataclass(frozen=True, eq=False)
class TextToMotion:
    """A loaded model, ready to generate on one device."""

    name: str
    checkpoint: Checkpoint
    text_encoder: TextEncoder
    gpt: GPT
    vqvae: VQVAE
    device: torch.device

    @property
    def longest_seconds(self) -> float:
        """The longest motion that the model writes in one go."""
        return self.gpt.config.token_limit * self.frames_per_token / self.checkpoint.skeleton.fps

    @property
    def frames_per_token(self) -> int:
        return self.vqvae.config.frames_per_token


@dataclass(frozen=True, eq=False)
class GeneratedMotion:
    """A motion and its recipe.

    Attributes:
        motion: [T, J, 3] at the model's frame rate, facing +z at frame 0, with contacts.
        tokens: [L, Q] the codes it was decoded from, Q levels each.
        prompt, seed, seconds, guidance, temperature: What was asked, defaults filled in; `seconds`
            is None where the model chose the length.
        model_name, model_sha256: Which model made it.
        warnings: What of the prompt could not be used, a sentence each.
    """

    motion: Motion
    tokens: NDArray[np.int64]
    prompt: str
    seed: int
    seconds: float | None
    guidance: float
    temperature: float
    model_name: str
    model_sha256: str
    warnings: tuple[str, ...]


def load_model(name_or_path: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> TextToMotion:
    """Loads an embedded model by name, or a model file by its path.

    Raises:
        CheckpointError: No such model, or a damaged one.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = MODELS / f"{name_or_path}.safetensors"
        if not path.is_file():
            known = sorted(p.stem for p in MODELS.glob("*.safetensors") if p.stem != "minilm")
            raise CheckpointError(
                f"There is no model named '{name_or_path}'; use {' or '.join(known) or 'a path'}, "
                "or the path of a .safetensors file."
            )
    checkpoint = read_checkpoint(path)
    if checkpoint.skeleton.bone_lengths is None:
        raise CheckpointError(
            f"{path} makes motion of {checkpoint.skeleton.name}, which can be trained and measured "
            "but not yet be shown on a figure; name a model of humanml3d-22."
        )
    try:
        vqvae = VQVAE(VQVAEConfig(**checkpoint.vqvae))
        gpt = GPT(GPTConfig(**checkpoint.gpt))
        for network, prefix in ((vqvae, "vqvae."), (gpt, "gpt.")):
            network.load_state_dict(_tensors_under(prefix, checkpoint))
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path} does not fit its own configuration: {reason}") from error
    text_encoder = TextEncoder.load(MODELS / f"{checkpoint.text_encoder}.safetensors")
    if text_encoder.feature_size != gpt.config.text_size:
        raise CheckpointError(
            f"{path} reads text features of {gpt.config.text_size} numbers, but the encoder "
            f"'{checkpoint.text_encoder}' makes {text_encoder.feature_size}."
        )
    target = torch.device(device)
    return TextToMotion(
        name=path.stem,
        checkpoint=checkpoint,
        text_encoder=text_encoder,
        gpt=gpt.eval().to(target),
        vqvae=vqvae.eval().to(target),
        device=target,
    )


def generate(
    prompt: str,
    *,
    model: TextToMotion,
    seed: int = 0,
    seconds: float | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> GeneratedMotion:
    """One motion from one prompt; see `generate_batch`."""
    return generate_batch(
        [prompt],
        model=model,
        seeds=[seed],
        seconds=[seconds],
        guidance=guidance,
        temperature=temperature,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
    )[0]


@torch.inference_mode()
def generate_batch(
    prompts: Sequence[str],
    *,
    model: TextToMotion,
    seeds: Sequence[int],
    seconds: Sequence[float | None],
    guidance: float | None = None,
    temperature: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> list[GeneratedMotion]:
    """B motions from B prompts, side by side; each depends on its own seed only.

    Args:
        prompts: What the character does, in English.
        model: From `load_model`.
        seeds: One a prompt.
        seconds: Exact length of each, T = round(fps * seconds); None lets the model end by itself.
        guidance: Classifier-free guidance (Ho & Salimans, 2022): 1 takes the text as it is, more
            follows it more closely; None takes the model's default.
        temperature: Of the sampling; 0 always takes the likeliest token; None as above.
        on_progress: Called with (tokens done, most tokens) after each token.
        is_cancelled: Asked before each token.

    Raises:
        InputError: A prompt, seed, length or setting that cannot be used; nothing was generated.
        Cancelled: `is_cancelled` said so.
    """
    checked = [check_prompt(prompt) for prompt in prompts]
    lengths = [_frames_asked(model, length) for length in seconds]
    sampling = model.checkpoint.sampling
    guidance = _checked_number("guidance", guidance, sampling["guidance"])
    temperature = _checked_number("temperature", temperature, sampling["temperature"])
    shape = (model.gpt.config.token_limit, model.gpt.config.levels)
    chances = np.stack([token_stream(seed, *shape) for seed in seeds], axis=2)

    condition = encode_prompts(checked, model)
    written = _write_tokens(
        condition, chances, lengths, model, guidance, temperature, on_progress, is_cancelled
    )
    return [
        GeneratedMotion(
            motion=tokens_to_motion(tokens, model, frames),
            tokens=tokens,
            prompt=prompt,
            seed=seed,
            seconds=length,
            guidance=guidance,
            temperature=temperature,
            model_name=model.name,
            model_sha256=model.checkpoint.sha256,
            warnings=model.text_encoder.warnings(prompt, _words_read(model)),
        )
        for prompt, seed, length, frames, tokens in zip(
            checked, seeds, seconds, lengths, written, strict=True
        )
    ]


def encode_prompts(prompts: Sequence[str], model: TextToMotion) -> TextCondition:
    """The text features of B prompts as the model's GPT reads them."""
    features = model.text_encoder.encode(prompts, _words_read(model))
    words = model.gpt.config.word_limit
    pooled, tokens, known = (
        torch.from_numpy(array).to(model.device)
        for array in (features.pooled, features.tokens[:, :words], features.mask[:, :words])
    )
    return TextCondition(pooled, tokens, known)


def tokens_to_motion(
    tokens: NDArray[np.int64], model: TextToMotion, frames: int | None = None
) -> Motion:
    """The motion of tokens [L, Q]: L * frames_per_token frames, or the first `frames` of them."""
    with torch.inference_mode():
        decoded = model.vqvae.decode(torch.from_numpy(tokens).to(model.device)[None])[0]
    checkpoint = model.checkpoint
    features = decoded.float().cpu().numpy()[:frames] * checkpoint.std + checkpoint.mean
    contacts = features[:, feature_columns(checkpoint.skeleton)["contacts"]].clip(0.0, 1.0)
    joints = rigid_joints(features_to_joints(features, checkpoint.skeleton), checkpoint.skeleton)
    return Motion(joints, checkpoint.skeleton.fps, checkpoint.skeleton, contacts)


def _write_tokens(
    condition: TextCondition,
    chances: NDArray[np.float64],
    lengths: Sequence[int | None],
    model: TextToMotion,
    guidance: float,
    temperature: float,
    on_progress: Callable[[int, int], None] | None,
    is_cancelled: Callable[[], bool] | None,
) -> list[NDArray[np.int64]]:
    """The GPT writes every clip's tokens; a clip ends at End, or exactly where asked."""
    config = model.gpt.config
    batch = len(lengths)
    ends = np.array([config.token_limit if n is None else _tokens_of(model, n) for n in lengths])
    free = np.array([n is None for n in lengths])
    earliest = _tokens_of(model, round(SHORTEST_SECONDS * model.checkpoint.skeleton.fps))
    guided = guidance != 1.0
    if guided:
        condition = condition.followed_by(condition.without_text())

    def draw(logits: torch.Tensor, place: int, level: int) -> NDArray[np.int64]:
        if guided:
            with_text, without_text = logits.chunk(2)
            logits = without_text + guidance * (with_text - without_text)
        scores = logits.float().cpu().numpy()
        if level == 0:
            scores[~free | (place < earliest), config.end] = -np.inf
        return draw_tokens(
            scores,
            chances[place, level],
            temperature=temperature,
            top_p=model.checkpoint.sampling["top_p"],
        )

    def following(tokens: NDArray[np.int64]) -> torch.Tensor:
        tensor = torch.from_numpy(tokens).to(model.device)
        return tensor.repeat(2, *[1] * (tensor.ndim - 1)) if guided else tensor

    written = np.zeros((batch, int(ends.max()), config.levels), dtype=np.int64)
    hidden, cache = model.gpt.begin(condition)
    for place in range(written.shape[1]):
        if is_cancelled is not None and is_cancelled():
            raise Cancelled("The generation was cancelled; nothing was changed.")
        drawn = draw(model.gpt.head(hidden), place, 0)
        ends = np.where((drawn == config.end) & (place < ends), place, ends)
        written[:, place, 0] = np.where(drawn == config.end, 0, drawn)
        for level, refiner in enumerate(model.gpt.refiners, start=1):
            hidden, logits = refiner(hidden, following(written[:, place, level - 1]))
            written[:, place, level] = draw(logits, place, level)
        if on_progress is not None:
            on_progress(place + 1, written.shape[1])
        if place + 1 >= ends.max():
            break
        hidden = model.gpt.step(following(written[:, place]), cache)
    return [row[:end] for row, end in zip(written, ends, strict=True)]


def _tensors_under(prefix: str, checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {
        name[len(prefix) :]: torch.from_numpy(np.array(tensor))
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(prefix)
    }


def _tokens_of(model: TextToMotion, frames: int) -> int:
    return math.ceil(frames / model.frames_per_token)


def _words_read(model: TextToMotion) -> int:
    return model.gpt.config.word_limit or model.text_encoder.token_limit


def _frames_asked(model: TextToMotion, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    fps = model.checkpoint.skeleton.fps
    if not math.isfinite(seconds) or not 1 / fps <= seconds <= model.longest_seconds:
        raise InputError(
            f"A length of {seconds:g} s cannot be made; ask for {1 / fps:g} to "
            f"{model.longest_seconds:g} seconds."
        )
    return round(seconds * fps)


def _checked_number(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if not (math.isfinite(value) and 0.0 <= value <= 100.0):
        raise InputError(f"The {name} is {value:g}; give a number from 0 to 100.")
    return float(value)
