# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions of several sentences and of any length, written window by window.

The GPT writes at most `token_limit` tokens in one go. A passage that is longer goes on from its own
last tokens in a new window; so does the next passage from those of the one before, under its own
sentence and with less of the past, which would otherwise outweigh the new words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from .model import TextToMotion
from .sampling import Sampling
from .text import TextFeatures
from .writing import IsCancelled, OnProgress, OnWarning, Request, Tokens, write_tokens

__all__ = ["LONGEST_SECONDS", "Passage", "write_passages"]

LONGEST_SECONDS = 120.0
"""Of a motion that is made in one go."""

_GOING_ON = 15  # tokens of the past that a passage reads of itself
_TURNING_TO = 1  # and those that it reads of what was before it


@dataclass(frozen=True)
class Passage:
    """What one sentence tells.

    Attributes:
        sentence: Row of the text features.
        tokens: How many, at least 1; None where the model ends by itself.
    """

    sentence: int
    tokens: int | None


def write_passages(
    clips: Sequence[Sequence[Passage]],
    text: TextFeatures,
    *,
    model: TextToMotion,
    seeds: Sequence[int],
    sampling: Sampling,
    before: Tokens | None = None,
    numbers: Sequence[int] = (),
    on_progress: OnProgress | None = None,
    is_cancelled: IsCancelled | None = None,
    on_warning: OnWarning | None = None,
) -> list[list[Tokens]]:
    """The tokens [L, Q] of every passage of every clip; clips are written side by side.

    Args:
        clips: Each one or more passages, one after the other.
        text: Of the sentences that the passages name.
        model: From `load_model`.
        seeds: One a clip.
        sampling: For all.
        before: Tokens [P, Q] that all clips go on from.
        numbers: Of each clip's stream of chance, the place to begin at; empty for 0.
        on_progress, is_cancelled, on_warning: See `generate_batch` and `write_tokens`.

    Raises:
        Cancelled, OutOfMemory: See `generate_batch`.
    """
    limit = model.gpt.token_limit
    past = np.zeros((0, model.gpt.levels), np.int64) if before is None else before
    first_numbers = numbers or [0] * len(clips)
    writing = [
        _Clip(passages, past, seed, number)
        for passages, seed, number in zip(clips, seeds, first_numbers, strict=True)
    ]
    most = _steps_left(writing, limit)
    while unfinished := [clip for clip in writing if not clip.finished]:
        windows = [clip.window(limit) for clip in unfinished]
        before_now, steps = most - _steps_left(unfinished, limit), max(map(len, windows))

        def tell(done: int, of: int, before: int = before_now, steps: int = steps) -> None:
            if on_progress is not None:
                on_progress(before + steps * done // of, most)

        request = Request(
            text=text[[clip.sentence for clip in unfinished]],
            seeds=[clip.seed for clip in unfinished],
            frames=[window.frames(model.frames_per_token) for window in windows],
            sampling=sampling,
            prefixes=[window.prefix for window in windows],
            numbers=[clip.number for clip in unfinished],
        )
        made = write_tokens(
            request, model, on_progress=tell, is_cancelled=is_cancelled, on_warning=on_warning
        )
        for clip, tokens in zip(unfinished, made, strict=True):
            clip.add(tokens)
    return [clip.written for clip in writing]


@dataclass(frozen=True, eq=False)
class _Window:
    """What is written in one go: so many tokens after a prefix, or fewer if the model may end."""

    prefix: Tokens
    count: int
    may_end: bool

    def __len__(self) -> int:
        return len(self.prefix) + self.count

    def frames(self, frames_per_token: int) -> int | None:
        return None if self.may_end else self.count * frames_per_token


class _Clip:
    """A motion that is being written.

    Attributes:
        seed: Of its stream of chance.
        number: The place in the stream of its next token.
        written: Tokens of each passage so far.
    """

    def __init__(self, passages: Sequence[Passage], before: Tokens, seed: int, number: int) -> None:
        self.seed, self.number = seed, number
        self.written = [before[:0] for _ in passages]
        self._passages, self._before = passages, before
        self._place = 0
        self._left = passages[0].tokens

    @property
    def finished(self) -> bool:
        return self._place == len(self._passages)

    @property
    def sentence(self) -> int:
        return self._passages[self._place].sentence

    def window(self, limit: int) -> _Window:
        """The next one."""
        past = np.concatenate((self._before, *self.written))
        begun = len(self.written[self._place]) > 0
        prefix = past[max(len(past) - _carried(limit, begun=begun), 0) :]
        room = limit - len(prefix)
        may_end = self._left is None
        return _Window(prefix, room if self._left is None else min(self._left, room), may_end)

    def add(self, tokens: Tokens) -> None:
        """What was written in the window."""
        self.written[self._place] = np.concatenate((self.written[self._place], tokens))
        self.number += len(tokens)
        self._left = 0 if self._left is None else self._left - len(tokens)
        if self._left == 0:
            self._place += 1
            self._left = None if self.finished else self._passages[self._place].tokens

    def steps(self, limit: int) -> Iterator[int]:
        """Lengths of the windows that are still to come, if the model ends nowhere by itself."""
        past = len(self._before) + sum(map(len, self.written))
        begun = not self.finished and len(self.written[self._place]) > 0
        lefts = [self._left, *(passage.tokens for passage in self._passages[self._place + 1 :])]
        for left in [] if self.finished else lefts:
            while left != 0:
                prefix = min(past, _carried(limit, begun=begun))
                count = limit - prefix if left is None else min(left, limit - prefix)
                yield prefix + count
                past, begun = past + count, True
                left = 0 if left is None else left - count
            begun = False


def _carried(limit: int, *, begun: bool) -> int:
    """How many tokens of the past a window may begin with."""
    return min(_GOING_ON if begun else _TURNING_TO, limit // 2)


def _steps_left(clips: Sequence[_Clip], limit: int) -> int:
    """Tokens that are still to be read or written, side by side."""
    return sum(map(max, zip_longest(*(clip.steps(limit) for clip in clips), fillvalue=0)))
