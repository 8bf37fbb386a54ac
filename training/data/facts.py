# SPDX-License-Identifier: GPL-3.0-or-later
"""What a motion does, measured: distance, speed, steps, turns, jumps, sitting, raised hands.

`measure` gives numbers for a clip, `training.data.sentences` says them; `find_actions` cuts a long
motion where actions begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array, floor_height

_GRAVITY = 9.81
_SWING = 0.5  # metres a second of a toe that is being put elsewhere
_STEP = 0.15  # metres
_SEAT = 0.72  # of the standing height of the root
_BEHIND = 0.2  # metres from the trunk's middle to the ankles


@dataclass(frozen=True)
class Facts:
    """Measured over a clip; metres, seconds, degrees. Left turns are positive.

    Attributes:
        seconds: length.
        distance: length of the root's path over the floor.
        displacement: from its start to its end.
        speed: mean while moving (faster than 0.3 m/s).
        moving: share of the time in which the root moves.
        turn: how far the body has turned.
        path_turn: how far the direction of the path has turned, while moving.
        heading: mean angle of the path from where the body faces; 90 is to its left.
        heading_spread: mean resultant length of that angle; 1 is always the same.
        steps: how often a foot leaves its place and is put down at least 15 cm further on.
        jumps: (take-off, landing, forward, left) seconds and metres of every flight.
        jump_height: the most that the root rises above its standing height in a flight; else 0.
        sitting: share of the time in which the body rests low behind the feet.
        sits_first, sits_last: it does so in the first, in the last half second.
        squats: how often it goes down over the feet and comes up again.
        lowest, first_height, last_height: root height as a share of the standing height.
        stillness: 95th percentile of the fastest joint's speed.
        left_hand_up, right_hand_up: share of the time in which a hand is above the head.
        left_hand_high, right_hand_high: share of the time in which it is above the hips by 15 cm.
        upright: 5th percentile of the cosine between the trunk and the vertical.
    """

    seconds: float
    distance: float
    displacement: float
    speed: float
    moving: float
    turn: float
    path_turn: float
    heading: float
    heading_spread: float
    steps: int
    jumps: tuple[tuple[float, float, float, float], ...]
    jump_height: float
    sitting: float
    sits_first: bool
    sits_last: bool
    squats: int
    lowest: float
    first_height: float
    last_height: float
    stillness: float
    left_hand_up: float
    right_hand_up: float
    left_hand_high: float
    right_hand_high: float
    upright: float

    @property
    def turn_size(self) -> float:
        """Degrees turned, to whichever side."""
        return abs(self.turn)


def measure(joints: Array, skeleton: Skeleton) -> Facts:
    """The facts of a clip [T, J, 3] in metres, y up, T >= 2."""
    fps = skeleton.fps
    index = {name: j for j, name in enumerate(skeleton.joint_names)}
    root = joints[:, 0]
    height = (root[:, 1] - floor_height(joints)) / standing_height(skeleton)
    smooth = _smoothed(root[:, [0, 2]], 5)
    velocity = np.diff(smooth, axis=0) * fps
    speed = np.linalg.norm(velocity, axis=-1)
    yaw = facing(joints, skeleton)
    moving = speed > 0.3
    path = np.arctan2(velocity[:, 0], velocity[:, 1])
    relative = (path - yaw[:-1])[moving]
    mean_heading = np.exp(1j * relative).mean() if moving.any() else 0j
    along = np.unwrap(path[moving]) if moving.any() else np.zeros(1)
    edge = max(1, min(5, len(along) // 4))
    speeds = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=1) * fps
    trunk = joints[:, index["neck"]] - root
    head = joints[:, index["head"], 1]
    found = flights(joints, skeleton)
    sits = _sitting(joints, height, yaw, skeleton)
    half_second = max(1, round(0.5 * fps))
    return Facts(
        seconds=len(joints) / fps,
        distance=float(np.linalg.norm(np.diff(smooth, axis=0), axis=-1).sum()),
        displacement=float(np.linalg.norm(smooth[-1] - smooth[0])),
        speed=float(speed[moving].mean()) if moving.any() else 0.0,
        moving=float(moving.mean()),
        turn=float(np.degrees(yaw[-1] - yaw[0])),
        path_turn=float(np.degrees(along[-edge:].mean() - along[:edge].mean())),
        heading=float(np.degrees(np.angle(mean_heading))),
        heading_spread=float(abs(mean_heading)),
        steps=count_steps(joints, skeleton),
        jumps=found,
        jump_height=max((_rise(height, j, skeleton) for j in found), default=0.0),
        sitting=float(sits.mean()),
        sits_first=bool(sits[:half_second].mean() > 0.7),
        sits_last=bool(sits[-half_second:].mean() > 0.7),
        squats=_squats(height, sits),
        lowest=float(height.min()),
        first_height=float(height[0]),
        last_height=float(height[-1]),
        stillness=float(np.percentile(speeds, 95)),
        left_hand_up=float((joints[:, index["left_wrist"], 1] > head).mean()),
        right_hand_up=float((joints[:, index["right_wrist"], 1] > head).mean()),
        left_hand_high=float((joints[:, index["left_wrist"], 1] > root[:, 1] + 0.15).mean()),
        right_hand_high=float((joints[:, index["right_wrist"], 1] > root[:, 1] + 0.15).mean()),
        upright=float(np.percentile(trunk[:, 1] / np.linalg.norm(trunk, axis=-1), 5)),
    )


def standing_height(skeleton: Skeleton) -> float:
    """Height of the root over the floor with straight legs."""
    rest = skeleton.rest_pose
    return float(-rest[:, 1].min())


def facing(joints: Array, skeleton: Skeleton) -> Array:
    """Yaw [T] in radians of where the body faces: 0 is +z, growing to the left, continuous."""
    s = skeleton
    across = (joints[:, s.left_hip] - joints[:, s.right_hip]) + (
        joints[:, s.left_shoulder] - joints[:, s.right_shoulder]
    )
    return np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))


def flights(joints: Array, skeleton: Skeleton) -> tuple[tuple[float, float, float, float], ...]:
    """Jumps: both feet off the floor while the root falls freely.

    Returns:
        (take-off, landing) in seconds and the (forward, left) way of the root, for each jump.
    """
    fps = skeleton.fps
    feet = [*skeleton.left_feet, *skeleton.right_feet]
    ankles, toes = feet[::2], feet[1::2]
    floor = floor_height(joints)
    clear = (joints[:, toes, 1].min(axis=1) - floor > 0.06) & (
        joints[:, ankles, 1].min(axis=1) - floor > 0.14
    )
    edges = np.flatnonzero(np.diff(np.concatenate(([0], clear.astype(int), [0]))))
    yaw = facing(joints, skeleton)
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < 4 or start == 0 or end == len(joints):
            continue
        times = np.arange(end - start) / fps
        fall = -2.0 * np.polyfit(times, joints[start:end, 0, 1], 2)[0]
        if not 0.6 * _GRAVITY < fall < 1.35 * _GRAVITY:
            continue
        way = joints[end, 0, [0, 2]] - joints[start - 1, 0, [0, 2]]
        ahead = np.array([np.sin(yaw[start]), np.cos(yaw[start])])
        left = np.array([ahead[1], -ahead[0]])
        found.append((start / fps, end / fps, float(way @ ahead), float(way @ left)))
    return tuple(found)


def count_steps(joints: Array, skeleton: Skeleton) -> int:
    """How often a foot swings through the air or over the floor by at least 15 cm."""
    count = 0
    for _, toe in (skeleton.left_feet, skeleton.right_feet):
        path = _smoothed(joints[:, toe][:, [0, 2]], 3)
        swinging = np.linalg.norm(np.diff(path, axis=0), axis=-1) * skeleton.fps > _SWING
        for start, end in _runs(swinging):
            count += bool(np.linalg.norm(path[end] - path[start]) > _STEP)
    return count


def _rise(height: Array, jump: tuple[float, float, float, float], skeleton: Skeleton) -> float:
    """Metres of the root over its standing height in a flight; height [T] is a share of that."""
    frames = slice(round(jump[0] * skeleton.fps), round(jump[1] * skeleton.fps))
    return max(0.0, float(height[frames].max() - 1.0) * standing_height(skeleton))


def _sitting(joints: Array, height: Array, yaw: Array, skeleton: Skeleton) -> NDArray[np.bool_]:
    """[T] Whether the body is low and so far behind the feet that something must carry it."""
    ankles = joints[:, [skeleton.left_feet[0], skeleton.right_feet[0]]].mean(axis=1)
    trunk = (joints[:, 0] + joints[:, skeleton.joint_names.index("neck")]) / 2
    ahead = np.stack((np.sin(yaw), np.cos(yaw)), axis=1)
    behind = -np.sum((trunk - ankles)[:, [0, 2]] * ahead, axis=1)
    speed = np.linalg.norm(np.gradient(joints[:, 0], axis=0), axis=-1) * skeleton.fps
    return (height < _SEAT) & (behind > _BEHIND) & (speed < 0.5)


def _squats(height: Array, sits: NDArray[np.bool_]) -> int:
    """How often the root goes from over 85% down under 60% and up again, without sitting there."""
    level = np.where(height < 0.6, -1, np.where(height > 0.85, 1, 0))
    known = np.flatnonzero(level)
    changes = known[np.flatnonzero(np.diff(level[known], prepend=0))]
    count = 0
    for before, low, after in zip(changes, changes[1:], changes[2:], strict=False):
        count += bool(level[before] > 0 and not sits[low:after].mean() > 0.3)
    return count


def find_actions(joints: Array, skeleton: Skeleton) -> list[tuple[int, int]]:
    """Frames [start, end) of actions in a long motion: walks, runs and jumps, from their beginning.

    Only places where an action stands out are given; they do not overlap and have 40 to 200 frames.
    """
    fps = skeleton.fps
    found: list[tuple[int, int]] = []
    speed = np.linalg.norm(np.diff(_smoothed(joints[:, 0][:, [0, 2]], 9), axis=0), axis=-1) * fps
    moving = np.concatenate((speed > 0.35, [False]))
    for start, end in _runs(moving):
        if end - start >= 40:
            begin = max(0, start - 6)
            parts = int(np.ceil((end - begin) / 160))
            edges = np.linspace(begin, min(end + 4, len(joints)), parts + 1).astype(int)
            found += list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    still = ~moving
    for take_off, landing, _, _ in flights(joints, skeleton):
        start, end = int(take_off * fps) - 24, int(landing * fps) + 20
        if start >= 0 and end <= len(joints) and still[[start, end - 1]].all():
            found.append((start, end))
    kept: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if 40 <= end - start <= 200 and (not kept or start >= kept[-1][1]):
            kept.append((start, end))
    return kept


def _smoothed(values: Array, width: int) -> Array:
    """A moving mean over time [T, C] of odd width, edges held."""
    padded = np.pad(values, ((width // 2, width // 2), (0, 0)), mode="edge")
    kernel = np.full(width, 1.0 / width)
    return np.stack([np.convolve(padded[:, c], kernel, "valid") for c in range(values.shape[1])], 1)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
