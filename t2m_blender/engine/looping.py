# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens that lead back to where they began: a ring of them is a motion without a seam.

More is written than is needed, and the stretch is taken whose end is most like its beginning. Its
first token follows on its last one, as in a ring; the decoder, which reads some tokens to either
side, makes one movement of that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .decoding import tokens_to_features
from .features import feature_columns
from .joining import closed, stretched
from .model import TextToMotion
from .rotations import Array
from .writing import Tokens

__all__ = ["SHORTEST_LOOP", "looped", "tokens_for_loop"]

SHORTEST_LOOP = 0.5
"""Seconds."""
_CHOICE_SECONDS = 2.0  # that are written to choose from
_CONTEXT = 32  # tokens on either side, beyond what decoders of our size look at
_LEAST_OF_FREE = 0.5  # of what the model wrote: how short a loop of no asked length may be
_SPEED = 5.0  # frames: how much a difference of speed counts


def tokens_for_loop(frames: int, model: TextToMotion) -> int:
    """How many tokens to write for a loop of so many frames, first pose and last one the same."""
    choice = _CHOICE_SECONDS * model.checkpoint.skeleton.fps / model.frames_per_token
    return _ring_length(frames, model) + round(choice) + 1


def looped(
    tokens: Tokens, frames: int | None, model: TextToMotion
) -> tuple[Tokens, NDArray[np.float32]]:
    """The best loop in what was written.

    Args:
        tokens: [L, Q], as many as `tokens_for_loop` says or, for a loop of any length, at least 2.
        frames: Of the loop; None takes the length that closes best.
        model: Whose tokens they are.

    Returns:
        The ring's tokens, the first one again at the end; features [T, D] of its frames.
    """
    start, count = _best_stretch(tokens, frames, model)
    ring = tokens[start : start + count]
    rounds = -(-_CONTEXT // count)
    decoded = tokens_to_features(np.tile(ring, (2 * rounds + 2, 1)), model)
    begin, period = rounds * count * model.frames_per_token, count * model.frames_per_token
    lap = decoded[begin : begin + period + 1].astype(np.float64)
    skeleton = model.checkpoint.skeleton
    if frames is not None:
        lap = stretched(lap, np.linspace(0.0, period, frames), skeleton)
    loop = closed(lap, skeleton).astype(np.float32)
    return np.concatenate((ring, ring[:1])), loop


def _ring_length(frames: int, model: TextToMotion) -> int:
    return max(round((frames - 1) / model.frames_per_token), 1)


def _best_stretch(tokens: Tokens, frames: int | None, model: TextToMotion) -> tuple[int, int]:
    """First token and number of tokens of the stretch whose end is most like its beginning."""
    unlike = _unlikeness(tokens_to_features(tokens, model), model)
    boundaries = len(unlike)
    if frames is None:
        shortest = max(round(_LEAST_OF_FREE * boundaries), 1)
        counts = range(min(shortest, boundaries - 1), boundaries)
    else:
        count = _ring_length(frames, model)
        counts = range(count, count + 1)
    pairs = [(unlike[s, s + n], s, n) for n in counts for s in range(boundaries - n)]
    _, start, count = min(pairs)
    return start, count


def _unlikeness(features: NDArray[np.float32], model: TextToMotion) -> Array:
    """[L, L] in metres: how far apart poses and speeds are where tokens begin."""
    columns = feature_columns(model.checkpoint.skeleton)
    every = features[:: model.frames_per_token].astype(np.float64)
    after = features[1 :: model.frames_per_token].astype(np.float64)
    pose = np.concatenate(
        (every[:, columns["root_height"]], every[:, columns["positions"]]), axis=1
    )
    next_pose = np.concatenate(
        (after[:, columns["root_height"]], after[:, columns["positions"]]), axis=1
    )
    moving = np.concatenate((next_pose - pose, every[:, columns["root_velocity"]]), axis=1)
    seen = np.concatenate((pose, _SPEED * moving), axis=1)
    return np.asarray(np.linalg.norm(seen[:, None] - seen[None], axis=-1))
