# SPDX-License-Identifier: GPL-3.0-or-later
"""Biovision BVH files: hierarchy and motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from t2m_blender.engine.errors import InputError
from training.data.performance import Array, Figure, Performance, euler_to_quaternion, perform

_POSITIONS = ("Xposition", "Yposition", "Zposition")
_ROTATIONS = {"Xrotation": "x", "Yrotation": "y", "Zrotation": "z"}


@dataclass(frozen=True)
class Biovision:
    """A BVH file's content.

    Attributes:
        figure: joints; `tips` are the end sites (or the mean of the children's offsets).
        channels: per joint its channels, in order.
        values: [T, C] the motion.
        frame_time: seconds a frame as the header says, which is not always true.
    """

    figure: Figure
    channels: tuple[tuple[str, ...], ...]
    values: Array
    frame_time: float


def read_bvh(text: str, *, name: str = "BVH file") -> Biovision:
    """Reads a BVH file.

    Raises:
        InputError: malformed hierarchy, no frames, wrong number of values, or NaN.
    """
    head, found, tail = text.partition("MOTION")
    words = head.split()
    if not found or words[:2] != ["HIERARCHY", "ROOT"]:
        raise InputError(f"{name} is no BVH file: it needs HIERARCHY, ROOT and MOTION.")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    ends: dict[int, list[float]] = {}
    stack: list[int] = []
    in_end = False
    i = 1
    try:
        while i < len(words):
            word = words[i]
            if word in ("ROOT", "JOINT"):
                parents.append(stack[-1] if stack else -1)
                names.append(words[i + 1])
                offsets.append([0.0] * 3)
                channels.append(())
                i += 2
            elif word == "End":
                in_end = True
                i += 2
            elif word == "{":
                stack.append(stack[-1] if in_end else len(names) - 1)
                i += 1
            elif word == "}":
                stack.pop()
                in_end = False
                i += 1
            elif word == "OFFSET":
                offset = [float(w) for w in words[i + 1 : i + 4]]
                if in_end:
                    ends[stack[-1]] = offset
                else:
                    offsets[stack[-1]] = offset
                i += 4
            elif word == "CHANNELS":
                count = int(words[i + 1])
                channels[stack[-1]] = tuple(words[i + 2 : i + 2 + count])
                i += 2 + count
            else:
                raise ValueError(word)
    except (ValueError, IndexError) as error:
        raise InputError(f"{name}: the hierarchy cannot be read near word {i} ({error}).") from None
    if stack:
        raise InputError(f"{name}: the hierarchy has an unclosed brace; the file may be cut short.")
    for joint, joint_channels in zip(names, channels, strict=True):
        strange = set(joint_channels) - set(_POSITIONS) - set(_ROTATIONS)
        if strange:
            raise InputError(f"{name}: joint '{joint}' has unknown channels {sorted(strange)}.")
    values, frame_time = _read_motion(tail, sum(len(c) for c in channels), name)
    return Biovision(
        Figure(tuple(names), tuple(parents), np.array(offsets), _tips(parents, offsets, ends)),
        tuple(channels),
        values,
        frame_time,
    )


def perform_bvh(source: Biovision, values: Array) -> Performance:
    """Poses a BVH figure with motion values [T, C], in the file's unit of length.

    Positions of joints other than the root (some files have them) are not used.
    """
    local = np.zeros((len(values), len(source.figure.names), 4))
    local[..., 0] = 1.0
    root = np.zeros((len(values), 3))
    at = 0
    for j, names in enumerate(source.channels):
        for k, channel in enumerate(names):
            if channel in _POSITIONS and source.figure.parents[j] < 0:
                root[:, _POSITIONS.index(channel)] = values[:, at + k]
        turning = [k for k, channel in enumerate(names) if channel in _ROTATIONS]
        if turning:
            axes = "".join(_ROTATIONS[names[k]] for k in turning)
            local[:, j] = euler_to_quaternion(values[:, [at + k for k in turning]], axes)
        at += len(names)
    return perform(source.figure, local, root)


def _read_motion(tail: str, width: int, name: str) -> tuple[Array, float]:
    words = tail.split(None, 6)
    if words[:1] != ["Frames:"] or words[2:4] != ["Frame", "Time:"]:
        raise InputError(f"{name}: after MOTION there must be 'Frames:' and 'Frame Time:'.")
    try:
        count, frame_time = int(words[1]), float(words[4])
        numbers = np.array(" ".join(words[5:]).split()).astype(np.float64)
    except ValueError as error:
        raise InputError(
            f"{name}: the motion holds something that is no number: {error}."
        ) from None
    if count < 1 or numbers.size == 0:
        raise InputError(f"{name} has no frames.")
    if numbers.size != count * width:
        raise InputError(
            f"{name}: {count} frames of {width} channels need {count * width} values, "
            f"but there are {numbers.size}; the file may be cut short."
        )
    values = numbers.reshape(count, width)
    if not np.isfinite(values).all():
        raise InputError(f"{name}: frame {np.argwhere(~np.isfinite(values))[0, 0] + 1} holds NaN.")
    return values, frame_time


def _tips(parents: list[int], offsets: list[list[float]], ends: dict[int, list[float]]) -> Array:
    tips = np.zeros((len(parents), 3))
    for j in range(len(parents)):
        children = [offsets[c] for c, p in enumerate(parents) if p == j]
        tips[j] = ends.get(j, np.mean(children, axis=0) if children else np.zeros(3))
    return tips
