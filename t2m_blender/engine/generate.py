# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompt -> Motion: the whole story.

A sentence becomes word features; a GPT that has read them writes motion tokens, one at a time,
until it writes End or the length asked for is reached; the VQ-VAE's decoder turns tokens into
features, and those become joints. Who computes the two networks is chosen by `runtime.py`;
everything else is NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np

from .continuing import continue_motion
from .decoding import check_shown, features_to_motion, tokens_to_features
from .errors import InputError
from .generated import GeneratedMotion, Part, prompt_of
from .looping import SHORTEST_LOOP, looped, tokens_for_loop
from .model import MODELS, TextToMotion, load_model
from .passages import LONGEST_SECONDS, Passage, write_passages
from .repairing import repair_motion
from .text import check_prompt
from .writing import Request, encode_prompts, prompt_warnings, sampling_of, write_tokens

__all__ = [
    "MODELS", "GeneratedMotion", "Part", "Request", "Settings", "TextToMotion", "check_parts",
    "continue_motion", "encode_prompts", "features_to_motion", "generate", "generate_batch",
    "generate_sequence", "generate_sequences", "load_model", "repair_motion", "sampling_of",
    "tokens_to_features", "write_tokens",
]  # fmt: skip


class Settings(TypedDict, total=False):
    """What every way of generating may be given.

    Attributes:
        guidance, temperature: See `Sampling`; None takes the model's default.
        loop: The last pose is the first one, moved on, and moves as fast.
        in_place, foot_lock: Of the motion as it is shown; see `GeneratedMotion.finished`.
        on_progress: Called with (tokens done, most tokens) after each token.
        is_cancelled: Asked before each token.
    """

    guidance: float | None
    temperature: float | None
    loop: bool
    in_place: bool
    foot_lock: bool
    on_progress: Callable[[int, int], None] | None
    is_cancelled: Callable[[], bool] | None


def generate(
    prompt: str,
    *,
    model: TextToMotion,
    seed: int = 0,
    seconds: float | None = None,
    **settings: Unpack[Settings],
) -> GeneratedMotion:
    """One motion from one prompt; see `generate_sequences`."""
    return generate_sequence([Part(prompt, seconds)], model=model, seed=seed, **settings)


def generate_sequence(
    parts: Sequence[Part], *, model: TextToMotion, seed: int = 0, **settings: Unpack[Settings]
) -> GeneratedMotion:
    """One motion from several prompts in a row; see `generate_sequences`."""
    return generate_sequences([parts], model=model, seeds=[seed], **settings)[0]


def generate_batch(
    prompts: Sequence[str],
    *,
    model: TextToMotion,
    seeds: Sequence[int],
    seconds: Sequence[float | None],
    **settings: Unpack[Settings],
) -> list[GeneratedMotion]:
    """B motions from B prompts, side by side; see `generate_sequences`."""
    sequences = [[Part(*one)] for one in zip(prompts, seconds, strict=True)]
    return generate_sequences(sequences, model=model, seeds=seeds, **settings)


def generate_sequences(
    sequences: Sequence[Sequence[Part]],
    *,
    model: TextToMotion,
    seeds: Sequence[int],
    guidance: float | None = None,
    temperature: float | None = None,
    loop: bool = False,
    in_place: bool = False,
    foot_lock: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> list[GeneratedMotion]:
    """B motions, side by side, of one or more prompts each; each depends on its own seed only.

    Args:
        sequences: What the character does, in English: the parts of each motion, one after the
            other. T = round(fps * seconds) of all parts together where all have a length; a part
            that has none ends where the model ends it.
        model: From `load_model`.
        seeds: One a motion.
        guidance, temperature, loop, in_place, foot_lock, on_progress, is_cancelled: See `Settings`.

    Raises:
        InputError: A prompt, seed, length or setting that cannot be used; nothing was generated.
        CheckpointError: The model's skeleton has no bone lengths, and cannot be shown.
        Cancelled: `is_cancelled` said so.
        OutOfMemory: Not even one motion fits, on the CPU.
    """
    check_shown(model)
    checked = [[Part(check_prompt(p.prompt), p.seconds) for p in parts] for parts in sequences]
    sentences = list(dict.fromkeys(part.prompt for parts in checked for part in parts))
    plans = [_plan(parts, sentences, model, loop=loop) for parts in checked]
    sampling = sampling_of(model, guidance=guidance, temperature=temperature)
    short_of_memory: list[str] = []
    written = write_passages(
        [plan.passages for plan in plans],
        encode_prompts(sentences, model),
        model=model,
        seeds=seeds,
        sampling=sampling,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
        on_warning=short_of_memory.append,
    )
    made = []
    for parts, plan, seed, pieces in zip(checked, plans, seeds, written, strict=True):
        tokens = np.concatenate(pieces)
        if loop:
            tokens, features = looped(tokens, plan.frames, model)
        else:
            features = tokens_to_features(tokens, model)
            features = features[: len(features) - plan.surplus]
        lengths = [part.seconds for part in parts if part.seconds is not None]
        made.append(
            GeneratedMotion(
                motion=features_to_motion(features, model),
                tokens=tokens,
                prompt=prompt_of(parts),
                seed=seed,
                seconds=sum(lengths) if len(lengths) == len(parts) else None,
                guidance=sampling.guidance,
                temperature=sampling.temperature,
                model_name=model.name,
                model_sha256=model.checkpoint.sha256,
                warnings=(
                    *prompt_warnings([part.prompt for part in parts], model),
                    *short_of_memory,
                ),
                parts=tuple(parts) if len(parts) > 1 else (),
                loop=loop,
                in_place=in_place,
                foot_lock=foot_lock,
            )
        )
    return made


def check_parts(parts: Sequence[Part], model: TextToMotion, *, loop: bool = False) -> None:
    """Whether one motion of such prompts and lengths can be asked for.

    Raises:
        InputError: What is wrong with them.
    """
    check_shown(model)
    checked = [Part(check_prompt(part.prompt), part.seconds) for part in parts]
    _plan(checked, [part.prompt for part in checked], model, loop=loop)


@dataclass(frozen=True)
class _Plan:
    """How a motion is written.

    Attributes:
        passages: In a row.
        surplus: Frames of the last token that are too many.
        frames: Of the whole motion; None where the model chooses.
    """

    passages: list[Passage]
    surplus: int
    frames: int | None


def _plan(
    parts: Sequence[Part], sentences: Sequence[str], model: TextToMotion, *, loop: bool
) -> _Plan:
    """Tokens for every part: boundaries between parts fall on the nearest token."""
    fps, size = model.checkpoint.skeleton.fps, model.frames_per_token
    _check_lengths(parts, shortest=SHORTEST_LOOP if loop else 1 / fps, token=size / fps)
    asked, done, seconds = 0, 0, 0.0  # since a part that the model ended
    counts: list[int | None] = []
    for number, part in enumerate(parts, start=1):
        if part.seconds is None:
            asked, done, seconds = 0, 0, 0.0
            counts.append(None)
            continue
        seconds += part.seconds
        asked = max(round(seconds * fps), 1)
        tokens = math.ceil(asked / size) if number == len(parts) else round(asked / size)
        counts.append(tokens - done)
        done = tokens
    surplus = done * size - asked
    frames = None if None in counts else asked
    if loop and frames is not None and counts[-1] is not None:
        counts[-1] += tokens_for_loop(frames, model) - done
    rows = [sentences.index(part.prompt) for part in parts]
    passages = [Passage(row, count) for row, count in zip(rows, counts, strict=True)]
    return _Plan(passages, surplus, frames)


def _check_lengths(parts: Sequence[Part], *, shortest: float, token: float) -> None:
    if not parts:
        raise InputError("There is no prompt: write what the character does.")
    lengths = [part.seconds for part in parts if part.seconds is not None]
    for seconds in lengths:
        if len(parts) > 1 and not seconds >= token:
            raise InputError(
                f"A part of {seconds:g} s is too short beside others; give it {token:g} s or more."
            )
    whole = sum(lengths)
    least = shortest if len(lengths) == len(parts) else 0.0
    if not (math.isfinite(whole) and least <= whole <= LONGEST_SECONDS):
        raise InputError(
            f"A length of {whole:g} s cannot be made; ask for {shortest:g} to "
            f"{LONGEST_SECONDS:g} seconds."
        )
