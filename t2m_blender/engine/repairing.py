# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a motion made anew, between what is before it and what is after it.

Several candidates are written from the tokens before the gap. The one that comes closest to what
is after it is decoded between the tokens of both sides; its ends are bent to meet them, and its way
to lead from the one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .continuing import READ_SECONDS
from .decoding import check_shown, read_tokens, tokens_to_features
from .errors import InputError
from .features import feature_columns, features_to_joints
from .joining import Performer, bent, local_features, placed_on, stretched, yaw_of
from .model import TextToMotion
from .motion import Motion, catmull_rom
from .passages import LONGEST_SECONDS, Passage, write_passages
from .postprocess import hold_feet_within
from .rotations import Array
from .sampling import Sampling
from .text import check_prompt
from .writing import IsCancelled, OnProgress, Tokens, encode_prompts, sampling_of

__all__ = ["repair_motion"]

_CANDIDATES = 8
_NEAR = 40  # frames that tell the heading at the gap
_WAY, _TURN = 0.3, 0.15  # what a metre and a radian beside the goal cost, in metres of the pose


def repair_motion(
    motion: Motion,
    start: int,
    stop: int,
    prompt: str,
    *,
    model: TextToMotion,
    seed: int = 0,
    guidance: float | None = None,
    temperature: float | None = None,
    foot_lock: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Motion:
    """The motion with the frames [start, stop) made anew.

    Args:
        motion: Any; some seconds on either side of the gap are read.
        start, stop: The first frame to make, and the first to keep again.
        prompt: What the character does there.
        model: From `load_model`, of the same skeleton.
        seed: Of chance; another one gives another stretch.
        guidance, temperature, foot_lock, on_progress, is_cancelled: See `generate.Settings`.

    Returns:
        As many frames at the same rate. Not one number outside the range is changed.

    Raises:
        InputError: As of `generate_sequences`; a range that is empty, outside, or all there is; a
            motion of another skeleton.
        CheckpointError, Cancelled, OutOfMemory: See `generate_sequences`.
    """
    check_shown(model)
    checked = check_prompt(prompt)
    if not 0 <= start < stop <= motion.frames or stop - start == motion.frames:
        raise InputError(
            f"Frames {start} to {stop - 1} of {motion.frames} cannot be repaired: choose some of "
            "them, and leave some before or after."
        )
    if (stop - start) / motion.fps > LONGEST_SECONDS:
        raise InputError(f"A gap may last {LONGEST_SECONDS:g} seconds; choose a shorter one.")
    sampling = sampling_of(model, guidance=guidance, temperature=temperature)
    gap = _Gap(motion, start, stop, model)
    candidates = _written(gap, checked, seed, sampling, on_progress, is_cancelled)
    best = min(candidates, key=gap.cost)
    joints = motion.joints.copy()
    joints[start:stop] = gap.filled(best[: gap.tokens])
    contacts = motion.contacts
    if contacts is not None:
        contacts = contacts.copy()
        contacts[start:stop] = 0.0
    made = Motion(joints, motion.fps, motion.skeleton, contacts)
    return hold_feet_within(made, start, stop) if foot_lock else made


def _written(
    gap: _Gap,
    prompt: str,
    seed: int,
    sampling: Sampling,
    on_progress: OnProgress | None,
    is_cancelled: IsCancelled | None,
) -> list[Tokens]:
    """Candidates, each with a token more than the gap has, if there is anything to meet after it.

    They share one stream of chance, each from a place of its own.
    """
    clips = _CANDIDATES if gap.after is not None else 1
    count = gap.tokens + (gap.after is not None)
    pieces = write_passages(
        [[Passage(0, count)]] * clips,
        encode_prompts([prompt], gap.model),
        model=gap.model,
        seeds=[seed] * clips,
        sampling=sampling,
        before=gap.before.tokens if gap.before is not None else None,
        numbers=[clip * count for clip in range(clips)],
        on_progress=on_progress,
        is_cancelled=is_cancelled,
    )
    return [piece for (piece,) in pieces]


@dataclass(frozen=True, eq=False)
class _Side:
    """What is before or after the gap.

    Attributes:
        tokens: [P, Q] of the seconds next to the gap.
        pose: [J, 3] joints of the frame next to it, on the model's bones.
        anchor: [D] features of that frame, and the change [D] from frame to frame there.
    """

    tokens: Tokens
    pose: Array
    anchor: tuple[Array, Array]


class _Gap:
    """The frames to fill, and what is on their sides.

    Attributes:
        model: That fills them.
        before, after: None where nothing is.
        tokens: How many fill the gap.
    """

    def __init__(self, motion: Motion, start: int, stop: int, model: TextToMotion) -> None:
        self.model = model
        self._skeleton = model.checkpoint.skeleton
        self._performer = Performer.of(motion, self._skeleton)
        self._fps, self._frames = motion.fps, stop - start
        self._pace = self._skeleton.fps / motion.fps  # the model's frames in one of the motion's
        read = max(round(READ_SECONDS * motion.fps), 1)
        self.before = self._side(motion.joints[max(start - read, 0) : start], at_end=True)
        self.after = self._side(motion.joints[stop : stop + read], at_end=False)
        length = self._frames * self._pace / model.frames_per_token
        both = self.before is not None and self.after is not None
        self.tokens = max(round(length) if both else math.ceil(length), 1)

    def _side(self, given: NDArray[np.float32], *, at_end: bool) -> _Side | None:
        if not len(given):
            return None
        joints = self._performer.to_model(given)
        size = self.model.frames_per_token
        count = max(int((len(joints) - 1) * self._pace + 1) // size * size, size)
        away = np.minimum(np.arange(count) / self._pace, len(joints) - 1.0)
        times = len(joints) - 1.0 - away[::-1] if at_end else away
        tokens, facing = read_tokens(catmull_rom(joints, times).astype(np.float64), self.model)
        next_to = -1 if at_end else 0
        near = joints[-_NEAR:] if at_end else joints[:_NEAR]
        features = local_features(near, self._skeleton, facing)
        changes = np.diff(features, axis=0) if len(features) > 1 else np.zeros_like(features)
        return _Side(tokens, joints[next_to], (features[next_to], changes[next_to]))

    def cost(self, tokens: Tokens) -> float:
        """How far tokens [L + 1, Q], going on by themselves, are from what is after the gap."""
        if self.after is None:
            return 0.0
        features = self._decoded(tokens)
        columns = feature_columns(self._skeleton)
        off = features[-1] - self.after.anchor[0]
        pose = np.concatenate((off[columns["root_height"]], off[columns["positions"]]))
        cost = float(np.linalg.norm(pose)) / math.sqrt(self._skeleton.joint_count)
        if self.before is None:
            return cost
        turn, way = self._beside(self._placed(features))
        seconds = self._frames / self._fps
        return cost + (_TURN * abs(turn) + _WAY * float(np.linalg.norm(way))) / seconds

    def filled(self, tokens: Tokens) -> NDArray[np.float32]:
        """Joints [stop - start, J, 3] of tokens [L, Q]."""
        after = self.after
        features = self._decoded(
            tokens if after is None else np.concatenate((tokens, after.tokens))
        )
        start, stop = (side.anchor if side else None for side in (self.before, after))
        features = bent(features, fps=self._fps, start=start, stop=stop)
        joints = self._placed(features)
        if self.before is not None and after is not None:
            turn, _ = self._beside(joints)
            ease = np.hanning(len(features) + 1)[1:-1]
            features[:-1, 0] -= turn / 2.0 * ease / ease.sum()
            joints = self._placed(features)
            _, way = self._beside(joints)
            u = np.linspace(0.0, 1.0, len(joints))[:, None, None]
            joints = joints + (3.0 - 2.0 * u) * u**2 * way
        first = 0 if self.before is None else 1
        return self._performer.from_model(joints[first : first + self._frames])

    def _decoded(self, tokens: Tokens) -> Array:
        """Features at the motion's own rate: the gap's, and those of the frames next to it."""
        size = self.model.frames_per_token
        past = 0
        if self.before is not None:
            past = len(self.before.tokens) * size
            tokens = np.concatenate((self.before.tokens, tokens))
        stop = past + self.tokens * size
        if self.before is not None and self.after is not None:
            times = np.linspace(past - 1, stop, self._frames + 2)
        elif self.before is not None:
            times = past - 1 + self._pace * np.arange(self._frames + 1)
        else:
            times = stop - self._pace * np.arange(self._frames, -1, -1)
        return stretched(tokens_to_features(tokens, self.model), times, self._skeleton)

    def _placed(self, features: Array) -> Array:
        """Joints, where they meet what is before the gap, or else what is after it."""
        joints = features_to_joints(features, self._skeleton)
        if self.before is not None:
            return placed_on(joints, 0, self.before.pose)
        return joints if self.after is None else placed_on(joints, -1, self.after.pose)

    def _beside(self, joints: Array) -> tuple[float, Array]:
        """By how much the last pose should be turned and moved to be the one after the gap."""
        if self.after is None:
            return 0.0, np.zeros(3)
        return yaw_of(joints[-1], self.after.pose), self.after.pose[0] - joints[-1, 0]
