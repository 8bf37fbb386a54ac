# SPDX-License-Identifier: GPL-3.0-or-later
"""The upper body of one motion over the legs of another (Athanasiou et al., SINC, ICCV 2023).

The legs, the hips and the path are those of the lower motion, so that its feet stand as they stood.
Spine, arms and head keep their directions as seen from where the upper motion's body faces, turned
to where the lower one's faces: bones are only turned, and keep their lengths.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.facts import facing
from training.data.floor import Array
from training.data.phrases import ArmPhrase

_HEADING_SIGMA = 5.0  # frames
_TILT_MEAN, _TILT_MOST = 14.0, 28.0  # degrees between the trunks of the two motions
_TWIST = 50.0  # degrees from the hips to the shoulders
_LIVELY = 0.2  # metres a second of a hand seen from the body, that counts as doing something


def combined_motion(lower: Array, upper: Array, skeleton: Skeleton) -> Array | None:
    """The upper body of one motion [T, J, 3] over the legs of another; None where it cannot be.

    It cannot where the trunk would have to lean or twist otherwise than with the lower motion.
    """
    heading = smoothed_facing(lower, skeleton) - smoothed_facing(upper, skeleton)
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), heading)
    moved = set(upper_joints(skeleton))
    result = lower.copy()
    for chain in skeleton.chains:
        for parent, child in pairwise(chain):
            if child in moved:
                bone = quaternion_rotate(turn, upper[:, child] - upper[:, parent])
                result[:, child] = result[:, parent] + bone
    tilt = np.degrees(_angles(_trunk(result, skeleton), _trunk(lower, skeleton)))
    if tilt.mean() > _TILT_MEAN or tilt.max() > _TILT_MOST:
        return None
    if np.degrees(np.abs(_twist(result, skeleton))).max() > _TWIST:
        return None
    return result


def upper_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """Joints above the first of the spine, which belongs to the hips."""
    feet = {*skeleton.left_feet, *skeleton.right_feet}
    chains = [chain for chain in skeleton.chains if not feet & set(chain)]
    return tuple(sorted({j for chain in chains for j in chain} - {0, chains[0][1]}))


def liveliest_window(upper: Array, phrase: ArmPhrase, frames: int, skeleton: Skeleton) -> int:
    """The first frame of the window in which the arms do most of what the phrase says."""
    hands = _hands(phrase)
    wrists = [skeleton.joint_names.index(f"{side}_wrist") for side in hands]
    measure = _hand_speeds(upper, skeleton)[:, [("left", "right").index(s) for s in hands]].mean(1)
    if phrase.raised:
        head = upper[:, skeleton.joint_names.index("head"), 1]
        measure = np.minimum(upper[:, wrists, 1] - head[:, None], 0.0).mean(axis=1)[:-1]
    sums = np.concatenate(([0.0], np.cumsum(measure)))
    windows = sums[frames - 1 :] - sums[: len(sums) - frames + 1]
    return int(np.argmax(windows))


def does_what_is_said(joints: Array, phrase: ArmPhrase, skeleton: Skeleton) -> bool:
    """Whether the arms of a motion [T, J, 3] can be seen to do what the phrase says."""
    names = skeleton.joint_names
    head = joints[:, names.index("head")]
    wrists = {side: joints[:, names.index(f"{side}_wrist")] for side in ("left", "right")}
    up = {side: float((wrist[:, 1] > head[:, 1]).mean()) for side, wrist in wrists.items()}
    if phrase.raised:
        others = [side for side in up if side not in phrase.sides]
        return min(up[side] for side in _hands(phrase)) > 0.3 and all(up[s] < 0.1 for s in others)
    if phrase.verb == "drink":
        near = [np.linalg.norm(wrist - head, axis=-1) < 0.3 for wrist in wrists.values()]
        return bool(np.any(near, axis=0).mean() > 0.15)
    speeds = dict(zip(("left", "right"), _hand_speeds(joints, skeleton).mean(axis=0), strict=True))
    if phrase.sides:
        return all(speeds[side] > _LIVELY for side in phrase.sides)
    return max(speeds.values()) > _LIVELY


def _hands(phrase: ArmPhrase) -> tuple[str, ...]:
    return phrase.sides or ("left", "right")


def _hand_speeds(joints: Array, skeleton: Skeleton) -> Array:
    """Metres a second [T - 1, 2] of the left and the right hand as seen from the body."""
    names = skeleton.joint_names
    wrists = [names.index("left_wrist"), names.index("right_wrist")]
    local = joints[:, wrists] - joints[:, [names.index("neck")]]
    heading = -smoothed_facing(joints, skeleton)
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), heading)
    seen = quaternion_rotate(turn[:, None], local)
    return np.linalg.norm(np.diff(seen, axis=0), axis=-1) * skeleton.fps


def smoothed_facing(joints: Array, skeleton: Skeleton) -> Array:
    """Yaw [T] in radians of where the body faces, without the swing of each step."""
    yaw = facing(joints, skeleton)
    radius = int(3 * _HEADING_SIGMA)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _HEADING_SIGMA) ** 2)
    return np.convolve(np.pad(yaw, radius, mode="edge"), kernel / kernel.sum(), "valid")


def _trunk(joints: Array, skeleton: Skeleton) -> Array:
    return joints[:, skeleton.joint_names.index("neck")] - joints[:, 0]


def _angles(first: Array, second: Array) -> Array:
    """Radians [T] between vectors [T, 3]."""
    across = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.arctan2(across, np.sum(first * second, axis=-1))


def _twist(joints: Array, skeleton: Skeleton) -> NDArray[np.float64]:
    """Yaw [T] in radians from the hips to the shoulders."""
    s = skeleton
    hips = joints[:, s.left_hip] - joints[:, s.right_hip]
    shoulders = joints[:, s.left_shoulder] - joints[:, s.right_shoulder]
    yaw = np.arctan2(-shoulders[:, 2], shoulders[:, 0]) - np.arctan2(-hips[:, 2], hips[:, 0])
    return (yaw + np.pi) % (2 * np.pi) - np.pi
