# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion that goes on: read back as tokens, continued by the model, joined without a seam."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .decoding import check_shown, read_tokens, tokens_to_features
from .errors import InputError
from .features import features_to_joints
from .generated import GeneratedMotion
from .joining import Performer, bent, local_features, placed_on
from .model import TextToMotion
from .motion import Motion
from .passages import LONGEST_SECONDS, Passage, write_passages
from .rotations import Array
from .text import check_prompt
from .writing import encode_prompts, prompt_warnings, sampling_of

__all__ = ["READ_SECONDS", "continue_motion", "end_of"]

READ_SECONDS = 3.2
"""How much of a motion is read where another one meets it."""


def continue_motion(
    motion: Motion,
    prompt: str,
    *,
    model: TextToMotion,
    seed: int = 0,
    seconds: float | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    foot_lock: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> GeneratedMotion:
    """What comes after a motion.

    Args:
        motion: Any; only its last seconds are read.
        prompt: What the character does next.
        model: From `load_model`, of the same skeleton.
        seed: Of chance.
        seconds: Exact length of what is new; None lets the model end by itself.
        guidance, temperature, foot_lock, on_progress, is_cancelled: See `generate.Settings`.

    Returns:
        The new frames only, at the model's frame rate: the first one is the next after the
        motion's last, which it meets in pose, speed, place and heading.

    Raises:
        InputError: As of `generate_sequences`, or a motion of another skeleton.
        CheckpointError, Cancelled, OutOfMemory: See `generate_sequences`.
    """
    check_shown(model)
    checked = check_prompt(prompt)
    skeleton, size = model.checkpoint.skeleton, model.frames_per_token
    frames = None if seconds is None else round(seconds * skeleton.fps)
    if frames is not None and not 1 <= frames <= LONGEST_SECONDS * skeleton.fps:
        raise InputError(
            f"A length of {seconds:g} s cannot be made; ask for {1 / skeleton.fps:g} to "
            f"{LONGEST_SECONDS:g} seconds."
        )
    sampling = sampling_of(model, guidance=guidance, temperature=temperature)
    performer = Performer.of(motion, skeleton)
    end = end_of(motion, READ_SECONDS, skeleton.fps)
    ready = performer.to_model(end.joints)
    ready = ready[len(ready) % size :] if len(ready) > size else _longer(ready, size)
    past, facing = read_tokens(ready, model)
    short_of_memory: list[str] = []
    (pieces,) = write_passages(
        [[Passage(0, None if frames is None else math.ceil(frames / size))]],
        encode_prompts([checked], model),
        model=model,
        seeds=[seed],
        sampling=sampling,
        before=past,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
        on_warning=short_of_memory.append,
    )
    tokens = pieces[0]
    count = len(tokens) * size if frames is None else frames
    before = len(past) * size
    features = tokens_to_features(np.concatenate((past, tokens)), model)
    features = features[before - 1 : before + count].astype(np.float64)
    last = local_features(ready, skeleton, facing)[-2:]
    joined = bent(features, fps=skeleton.fps, start=(last[-1], last[-1] - last[0]))
    joints = placed_on(features_to_joints(joined, skeleton), 0, ready[-1])[1:]
    made = Motion(performer.from_model(joints), skeleton.fps, motion.skeleton)
    return GeneratedMotion(
        motion=made,
        tokens=tokens,
        prompt=checked,
        seed=seed,
        seconds=seconds,
        guidance=sampling.guidance,
        temperature=sampling.temperature,
        model_name=model.name,
        model_sha256=model.checkpoint.sha256,
        warnings=(*prompt_warnings([checked], model), *short_of_memory),
        foot_lock=foot_lock,
        lead=end,
    )


def end_of(motion: Motion, seconds: float, fps: float) -> Motion:
    """The last seconds of a motion at another frame rate, its last frame the last one."""
    frames = min(round(seconds * motion.fps) + 1, motion.frames)
    contacts = None if motion.contacts is None else motion.contacts[-frames:]
    end = Motion(motion.joints[-frames:], motion.fps, motion.skeleton, contacts)
    if motion.fps == fps:
        return end
    return end.resampled(max(round((frames - 1) * fps / motion.fps), 0) + 1, fps)


def _longer(joints: Array, frames: int) -> Array:
    """The first pose held so long that there are so many frames."""
    return np.concatenate((np.repeat(joints[:1], frames - len(joints), axis=0), joints))
