# SPDX-License-Identifier: GPL-3.0-or-later
"""Gestures of the arms, drawn by hand from a few key poses, over captured bodies.

Captures of waving, pointing, clapping and the like are rare in free data, and rarer for each side.
A gesture is a list of key poses of one arm, or of both, as directions of the upper arm and the
forearm seen from where the chest faces. It goes smoothly from the captured pose of the arm into the
first key, from key to key, and back. Legs, trunk, head and path stay as captured; a punch and a
throw also turn the upper body. Numbers vary from clip to clip within what is natural.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.rotations import normalise, quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import Skeleton
from training.data.body_parts import smoothed_facing, upper_joints
from training.data.floor import Array

_UP = np.array([0.0, 1.0, 0.0])
OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Key:
    """A pose of one arm at a moment; degrees. Azimuth 0 is ahead, 90 to the arm's own side.

    Attributes:
        time: seconds from the beginning of the gesture.
        upper: azimuth and elevation of the upper arm.
        fore: azimuth and elevation of the forearm.
        weight: 0 the captured arm, 1 the key's.
        twist: of the upper body, positive to the other side (the arm comes forward).
    """

    time: float
    upper: tuple[float, float]
    fore: tuple[float, float]
    weight: float = 1.0
    twist: float = 0.0


@dataclass(frozen=True)
class Gesture:
    """What arms do, and how it is said.

    Attributes:
        does: predicate in the third person: "waves with the left hand".
        gerund: the same as "waving with the left hand".
        keys: side -> poses.
    """

    does: str
    gerund: str
    keys: dict[str, list[Key]]

    @property
    def seconds(self) -> float:
        return max(keys[-1].time for keys in self.keys.values())


def performed(joints: Array, gesture: Gesture, start: float, skeleton: Skeleton) -> Array:
    """The motion [T, J, 3] with the gesture from `start` seconds on."""
    result = joints.copy()
    names = skeleton.joint_names
    times = np.arange(len(joints)) / skeleton.fps - start
    yaw = smoothed_facing(joints, skeleton)
    lengths = np.linalg.norm(skeleton.offsets, axis=-1)
    twist = np.zeros(len(joints))
    for side, keys in gesture.keys.items():
        sign = -1.0 if side == "left" else 1.0
        twist += sign * np.radians(_eased(times, keys, [k.twist * k.weight for k in keys]))
    if np.abs(twist).max() > 1e-3:
        result = _twisted(result, twist, skeleton)
    spin = quaternion_from_axis_angle(_UP, yaw + 0.6 * twist)
    for side, keys in gesture.keys.items():
        collar, shoulder, elbow, wrist = (
            names.index(f"{side}_{joint}") for joint in ("collar", "shoulder", "elbow", "wrist")
        )
        weight = _eased(times, keys, [k.weight for k in keys])[:, None]
        outward = 1.0 if side == "left" else -1.0
        raised = np.zeros(len(joints))
        bones = {}
        for name, child, parent, poses in (
            ("upper", elbow, shoulder, [k.upper for k in keys]),
            ("fore", wrist, elbow, [k.fore for k in keys]),
        ):
            drawn = _eased_directions(times, keys, poses, outward)
            own = normalise(result[:, child] - result[:, parent])
            blended = normalise((1.0 - weight) * own + weight * quaternion_rotate(spin, drawn))
            bones[name] = lengths[child] * blended
            if name == "upper":
                raised = np.clip(blended[:, 1] + 0.2, 0.0, 1.2) * weight[:, 0]
        lift = result[:, shoulder] - result[:, collar] + 0.05 * raised[:, None] * _UP
        result[:, shoulder] = result[:, collar] + lengths[shoulder] * normalise(lift)
        result[:, elbow] = result[:, shoulder] + bones["upper"]
        result[:, wrist] = result[:, elbow] + bones["fore"]
    return rigid_joints(result, skeleton)


def mirrored_gesture(gesture: Gesture) -> Gesture:
    """The same with the other arm."""
    swap = {"left": "right", "right": "left"}
    words = [" ".join(swap.get(w, w) for w in t.split()) for t in (gesture.does, gesture.gerund)]
    return replace(
        gesture,
        does=words[0],
        gerund=words[1],
        keys={OTHER[s]: k for s, k in gesture.keys.items()},
    )


def _twisted(joints: Array, twist: Array, skeleton: Skeleton) -> Array:
    """The upper body turned about the vertical by `twist` [T], growing up the spine."""
    names = skeleton.joint_names
    shares = {"spine2": 0.3, "spine3": 0.65}
    result = joints.copy()
    for joint in upper_joints(skeleton):
        parent = skeleton.parents[joint]
        share = shares.get(names[parent], 0.0 if names[parent] == "spine1" else 1.0)
        if names[joint] == "head":
            share = 0.4
        spin = quaternion_from_axis_angle(_UP, share * twist)
        bone = quaternion_rotate(spin, joints[:, joint] - joints[:, parent])
        result[:, joint] = result[:, parent] + bone
    return result


def _direction(azimuth: float, elevation: float, outward: float) -> Array:
    a, e = np.radians([azimuth, elevation])
    return np.array([outward * np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])


def _shares(times: Array, keys: list[Key]) -> tuple[Array, Array]:
    """The key before each time, and the eased share of the way to the next."""
    at = np.array([key.time for key in keys])
    before = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(at) - 2)
    share = np.clip((times - at[before]) / (at[before + 1] - at[before]), 0.0, 1.0)
    return before, share * share * (3.0 - 2.0 * share)


def _eased(times: Array, keys: list[Key], values: list[float]) -> Array:
    before, share = _shares(times, keys)
    table = np.array(values)
    return np.asarray((1.0 - share) * table[before] + share * table[before + 1])


def _eased_directions(
    times: Array, keys: list[Key], poses: list[tuple[float, float]], outward: float
) -> Array:
    before, share = _shares(times, keys)
    table = np.array([_direction(*pose, outward) for pose in poses])
    return normalise((1.0 - share)[:, None] * table[before] + share[:, None] * table[before + 1])
