# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPT writes tokens: one window of them for many clips side by side, in the memory there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import Cancelled, InputError, OutOfMemory
from .model import TextToMotion
from .runtime import choose_runtime
from .sampling import Sampling, token_stream
from .text import TextFeatures

__all__ = [
    "IsCancelled", "OnProgress", "OnWarning", "Request", "Tokens", "encode_prompts",
    "prompt_warnings", "sampling_of", "write_tokens",
]  # fmt: skip

SHORTEST_SECONDS = 1.0  # an unasked-for End comes no sooner

Tokens = NDArray[np.int64]
OnProgress = Callable[[int, int], None]
IsCancelled = Callable[[], bool]
OnWarning = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `write_tokens` is asked for: B clips.

    Attributes:
        text: Of the prompts.
        seeds: One a clip.
        frames: Exact length of each; None where the model ends by itself.
        sampling: For all.
        prefixes: Tokens [P, Q] that each clip goes on from; empty where all begin.
        numbers: Of the clip's stream of chance, the place of its first new token; empty for 0.
    """

    text: TextFeatures
    seeds: Sequence[int]
    frames: Sequence[int | None]
    sampling: Sampling
    prefixes: Sequence[Tokens] = ()
    numbers: Sequence[int] = ()

    def part(self, start: int, stop: int) -> Request:
        """The clips from `start` on, up to `stop`."""
        rows = slice(start, stop)
        return Request(
            text=self.text[rows],
            seeds=self.seeds[rows],
            frames=self.frames[rows],
            sampling=self.sampling,
            prefixes=self.prefixes[rows],
            numbers=self.numbers[rows],
        )


def encode_prompts(prompts: Sequence[str], model: TextToMotion) -> TextFeatures:
    """The text features of B prompts as the model's GPT reads them."""
    return model.text_encoder.encode(prompts, _words_read(model))


def prompt_warnings(prompts: Sequence[str], model: TextToMotion) -> list[str]:
    """What of the prompts cannot be used, a sentence each."""
    found = [w for p in prompts for w in model.text_encoder.warnings(p, _words_read(model))]
    return list(dict.fromkeys(found))


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
    on_progress: OnProgress | None = None,
    is_cancelled: IsCancelled | None = None,
    on_warning: OnWarning | None = None,
) -> list[Tokens]:
    """The GPT writes every clip's new tokens [L, Q]; a clip ends at End, or exactly where asked.

    Prefix and new tokens together are at most `model.gpt.token_limit`. Where memory is short, fewer
    clips are written side by side, at last on the CPU; `on_warning` is told so. The tokens are the
    same in whatever company.

    Raises:
        Cancelled, OutOfMemory: See `generate_batch`.
    """
    written: list[Tokens] = []
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


def _write_part(
    request: Request, model: TextToMotion, on_token: OnProgress, is_cancelled: IsCancelled | None
) -> list[Tokens]:
    """`write_tokens` of clips that are all written side by side."""
    end, limit, levels = model.gpt.end, model.gpt.token_limit, model.gpt.levels
    clips = range(len(request.seeds))
    prefixes = request.prefixes or [np.zeros((0, levels), np.int64) for _ in clips]
    numbers = request.numbers or [0 for _ in clips]
    starts = np.array([len(prefix) for prefix in prefixes])
    asked = [limit if n is None else _tokens_of(model, n) for n in request.frames]
    ends = np.minimum(starts + asked, limit)
    free = np.array([n is None for n in request.frames])
    earliest = starts + _tokens_of(model, round(SHORTEST_SECONDS * model.checkpoint.skeleton.fps))
    written = np.zeros((len(ends), int(ends.max()), levels), dtype=np.int64)
    chances = np.zeros((written.shape[1], levels, len(ends)))
    for clip in clips:
        first, number, count = starts[clip], numbers[clip], ends[clip] - starts[clip]
        written[clip, :first] = prefixes[clip]
        stream = token_stream(request.seeds[clip], number + count, levels)
        chances[first : first + count, :, clip] = stream[number:]
    writing = model.runtime.begin(request.text, request.sampling)
    for place in range(written.shape[1]):
        if is_cancelled is not None and is_cancelled():
            raise Cancelled("The generation was cancelled; nothing was changed.")
        new = place >= starts
        if new.any():
            may_end = free & (place >= earliest)
            drawn, sure = writing.draw(chances[place], may_end)
            for clip in np.flatnonzero(new & (place < ends) & ~sure):
                drawn[clip] = model.arbiter.draw(
                    request.text[[clip]],
                    written[clip, :place],
                    chances[place, :, clip],
                    may_end=bool(may_end[clip]),
                    sampling=request.sampling,
                )
            ended = new & (drawn[:, 0] == end)
            ends = np.where(ended & (place < ends), place, ends)
            known = np.where(drawn == end, 0, drawn)
            written[:, place] = np.where(new[:, None], known, written[:, place])
        on_token(place + 1, written.shape[1])
        if place + 1 >= ends.max():
            break
        writing.append(written[:, place])
    return [row[first:last] for row, first, last in zip(written, starts, ends, strict=True)]


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
    choice = choose_runtime(model.gpt, int8=model.checkpoint.has_int8, device="cpu")
    model.use(replace(choice, reason=f"the memory of '{full}' was full"))
    return f"The memory of '{full}' was full: the CPU computes from now on, more slowly."


def _tokens_of(model: TextToMotion, frames: int) -> int:
    return math.ceil(frames / model.frames_per_token)


def _words_read(model: TextToMotion) -> int:
    return model.gpt.word_limit or model.text_encoder.token_limit


def _checked_number(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if not (math.isfinite(value) and 0.0 <= value <= 100.0):
        raise InputError(f"The {name} is {value:g}; give a number from 0 to 100.")
    return float(value)
