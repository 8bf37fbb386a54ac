# SPDX-License-Identifier: GPL-3.0-or-later
"""When feet are planted, and motions whose planted feet stand still."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .legs import Legs
from .motion import Motion
from .planting import Floor, held_spans, plant_feet
from .rotations import Array
from .skeleton import Skeleton

CHANNELS = (("left", "heel"), ("left", "ball"), ("right", "heel"), ("right", "ball"))
"""The columns of `Motion.contacts`: a heel is the ankle's column, a ball the toe's."""

# A foot is planted where it is slower than this (metres a second), for so long, and low.
_SLOW, _FASTEST = 0.25, 0.7
_STILL = 0.1  # at any height: on a step, or sitting
_SECONDS = 0.15
_GAP_SECONDS, _GAP = 0.1, 0.03  # a foot that moves for so short and so little (metres) stays down
_LOW = np.array([0.13, 0.07, 0.13, 0.07])  # metres over the floor
_SLIDE = 0.15  # metres from the middle of its span: more is a slide, not a plant
_ANKLE_FLOOR = 0.6  # of the ankles' height in the rest pose: how low a real heel comes


@dataclass(frozen=True)
class ContactSpan:
    """A part of a foot that stands on the ground for a while.

    Attributes:
        side: "left" or "right".
        part: "heel" (held at the ankle) or "ball" (at the joint of the toes).
        start: First frame.
        stop: The frame after the last.
    """

    side: str
    part: str
    start: int
    stop: int


def contact_spans(motion: Motion) -> tuple[ContactSpan, ...]:
    """When the feet are planted, in order of time.

    A contact channel that a model or a dataset has written says where to look (it counts a foot as
    down until it moves at 0.9 m/s); how fast the foot is there says when it stands.
    """
    held = np.zeros((motion.frames, len(CHANNELS)), dtype=bool)
    if motion.frames > 2:
        feet = motion.joints[:, _feet(motion.skeleton)].astype(np.float64) / _size(motion.skeleton)
        for channel in range(len(CHANNELS)):
            told = None if motion.contacts is None else motion.contacts[:, channel] > 0.5
            held[:, channel] = _planted(feet[:, channel], told, _LOW[channel], motion.fps)
    return held_to_spans(held)


def spans_to_held(spans: Iterable[ContactSpan], frames: int) -> NDArray[np.bool_]:
    """[T, 4] in the order of `CHANNELS`; what lies outside the T frames is cut off."""
    held = np.zeros((frames, len(CHANNELS)), dtype=bool)
    for span in spans:
        if (span.side, span.part) not in CHANNELS:
            raise InputError(
                f"A foot contact is of the left or right heel or ball, not {span.side} {span.part}."
            )
        held[max(span.start, 0) : max(span.stop, 0), CHANNELS.index((span.side, span.part))] = True
    return held


def held_to_spans(held: NDArray[np.bool_]) -> tuple[ContactSpan, ...]:
    """The spans of [T, 4] in order of time."""
    found = [ContactSpan(*CHANNELS[c], start, stop) for start, stop, c in held_spans(held)]
    return tuple(
        sorted(found, key=lambda span: (span.start, CHANNELS.index((span.side, span.part))))
    )


def resampled_spans(
    spans: Iterable[ContactSpan], frames: int, to_frames: int
) -> tuple[ContactSpan, ...]:
    """The spans of T frames for the same motion in another number of frames, first on first."""
    scale = (to_frames - 1) / max(frames - 1, 1)
    moved = []
    for span in spans:
        start = int(np.ceil(span.start * scale - 1e-9))
        stop = int(np.floor((span.stop - 1) * scale + 1e-9)) + 1
        if stop > start:
            moved.append(replace(span, start=start, stop=stop))
    return tuple(moved)


def lock_feet(motion: Motion, spans: Iterable[ContactSpan] | None = None) -> Motion:
    """The motion with its planted feet held still and above the floor y = 0.

    Bone lengths stay; pelvis and upper body move together, and only as the legs need it. The
    contacts of the result are 1 where a foot is held and 0 elsewhere, also where it was let go.

    Args:
        motion: Of a skeleton whose feet have an ankle and a ball.
        spans: Where feet are planted; `contact_spans` of the motion where None.
    """
    held = spans_to_held(contact_spans(motion) if spans is None else spans, motion.frames)
    skeleton = motion.skeleton
    size = _size(skeleton)
    joints = motion.joints.astype(np.float64) / size
    rest = skeleton.rest_pose / size
    ankles, balls = (_feet(skeleton)[k::2] for k in (0, 1))
    standing = rest[ankles, 1] - rest[balls, 1]
    slope = standing / np.linalg.norm(rest[ankles] - rest[balls], axis=-1)
    shift, legs, held = plant_feet(
        legs_of(joints, skeleton),
        held,
        fps=motion.fps,
        floor=Floor(0.0, _ANKLE_FLOOR * float(standing.mean()), float(slope.mean())),
    )
    joints += shift[:, None]
    knees, hips = ([skeleton.parents[j] for j in chain] for chain in (ankles, _knees(skeleton)))
    for numbers, values in ((hips, legs.hips), (knees, legs.knees), (ankles, legs.ankles)):
        joints[:, numbers] = values
    joints[:, balls] = legs.balls
    return Motion((joints * size).astype(np.float32), motion.fps, skeleton, held.astype(np.float32))


def legs_of(joints: Array, skeleton: Skeleton) -> Legs:
    """The legs in the joints [T, J, 3] of a skeleton."""
    ankles, balls = (_feet(skeleton)[k::2] for k in (0, 1))
    knees = _knees(skeleton)
    hips = [skeleton.parents[knee] for knee in knees]
    return Legs(*(np.asarray(joints[:, j], dtype=np.float64) for j in (hips, knees, ankles, balls)))


def _feet(skeleton: Skeleton) -> list[int]:
    return [*skeleton.left_feet, *skeleton.right_feet]


def _knees(skeleton: Skeleton) -> list[int]:
    return [skeleton.parents[foot[0]] for foot in (skeleton.left_feet, skeleton.right_feet)]


def _size(skeleton: Skeleton) -> float:
    """What one metre of an adult is in the skeleton's unit: legs of HumanML3D's are 0.82 m."""
    bones = skeleton.offsets[list(skeleton.leg_bones)]
    return float(np.linalg.norm(bones, axis=-1).sum() / ADULT_LEG)


ADULT_LEG = 0.8158
"""Metres of thigh and shin of the skeleton for which the limits above were measured."""


def _planted(
    foot: Array, told: NDArray[np.bool_] | None, low: float, fps: float
) -> NDArray[np.bool_]:
    """When [T] one joint of a foot [T, 3] is planted."""
    steps = np.linalg.norm(np.diff(foot, axis=0), axis=-1) * fps
    speed = np.minimum(np.append(steps, steps[-1]), np.insert(steps, 0, steps[0]))
    near = (foot[:, 1] < low) | (speed < _STILL)
    may = near & (speed < _FASTEST) & (told if told is not None else True)
    held = np.zeros(len(foot), dtype=bool)
    for start, stop, _ in held_spans(may[:, None]):
        limit = float(np.clip(1.3 * np.median(speed[start:stop]), _SLOW, _FASTEST))
        held[start:stop] = _slow_parts(foot[start:stop], speed[start:stop], limit, fps)
    return _without_short(held, fps)


def _slow_parts(foot: Array, speed: Array, limit: float, fps: float) -> NDArray[np.bool_]:
    """Where [T] a foot is slower than the limit, and does not slide away while it is."""
    slow = _without_gaps(speed < limit, foot, fps)
    for start, stop, _ in held_spans(slow[:, None]):
        part = foot[start:stop]
        slide = np.linalg.norm(part - np.median(part, axis=0), axis=-1).max()
        if slide > _SLIDE:
            faster = limit / 2.0
            slow[start:stop] = (
                _slow_parts(part, speed[start:stop], faster, fps) if faster > 0.01 else False
            )
    return slow


def _without_gaps(held: NDArray[np.bool_], foot: Array, fps: float) -> NDArray[np.bool_]:
    """Short gaps [T] closed in which the foot [T, 3] hardly gets anywhere."""
    closed = held.copy()
    for start, stop, _ in held_spans(~held[:, None]):
        if start > 0 and stop < len(held) and stop - start <= _GAP_SECONDS * fps:
            closed[start:stop] = np.linalg.norm(foot[stop] - foot[start - 1]) < _GAP
    return closed


def _without_short(held: NDArray[np.bool_], fps: float) -> NDArray[np.bool_]:
    """Short spans [T] taken out."""
    kept = held.copy()
    for start, stop, _ in held_spans(held[:, None]):
        if stop - start < max(_SECONDS * fps, 2):
            kept[start:stop] = False
    return kept
