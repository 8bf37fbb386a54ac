# SPDX-License-Identifier: GPL-3.0-or-later
"""The value that the model's work ends in: a motion and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .motion import Motion
from .postprocess import finished, hold_feet_within

__all__ = ["GeneratedMotion", "Part", "prompt_of"]


@dataclass(frozen=True)
class Part:
    """One sentence of a motion, and how long it lasts; None lets the model end it."""

    prompt: str
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class GeneratedMotion:
    """A motion and its recipe.

    Attributes:
        motion: [T, J, 3] at the model's frame rate, with contacts, as the model made it: it
            travels, and its feet come as they come. Rigs take this one and hold their own feet;
            `finished` is the one to show. It faces +z at frame 0 unless it continues another.
        tokens: [L, Q] the codes it was decoded from, Q levels each.
        prompt, seed, seconds, guidance, temperature: What was asked, defaults filled in; `seconds`
            is None where the model chose the length.
        model_name, model_sha256: Which model made it.
        warnings: What of the prompt could not be used, and where memory was short; a sentence each.
        parts: Prompts in a row; empty where there is one.
        loop, in_place, foot_lock: See `postprocess.finished`.
        lead: The frames before, where it continues a motion.
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
    parts: tuple[Part, ...] = ()
    loop: bool = False
    in_place: bool = False
    foot_lock: bool = True
    lead: Motion | None = None

    @cached_property
    def finished(self) -> Motion:
        """The motion to show: feet held, the way taken out, as was asked."""
        if self.lead is None:
            return finished(
                self.motion, foot_lock=self.foot_lock, loop=self.loop, in_place=self.in_place
            )
        if not self.foot_lock:
            return self.motion
        start = self.lead.frames
        joints = np.concatenate((self.lead.joints, self.motion.joints))
        whole = Motion(joints, self.motion.fps, self.motion.skeleton)
        held = hold_feet_within(whole, start, whole.frames)
        contacts = None if held.contacts is None else held.contacts[start:]
        return Motion(held.joints[start:], held.fps, held.skeleton, contacts)


def prompt_of(parts: Sequence[Part]) -> str:
    """The prompts of all parts as one sentence."""
    return ", then ".join(part.prompt for part in parts)
