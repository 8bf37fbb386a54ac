# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user asks of one motion, read from an option or a row of a batch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .engine.errors import InputError
from .engine.sampling import SEED_LIMIT
from .engine.text import check_prompt

if TYPE_CHECKING:
    from .engine.generate import GeneratedMotion, TextToMotion

__all__ = ["Recipe", "read_count", "read_number", "read_prompt", "read_seconds", "read_seed"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One motion, but for the model that makes it.

    Attributes:
        prompt: From `read_prompt`.
        seed: Of the clip's own random numbers.
        seconds: Length; None lets the model choose.
        frames: Keyed frames at the scene's rate where they were asked for; `seconds` agrees.
        guidance, temperature: None takes the model's own.
    """

    prompt: str
    seed: int = 0
    seconds: float | None = None
    frames: int | None = None
    guidance: float | None = None
    temperature: float | None = None

    def make(
        self, model: TextToMotion, *, on_progress: Callable[[int, int], None] | None = None
    ) -> GeneratedMotion:
        """Generate the motion.

        Raises:
            InputError: The model cannot make it.
        """
        from .engine.generate import generate

        return generate(
            self.prompt,
            model=model,
            seed=self.seed,
            seconds=self.seconds,
            guidance=self.guidance,
            temperature=self.temperature,
            on_progress=on_progress,
        )


def read_prompt(value: str) -> str:
    """Read a sentence, without a length at its end."""
    prompt = check_prompt(value)
    if re.search(r"@\s*[\d.]+\s*s?$", prompt):
        raise InputError(
            'A length in the prompt ("...@2.5") is not built yet: use --seconds, or in a batch '
            "the row's own seconds."
        )
    return prompt


def read_seed(value: object) -> int:
    """Read a seed: a whole number from 0 to 2^63 - 1."""
    seed = _whole("seed", value)
    if not 0 <= seed < SEED_LIMIT:
        raise InputError(f"The seed is {seed}: give a whole number from 0 to {SEED_LIMIT - 1}.")
    return seed


def read_count(name: str, value: object) -> int:
    """Read a number of things: a whole number from 1."""
    count = _whole(name, value)
    if count < 1:
        raise InputError(f"The number of {name} is {count}: give 1 or more.")
    return count


def read_seconds(value: object) -> float:
    """Read a length: a finite number above 0."""
    seconds = read_number("length", value)
    if seconds <= 0:
        raise InputError(f"The length is {seconds:g} s: give seconds above 0, such as 4.")
    return seconds


def read_number(name: str, value: object) -> float:
    """Read a finite number, from 0."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(f"The {name} is {value!r}: give a number.")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"The {name} is {_short(value)}: give a finite number, such as 4 or 2.5.")
    if number < 0:
        raise InputError(f"The {name} is {number:g}: give a number that is not negative.")
    return number


def _whole(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(str(value))
    except ValueError:
        raise InputError(f"The {name} is {_short(value)}: give a whole number.") from None


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:40] + "...")
