# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of one F-curve, read and written in bulk. Main thread only.

Keys are linear: there is one on every frame, so each is a sample of the motion and straight lines
between samples neither overshoot nor let a foot drift, as in Blender's own BVH and glTF importers.
Handles are auto-clamped, so that after thinning the keys, T > Bezier gives smooth curves at once.
Where fewer keys were asked for, curves are smooth (Bezier, handles aligned).
What is set once for the whole Action (a switch from IK to FK) is one constant key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .channels import Channel

__all__ = ["splice_keys", "write_keys"]


def write_keys(curve: bpy.types.FCurve, channel: Channel, frame_start: int) -> None:
    """Gives an empty F-curve the keys of a channel, whose frame 0 is the scene's `frame_start`."""
    points = curve.keyframe_points
    points.add(len(channel.values))
    for name, values in _of_channel(channel, frame_start).items():
        points.foreach_set(name, values)
    curve.update()


def splice_keys(curve: bpy.types.FCurve, channel: Channel, frame_start: int, stop: float) -> None:
    """Puts the keys of a channel in place of those in [frame_start, stop).

    The others keep every byte. The channel's frame 0 is the scene's `frame_start`; it may have keys
    outside of the range, on frames between the curve's own.
    """
    points = curve.keyframe_points
    kept = {name: _read(points, name, kind, width) for name, (kind, width) in _OF_KEYS.items()}
    frames = kept["co"][::2]
    new = {
        name: np.zeros(len(channel.values) * width, dtype=kind)
        for name, (kind, width) in _OF_KEYS.items()
    }
    made = _of_channel(channel, frame_start)
    new |= {"handle_left": made["co"], "handle_right": made["co"]} | made
    before, after = frames < frame_start, frames >= stop
    times = np.concatenate((frames[before], new["co"][::2], frames[after]))
    order = np.argsort(times, kind="stable")
    points.clear()
    points.add(len(order))
    for name, (_, width) in _OF_KEYS.items():
        parts = kept[name].reshape(-1, width)
        whole = np.concatenate((parts[before], new[name].reshape(-1, width), parts[after]))
        points.foreach_set(name, whole[order].ravel())
    curve.update()
    ours = (order >= before.sum()) & (order < before.sum() + len(channel.values))
    for name in ("handle_left", "handle_right"):  # automatic ones have followed new neighbours
        now = _read(points, name, np.float32, 2).reshape(-1, 2)
        now[~ours] = kept[name].reshape(-1, 2)[before | after]
        points.foreach_set(name, now.ravel())


def _of_channel(channel: Channel, frame_start: int) -> dict[str, NDArray[Any]]:
    """What the keys of a channel are: where, what kind, and handles where they are its own."""
    count = len(channel.values)
    frames = frame_start + (np.arange(count) if channel.frames is None else channel.frames)
    keys: dict[str, NDArray[Any]] = {"co": _pairs(frames, channel.values)}
    settings = _LINEAR if count > 1 else _CONSTANT
    if channel.slopes is not None:
        settings = _BEZIER
        third = np.diff(frames) / 3.0
        for name, reach in (
            ("handle_left", -np.r_[1.0, third]),
            ("handle_right", np.r_[third, 1.0]),
        ):
            keys[name] = _pairs(frames + reach, channel.values + reach * channel.slopes)
    for name, value in settings.items():
        keys[name] = np.full(count, value, dtype=np.int32)
    return keys


def _pairs(frames: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float32]:
    pairs = np.empty((len(frames), 2), dtype=np.float32)
    pairs[:, 0], pairs[:, 1] = frames, values
    return pairs.ravel()


def _read(points: Any, name: str, kind: type, width: int) -> NDArray[Any]:
    values = np.empty(len(points) * width, dtype=kind)
    points.foreach_get(name, values)
    return values


# What a key is made of: type and numbers.
_OF_KEYS: Mapping[str, tuple[type, int]] = {
    **dict.fromkeys(("co", "handle_left", "handle_right"), (np.float32, 2)),
    **dict.fromkeys(("amplitude", "back", "period"), (np.float32, 1)),
    **dict.fromkeys(
        ("interpolation", "easing", "handle_left_type", "handle_right_type", "type"), (np.int32, 1)
    ),
    **dict.fromkeys(
        ("select_control_point", "select_left_handle", "select_right_handle"), (np.bool_, 1)
    ),
}


def _enum_number(setting: str, item: str) -> int:
    return bpy.types.Keyframe.bl_rna.properties[setting].enum_items[item].value


_LINEAR = {
    "interpolation": _enum_number("interpolation", "LINEAR"),
    "handle_left_type": _enum_number("handle_left_type", "AUTO_CLAMPED"),
    "handle_right_type": _enum_number("handle_right_type", "AUTO_CLAMPED"),
}
_BEZIER = {
    "interpolation": _enum_number("interpolation", "BEZIER"),
    "handle_left_type": _enum_number("handle_left_type", "ALIGNED"),
    "handle_right_type": _enum_number("handle_right_type", "ALIGNED"),
}
_CONSTANT = {"interpolation": _enum_number("interpolation", "CONSTANT")}
