# SPDX-License-Identifier: GPL-3.0-or-later
"""Two motions one after the other, joined where their poses and velocities fit best.

The seam is found as in motion graphs (Kovar, Gleicher and Pighin, SIGGRAPH 2002): the windows of
0.3 s near the end of the first and the beginning of the second that are closest as clouds of
points, after the best turn about the vertical and shift over the floor, which are known in closed
form. The second motion is then laid on the first there and blended over the window. Heights are
compared as they are, so that both stand on one floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array

_BLEND = 6  # frames: 0.3 s at 20 fps
_SEARCH = 12  # frames from either end, in which the seam may lie; no more than a sixth of a clip
_MISFIT = 0.09  # metres, root mean square over the joints of both windows
_FASTER = 1.15  # a joint's step at the seam, as a multiple of the largest step near it
_SLIDE = 0.02  # metres that a standing foot may slide more than in the two motions
_GROUNDED = 0.05  # metres of a toe over the floor
_NEAR = 8  # frames around the seam that say what is usual there


@dataclass(frozen=True, eq=False)
class Joined:
    """Two motions in one.

    Attributes:
        joints: [T, J, 3] metres.
        first_end: frames of the first motion that are used, with its part of the blend.
        second_start: the first frame of the second motion that is used.
        seam: frames [start, end) of the blend in the new motion.
        misfit: metres between the two windows.
        slide: metres that a standing foot slides in the blend.
    """

    joints: Array
    first_end: int
    second_start: int
    seam: tuple[int, int]
    misfit: float
    slide: float


def joined_motion(first: Array, second: Array, skeleton: Skeleton) -> Joined | None:
    """The second motion [T2, J, 3] after the first [T1, J, 3]; None where they do not fit.

    Both have the skeleton's bone lengths and the floor at height 0.
    """
    if min(len(first), len(second)) < 4 * _BLEND:
        return None
    a, b, turn, misfit = _best_seam(first, second)
    if misfit > _MISFIT:
        return None
    window = slice(a, a + _BLEND), slice(b, b + _BLEND)
    spin = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), np.asarray(turn))
    turned = quaternion_rotate(spin, second[b:])
    shift = (first[window[0]].mean(axis=(0, 1)) - turned[:_BLEND].mean(axis=(0, 1))) * [1, 0, 1]
    laid = turned + shift
    share = _ease(_BLEND)[:, None, None]
    blended = (1.0 - share) * first[window[0]] + share * laid[:_BLEND]
    joints = np.concatenate((first[:a], rigid_joints(blended, skeleton), laid[_BLEND:]))
    seam = (a, a + _BLEND)

    steps = _largest_step(joints[a - 1 : a + _BLEND + 1])
    usual = max(_largest_step(first[max(0, a - _NEAR) :]), _largest_step(second[: b + _NEAR]))
    around = slice(a - 1, a + _BLEND + 1)
    slide = _slide(joints[around], skeleton)
    own = max(_slide(first[around], skeleton), _slide(laid[: _BLEND + 2], skeleton))
    if steps > _FASTER * usual + 0.005 or slide > own + _SLIDE:
        return None
    return Joined(joints, a + _BLEND, b, seam, misfit, slide)


def _best_seam(first: Array, second: Array) -> tuple[int, int, float, float]:
    """Window starts in both motions, the turn of the second, and the misfit in metres."""
    reach_first = min(_SEARCH, len(first) // 6)
    reach_second = min(_SEARCH, len(second) // 6)
    last = len(first) - _BLEND
    starts = np.arange(last - reach_first, last + 1)
    begins = np.arange(0, reach_second + 1)
    flat_a, height_a = _clouds(first, starts)
    flat_b, height_b = _clouds(second, begins)
    dots = flat_a @ flat_b.conj().T  # [A, B]: its angle is the best turn of b
    flat = _squares(flat_a)[:, None] + _squares(flat_b)[None] - 2.0 * np.abs(dots)
    upright = _squares(height_a)[:, None] + _squares(height_b)[None] - 2.0 * height_a @ height_b.T
    misfits = np.sqrt(np.maximum(flat + upright, 0.0) / height_a.shape[1])
    row, column = np.unravel_index(int(np.argmin(misfits)), misfits.shape)
    turn = float(np.angle(dots[row, column]))
    return int(starts[row]), int(begins[column]), turn, float(misfits[row, column])


def _clouds(joints: Array, starts: NDArray[np.int64]) -> tuple[NDArray[np.complex128], Array]:
    """The windows' points: on the floor as z + ix about their middle [W, K], and heights [W, K]."""
    windows = joints[starts[:, None] + np.arange(_BLEND)].reshape(len(starts), -1, 3)
    flat = windows[..., 2] + 1j * windows[..., 0]
    return flat - flat.mean(axis=1, keepdims=True), windows[..., 1]


def _squares(values: Array | NDArray[np.complex128]) -> Array:
    return np.sum(np.abs(values) ** 2, axis=1)


def _ease(frames: int) -> Array:
    """Shares [frames] that rise smoothly from above 0 to below 1."""
    t = np.arange(1, frames + 1) / (frames + 1)
    return t * t * (3.0 - 2.0 * t)


def _largest_step(joints: Array) -> float:
    return float(np.linalg.norm(np.diff(joints, axis=0), axis=-1).max())


def _slide(joints: Array, skeleton: Skeleton) -> float:
    """Metres over the floor that a foot moves while it stands, the worse of both feet."""
    toes = joints[:, [skeleton.left_feet[1], skeleton.right_feet[1]]]
    grounded = toes[..., 1] < _GROUNDED
    steps = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1)
    return float((steps * (grounded[1:] & grounded[:-1])).sum(axis=0).max())
