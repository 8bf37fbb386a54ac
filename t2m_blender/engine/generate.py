# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompt -> Motion: the whole story.

A sentence becomes word features; a GPT that has read them writes motion tokens, one at a time,
until it writes End; the VQ-VAE's decoder turns tokens into features, and those become joints. Who
computes the two networks is chosen by `runtime.py`; everything else is NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import Cancelled, CheckpointError, InputError, OutOfMemory
from .features import feature_columns, features_to_joints, rigid_joints
from .model import MODELS, TextToMotion, load_model
from .motion import Motion
from .runtime import choose_runtime
from .sampling import Sampling, token_stream
from .text import TextFeatures, check_prompt

__all__ = [
    "MODELS", "GeneratedMotion", "Request", "TextToMotion", "encode_prompts", "features_to_motion",
    "generate", "generate_batch", "load_model", "sampling_of", "tokens_to_features", "write_tokens",
]  # fmt: skip

SHORTEST_SECONDS = 1.0  # an unasked-for End comes no sooner


@dataclass(frozen=True, eq=False)
class GeneratedMotion:
    """A motion and its recipe.

    Attributes:
        motion: [T, J, 3] at the model's frame rate, facing +z at frame 0, with contacts.
        tokens: [L, Q] the codes it was decoded from, Q levels each.
        prompt, seed, seconds, guidance, temperature: What was asked, defaults filled in; `seconds`
            is None where the model chose the length.
        model_name, model_sha256: Which model made it.
        warnings: What of the prompt could not be used, and where memory was short; a sentence each.
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


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `write_tokens` is asked for: B clips.

    Attributes:
        text: Of the prompts.
        seeds: One a clip.
        frames: Exact length of each; None where the model ends by itself.
        sampling: For all.
    """

    text: TextFeatures
    seeds: Sequence[int]
    frames: Sequence[int | None]
    sampling: Sampling

    def part(self, start: int, stop: int) -> Request:
        """The clips from `start` on, up to `stop`."""
        rows = slice(start, stop)
        return Request(
            text=self.text[rows],
            seeds=self.seeds[rows],
            frames=self.frames[rows],
            sampling=self.sampling,
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
        guidance, temperature: See `Sampling`; None takes the model's default.
        on_progress: Called with (tokens done, most tokens) after each token.
        is_cancelled: Asked before each token.

    Raises:
        InputError: A prompt, seed, length or setting that cannot be used; nothing was generated.
        CheckpointError: The model's skeleton has no bone lengths, and cannot be shown.
        Cancelled: `is_cancelled` said so.
        OutOfMemory: Not even one motion fits, on the CPU.
    """
    if model.checkpoint.skeleton.bone_lengths is None:
        raise CheckpointError(
            f"{model.name} makes motion of {model.checkpoint.skeleton.name}, which can be trained "
            "and measured but not yet be shown on a figure; name a model of humanml3d-22."
        )
    checked = [check_prompt(prompt) for prompt in prompts]
    request = Request(
        text=encode_prompts(checked, model),
        seeds=seeds,
        frames=[_frames_asked(model, length) for length in seconds],
        sampling=sampling_of(model, guidance=guidance, temperature=temperature),
    )
    short_of_memory: list[str] = []
    written = write_tokens(
        request,
        model,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
        on_warning=short_of_memory.append,
    )
    return [
        GeneratedMotion(
            motion=features_to_motion(tokens_to_features(tokens, model)[:frames], model),
            tokens=tokens,
            prompt=prompt,
            seed=seed,
            seconds=length,
            guidance=request.sampling.guidance,
            temperature=request.sampling.temperature,
            model_name=model.name,
            model_sha256=model.checkpoint.sha256,
            warnings=(*model.text_encoder.warnings(prompt, _words_read(model)), *short_of_memory),
        )
        for prompt, seed, length, frames, tokens in zip(
            checked, seeds, seconds, request.frames, written, strict=True
        )
    ]


def encode_prompts(prompts: Sequence[str], model: TextToMotion) -> TextFeatures:
    """The text features of B prompts as the model's GPT reads them."""
    return model.text_encoder.encode(prompts, _words_read(model))


def sampling_of(
    model: TextToMotion, *, guidance: float | None = None, temperature: float | None = None
) -> Sampling:
    """The model's defaults, but for what is given.

    Raises:
        InputError: A number that cannot be used.
    """
    defaults = model.checkpoint.sampling
    return Sampling(
        guidance=_checked_number("guidance", guidance, defaults["guidance"]),
        temperature=_checked_number("temperature", temperature, defaults["temperature"]),
        top_p=defaults["top_p"],
    )


def write_tokens(
    request: Request,
    model: TextToMotion,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> list[NDArray[np.int64]]:
    """The GPT writes every clip's tokens [L, Q]; a clip ends at End, or exactly where asked.

    Where memory is short, fewer clips are written side by side, at last on the CPU; `on_warning` is
    told so. The tokens are the same in whatever company.

    Raises:
        Cancelled, OutOfMemory: See `generate_batch`.
    """
    written: list[NDArray[np.int64]] = []
    clips = len(request.seeds)
    while len(written) < clips:
        start = len(written)
        part = request.part(start, start + model.at_once)
        parts_before, parts = start // model.at_once, math.ceil(clips / model.at_once)

        def tell(done: int, most: int, before: int = parts_before, parts: int = parts) -> None:
            if on_progress is not None:
                on_progress(before * most + done, parts * most)

        try:
            written += _write_part(part, model, tell, is_cancelled)
        except OutOfMemory as error:
            warning = _use_less_memory(model, len(part.seeds), error)
            if on_warning is not None:
                on_warning(warning)
    return written


def tokens_to_features(tokens: NDArray[np.int64], model: TextToMotion) -> NDArray[np.float32]:
    """Features [L * frames_per_token, D] of tokens [L, Q], no longer normalised."""
    decoded = model.runtime.decode(tokens[None])[0]
    return decoded * model.checkpoint.std + model.checkpoint.mean


def features_to_motion(features: NDArray[np.float32], model: TextToMotion) -> Motion:
    """The motion of features [T, D], its bones as long as the model's skeleton has them."""
    skeleton = model.checkpoint.skeleton
    contacts = features[:, feature_columns(skeleton)["contacts"]].clip(0.0, 1.0)
    joints = rigid_joints(features_to_joints(features, skeleton), skeleton)
    return Motion(joints, skeleton.fps, skeleton, contacts)


def _write_part(
    request: Request,
    model: TextToMotion,
    on_token: Callable[[int, int], None],
    is_cancelled: Callable[[], bool] | None,
) -> list[NDArray[np.int64]]:
    """`write_tokens` of clips that are all written side by side."""
    end, limit, levels = model.gpt.end, model.gpt.token_limit, model.gpt.levels
    ends = np.array([limit if n is None else _tokens_of(model, n) for n in request.frames])
    free = np.array([n is None for n in request.frames])
    earliest = _tokens_of(model, round(SHORTEST_SECONDS * model.checkpoint.skeleton.fps))
    chances = np.stack([token_stream(seed, limit, levels) for seed in request.seeds], axis=2)
    written = np.zeros((len(ends), int(ends.max()), levels), dtype=np.int64)
    writing = model.runtime.begin(request.text, request.sampling)
    for place in range(written.shape[1]):
        if is_cancelled is not None and is_cancelled():
            raise Cancelled("The generation was cancelled; nothing was changed.")
        drawn = writing.draw(chances[place], free & (place >= earliest))
        ended = drawn[:, 0] == end
        ends = np.where(ended & (place < ends), place, ends)
        written[:, place] = np.where(ended[:, None], 0, drawn)
        on_token(place + 1, written.shape[1])
        if place + 1 >= ends.max():
            break
        writing.append(written[:, place])
    return [row[:last] for row, last in zip(written, ends, strict=True)]


def _use_less_memory(model: TextToMotion, tried: int, error: OutOfMemory) -> str:
    """Fewer clips at once, or at last the CPU; the sentence that says so.

    Raises:
        OutOfMemory: There is nothing left to try.
    """
    model.runtime.release()
    if tried > 1:
        model.at_once = tried // 2
        return f"The memory was full with {tried} motions at once: {model.at_once} from now on."
    if model.choice.device == "cpu":
        raise OutOfMemory(
            f"The memory is full ({error}): close other programs, or use a smaller model."
        ) from error
    full = model.choice.device
    choice = choose_runtime(model.gpt, device="cpu")
    model.use(replace(choice, reason=f"the memory of '{full}' was full"))
    return f"The memory of '{full}' was full: the CPU computes from now on, more slowly."


def _tokens_of(model: TextToMotion, frames: int) -> int:
    return math.ceil(frames / model.frames_per_token)


def _words_read(model: TextToMotion) -> int:
    return model.gpt.word_limit or model.text_encoder.token_limit


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
