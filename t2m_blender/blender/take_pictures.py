# SPDX-License-Identifier: GPL-3.0-or-later
"""A small picture of a motion: five of its poses and the way of its root. Main thread only.

It is drawn once, by NumPy, when a take is made, and kept with the take as text; the panel makes an
icon of it when it first shows it.
"""

from __future__ import annotations

import base64
import zlib
from itertools import pairwise
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np
from numpy.typing import NDArray

from ..engine.motion import Motion

__all__ = ["icon_of", "picture_of", "register", "unregister"]

SIZE = 96  # pixels
_POSES, _WAY_POINTS = 5, 24
_TURN, _TILT = np.radians(35.0), np.radians(15.0)  # of the view, from the side and from above
_LONGEST_WAY = 0.8  # of the height of the figure
_MARGIN = 4.0  # pixels
_LIMB, _WAY = 1.4, 1.0  # half a line's width in pixels
_LEVELS = 15  # of each mask; the text stays short
_COLOURS = np.array([[0.92, 0.92, 0.92], [0.95, 0.55, 0.15]], dtype=np.float32)  # poses, way

Masks = NDArray[np.float32]
"""[2, SIZE, SIZE] how much of a pixel the poses and the way cover, 0 to 1, bottom row first."""


def picture_of(motion: Motion) -> str:
    """The picture as text."""
    levels = np.rint(_drawn(motion) * _LEVELS).astype(np.uint8)
    return base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode()


def _drawn(motion: Motion) -> Masks:
    """Later poses are brighter; all are seen from where the way is longest, a little from above.

    A long way is drawn shorter, so that the poses stay large.
    """
    joints = motion.joints.astype(np.float64)
    way = joints[:, 0] * [1.0, 0.0, 1.0]
    tall, far = np.ptp(joints[0, :, 1]), np.linalg.norm(np.ptp(way, axis=0))
    share = min(1.0, _LONGEST_WAY * tall / max(float(far), 1e-6))
    joints -= (1.0 - share) * way[:, None]
    joints = joints[np.rint(np.linspace(0, motion.frames - 1, _POSES)).astype(int)]
    way = share * way[:: max(1, motion.frames // _WAY_POINTS)]
    points = np.concatenate((joints.reshape(-1, 3), way))
    seen = points @ _view(way).T
    low, high = seen.min(axis=0), seen.max(axis=0)
    scale = (SIZE - 2.0 * _MARGIN) / max(float((high - low).max()), 1e-6)
    seen = (seen - (low + high) / 2.0) * scale + SIZE / 2.0
    poses, path = seen[: -len(way)].reshape(*joints.shape[:2], 2), seen[-len(way) :]
    masks = np.zeros((2, SIZE, SIZE), dtype=np.float32)
    for a, b in pairwise(path):
        _line(masks[1], a, b, _WAY, 1.0)
    for number, pose in enumerate(poses):
        strength = 0.35 + 0.65 * number / (_POSES - 1)
        for joint, parent in enumerate(motion.skeleton.parents):
            if parent >= 0:
                _line(masks[0], pose[joint], pose[parent], _LIMB, strength)
    return masks


def _view(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """[2, 3] across and up in the picture."""
    spread = (way - way.mean(axis=0))[:, [0, 2]]
    heading = np.linalg.svd(spread, full_matrices=False)[2][0] if len(way) > 1 else np.eye(2)[0]
    angle = np.arctan2(heading[1], heading[0]) if np.ptp(spread @ heading) > 0.5 else _TURN
    across = np.array([np.cos(angle), 0.0, np.sin(angle)])
    away = np.array([np.sin(angle), 0.0, -np.cos(angle)])
    return np.stack((across, np.array([0.0, np.cos(_TILT), 0.0]) + np.sin(_TILT) * away))


def _line(
    mask: Masks | Any,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    width: float,
    strength: float,
) -> None:
    """Draws one line, smooth at its edges; where others lie, the stronger one is seen."""
    reach = width + 1.0
    low = np.maximum(np.floor(np.minimum(a, b) - reach), 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(a, b) + reach) + 1, SIZE).astype(int)
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
    along = b - a
    length = float(along @ along)
    place = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(length, 1e-9)
    place = np.clip(place, 0.0, 1.0)
    away = np.hypot(x - a[0] - place * along[0], y - a[1] - place * along[1])
    covered = strength * np.clip(width + 0.5 - away, 0.0, 1.0)
    part = mask[low[1] : high[1], low[0] : high[0]]
    np.maximum(part, covered, out=part)


def icon_of(picture: str) -> int:
    """The number of the picture's icon; 0 where there is none, as without a window."""
    if not picture or _icons is None:
        return 0
    if picture not in _icons:
        _make_icon(picture)
    return int(_icons[picture].icon_id)


def _make_icon(picture: str) -> None:
    made = _icons.new(picture)
    try:
        levels = np.frombuffer(zlib.decompress(base64.b64decode(picture)), dtype=np.uint8)
        poses, way = levels.reshape(2, SIZE, SIZE).astype(np.float32) / _LEVELS
    except (ValueError, zlib.error):  # edited by hand: an empty picture
        return
    pixels = np.empty((SIZE, SIZE, 4), dtype=np.float32)
    pixels[..., 3] = np.maximum(poses, way)
    over = np.divide(poses, pixels[..., 3], out=np.zeros_like(poses), where=pixels[..., 3] > 0.0)
    colours = _COLOURS[1] + over[..., None] * (_COLOURS[0] - _COLOURS[1])
    pixels[..., :3] = colours * pixels[..., 3:]  # as icons have them
    made.image_size = (SIZE, SIZE)
    made.image_pixels_float.foreach_set(pixels.ravel())


_icons: Any | None = None


@bpy.app.handlers.persistent
def _forget(*_: object) -> None:
    """The next file has other takes."""
    if _icons is not None:
        _icons.clear()


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()
    bpy.app.handlers.load_pre.append(_forget)


def unregister() -> None:
    global _icons
    bpy.app.handlers.load_pre.remove(_forget)
    bpy.utils.previews.remove(_icons)
    _icons = None
