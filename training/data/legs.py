# SPDX-License-Identifier: GPL-3.0-or-later
"""Legs that reach for given places: two-bone inverse kinematics, and standing feet kept in place.

A motion whose root has been moved (bent into a curve, turned on the spot) no longer has its feet
where they stood. Here the hips stay where they are put and the legs reach from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.rotations import normalise, quaternion_between, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array

_STILL = 0.45  # metres a second of a toe that stands
_LOW = 0.07  # metres over the floor of a toe that stands
_SHORTEST = 3  # frames that a foot stands at least
_REACH = 0.999  # of the leg's length: a knee is never quite straight


def reaching_legs(joints: Array, ankles: Array, feet: Array, skeleton: Skeleton) -> Array:
    """The motion with its ankles elsewhere; a place out of reach is approached as far as it goes.

    Args:
        joints: [T, J, 3] metres; knees bend to the side to which they do here.
        ankles: [T, 2, 3] where the left and the right ankle shall be.
        feet: [T, 2, 3] from each ankle to its toe.
        skeleton: of the joints.
    """
    result = joints.copy()
    names = skeleton.joint_names
    lengths = np.linalg.norm(skeleton.offsets, axis=-1)
    across = joints[:, skeleton.left_hip] - joints[:, skeleton.right_hip]
    ahead = normalise(np.cross(across, [0.0, 1.0, 0.0]))
    for side, name in enumerate(("left", "right")):
        hip, knee, ankle, toe = (
            names.index(f"{name}_{joint}") for joint in ("hip", "knee", "ankle", "foot")
        )
        limb = joints[:, [hip, knee, ankle]]
        result[:, knee], result[:, ankle] = reaching_limb(
            limb, ankles[:, side], 0.01 * ahead, (float(lengths[knee]), float(lengths[ankle]))
        )
        result[:, toe] = result[:, ankle] + lengths[toe] * normalise(feet[:, side])
    return result


def reaching_limb(
    limb: Array, place: Array, hint: Array, lengths: tuple[float, float]
) -> tuple[Array, Array]:
    """Where the middle and the end [T, 3] of a limb of two bones go when its end goes elsewhere.

    Args:
        limb: [T, 3, 3] its root, middle and end as they are; it keeps to its plane.
        place: [T, 3] for the end.
        hint: [T, 3] to where a straight limb bends, shorter than any real bend.
        lengths: of the two bones.
    """
    first, second = lengths
    root = limb[:, 0]
    wanted = place - root
    distance = np.clip(
        np.linalg.norm(wanted, axis=-1), abs(first - second) + 0.02, (first + second) * _REACH
    )
    axis, own_axis = normalise(wanted), normalise(limb[:, 2] - root)
    bend = limb[:, 1] - root
    bend = bend - np.sum(bend * own_axis, axis=-1, keepdims=True) * own_axis + hint
    bend = quaternion_rotate(quaternion_between(own_axis, axis), bend)
    bend = normalise(bend - np.sum(bend * axis, axis=-1, keepdims=True) * axis)
    along = (first**2 - second**2 + distance**2) / (2.0 * distance)
    out = np.sqrt(np.maximum(first**2 - along**2, 0.0))
    middle = root + along[:, None] * axis + out[:, None] * bend
    return middle, root + distance[:, None] * axis


def standing_feet(joints: Array, skeleton: Skeleton) -> NDArray[np.bool_]:
    """[T, 2] Whether the left and the right toe stand on the floor, which is at height 0."""
    toes = joints[:, [skeleton.left_feet[1], skeleton.right_feet[1]]]
    speed = np.linalg.norm(np.gradient(toes[..., [0, 2]], axis=0), axis=-1) * skeleton.fps
    stands = (speed < _STILL) & (toes[..., 1] < _LOW)
    for side in range(2):
        for start, end in runs_of(stands[:, side]):
            if end - start < _SHORTEST:
                stands[start:end, side] = False
    return stands


def planted(joints: Array, stands: NDArray[np.bool_], skeleton: Skeleton) -> Array:
    """The motion [T, J, 3] with each standing foot [T, 2] kept in its middle place.

    Between two stands the correction goes over from one to the other.
    """
    ankles = [skeleton.left_feet[0], skeleton.right_feet[0]]
    toes = [skeleton.left_feet[1], skeleton.right_feet[1]]
    places = joints[:, ankles].copy()
    times = np.arange(len(joints))
    for side, toe in enumerate(toes):
        known: list[int] = []
        offsets: list[Array] = []
        for start, end in runs_of(stands[:, side]):
            middle = joints[start:end, toe].mean(axis=0)
            for t in range(start, end):
                known.append(t)
                offsets.append((middle - joints[t, toe]) * [1.0, 0.0, 1.0])
        if known:
            table = np.array(offsets)
            for axis in (0, 2):
                places[:, side, axis] += np.interp(times, known, table[:, axis])
    return reaching_legs(joints, places, joints[:, toes] - joints[:, ankles], skeleton)


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of every run of True in flags [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
