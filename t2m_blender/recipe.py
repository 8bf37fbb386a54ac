# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user asks of one motion, read from an option or a row of a batch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine.errors import InputError
from .engine.generated import Part, prompt_of
from .engine.sampling import SEED_LIMIT
from .engine.text import check_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .engine.generate import GeneratedMotion, TextToMotion

__all__ = [
    "Recipe", "RigFile", "check_recipe", "make_motions", "read_count", "read_number", "read_parts",
    "read_rig", "read_seconds", "read_seed",
]  # fmt: skip

_RIG = re.compile(r"(?P<file>.+\.(?:blend|fbx|glb|gltf))(?::(?P<object>.+))?", re.IGNORECASE)
_LENGTH = re.compile(r"(?P<prompt>.*?)\s*@\s*(?P<seconds>[\d.]+)\s*s?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class RigFile:
    """The armature that is to move.

    Attributes:
        file: It is in; None for the file that is open in Blender.
        object: Its name; None for the only one in the file.
    """

    file: Path | None
    object: str | None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.object) if part is not None)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One motion, but for the model that makes it.

    Attributes:
        parts: Prompts in a row, from `read_parts`.
        seed: Of the clip's own random numbers.
        frames: Keyed frames at the scene's rate where they were asked for; `parts` agrees.
        guidance, temperature: None takes the model's own.
        loop, in_place, foot_lock: See `engine.generate.Settings`.
        rig: That is to move; None for the add-on's own figure.
    """

    parts: tuple[Part, ...]
    seed: int = 0
    frames: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    loop: bool = False
    in_place: bool = False
    foot_lock: bool = True
    rig: RigFile | None = None

    def with_length(self, seconds: float) -> Recipe:
        """With the length of a motion of one prompt.

        Raises:
            InputError: The prompt has a length, or there are several prompts.
        """
        if len(self.parts) > 1:
            raise InputError('Of several prompts each has its own length: write "...@2.5".')
        if self.parts[0].seconds is not None:
            raise InputError(
                f'"@{self.parts[0].seconds:g}" in the prompt and {seconds:g} s both name the '
                "length: give one of them."
            )
        return replace(self, parts=(replace(self.parts[0], seconds=seconds),))

    def with_default_length(self, seconds: float | None) -> Recipe:
        """With a length, if there is one prompt that has none; else without its frames."""
        if len(self.parts) > 1 or self.parts[0].seconds is not None:
            return replace(self, frames=None)
        return self if seconds is None else self.with_length(seconds)

    def takes(self, count: int) -> list[Recipe]:
        """So many of different seeds, this one's first.

        Raises:
            InputError: The seeds end before.
        """
        return [replace(self, seed=read_seed(self.seed + take)) for take in range(count)]

    def as_json(self) -> dict[str, Any]:
        """For a manifest: nothing that another recipe has not, and the same for the same motion."""
        lengths = [part.seconds for part in self.parts]
        several = len(self.parts) > 1
        return {
            "prompt": prompt_of(self.parts),
            "parts": [[part.prompt, part.seconds] for part in self.parts] if several else [],
            "seed": self.seed,
            "seconds": None if None in lengths else sum(filter(None, lengths)),
            "frames": self.frames,
            "guidance": self.guidance,
            "temperature": self.temperature,
            "loop": self.loop,
            "in_place": self.in_place,
            "foot_lock": self.foot_lock,
            "rig": None if self.rig is None else str(self.rig),
        }


def check_recipe(recipe: Recipe, model: TextToMotion) -> None:
    """Whether the model can make it.

    Raises:
        InputError: It cannot.
    """
    from .engine.generate import check_parts

    check_parts(recipe.parts, model, loop=recipe.loop)


def make_motions(
    recipes: Sequence[Recipe],
    model: TextToMotion,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[GeneratedMotion]:
    """Generate motions side by side.

    Args:
        recipes: Alike in guidance, temperature, loop, in_place and foot_lock: those of one line.
        model: From `load_model`.
        on_progress: See `engine.generate.Settings`.

    Raises:
        InputError: The model cannot make one of them.
    """
    from .engine.generate import generate_sequences

    first = recipes[0]
    return generate_sequences(
        [recipe.parts for recipe in recipes],
        model=model,
        seeds=[recipe.seed for recipe in recipes],
        guidance=first.guidance,
        temperature=first.temperature,
        loop=first.loop,
        in_place=first.in_place,
        foot_lock=first.foot_lock,
        on_progress=on_progress,
    )


def read_parts(prompts: Sequence[str]) -> tuple[Part, ...]:
    """Read prompts in a row, each with or without its length: "a man walks@2.5"."""
    return tuple(_read_part(prompt) for prompt in prompts)


def _read_part(value: str) -> Part:
    found = _LENGTH.fullmatch(value.rstrip())
    if found is None:
        return Part(check_prompt(value))
    return Part(check_prompt(found["prompt"]), read_seconds(found["seconds"]))


def read_rig(value: object, folder: Path = Path()) -> RigFile:
    """Read FILE.blend[:OBJECT], FILE.fbx, FILE.glb, or the name of an object in the open file.

    Args:
        value: As written.
        folder: In which a relative path begins.

    Raises:
        InputError: No such file.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"The rig is {value!r}: name a file, such as hero.blend:Armature.")
    found = _RIG.fullmatch(value.strip())
    if found is None:
        return RigFile(file=None, object=value.strip())
    path = folder / found["file"]
    if not path.is_file():
        raise InputError(f"There is no rig {path}: name a .blend, .fbx or .glb file.")
    return RigFile(file=path, object=found["object"])


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
