# SPDX-License-Identifier: GPL-3.0-or-later
"""What predicates look at: a motion turned to where its body faces, with heights over the floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.body_parts import smoothed_facing
from training.data.facts import Facts, measure, standing_height
from training.data.floor import floor_height

Array = NDArray[np.float64]

FPS = HUMANML3D.fps
STANDING = standing_height(HUMANML3D)  # of the root, metres
_JOINT = {name: j for j, name in enumerate(HUMANML3D.joint_names)}


@dataclass(frozen=True, eq=False)
class Seen:
    """One motion.

    Attributes:
        joints: [T, 22, 3] metres, y up, the floor at height 0.
    """

    joints: Array

    @classmethod
    def of(cls, joints: NDArray[np.floating[Any]]) -> Seen:
        """Joints [T, 22, 3] in metres, brought to the floor and to exact bone lengths."""
        wide = rigid_joints(np.asarray(joints, dtype=np.float64), HUMANML3D)
        wide[..., 1] -= floor_height(wide)
        return cls(wide)

    @cached_property
    def facts(self) -> Facts:
        """Distance, speed, steps, turns, jumps ..."""
        return measure(self.joints, HUMANML3D)

    @cached_property
    def yaw(self) -> Array:
        """[T] Where the body faces in radians, without the swing of each step; left is positive."""
        return smoothed_facing(self.joints, HUMANML3D)

    @cached_property
    def local(self) -> Array:
        """[T, 22, 3] joints from the root's place on the floor: x left, y up, z ahead."""
        spin = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), -self.yaw)
        return quaternion_rotate(spin[:, None], self.joints - self.joints[:, :1] * [1.0, 0.0, 1.0])

    @cached_property
    def root(self) -> Array:
        """[T] Height of the hips as a share of their height when standing."""
        return self.joints[:, 0, 1] / STANDING

    @cached_property
    def travel(self) -> Array:
        """[T, 2] Where the hips are, to the left and ahead of where the body faced at first."""
        way = self.joints[:, 0][:, [0, 2]] - self.joints[0, 0, [0, 2]]
        left, ahead = np.cos(self.yaw[0]), np.sin(self.yaw[0])
        return np.stack(
            (way[:, 0] * left - way[:, 1] * ahead, way[:, 0] * ahead + way[:, 1] * left), 1
        )

    def joint(self, name: str) -> Array:
        """[T, 3] One joint as `local` has it."""
        return self.local[:, _JOINT[name]]

    def speed(self, name: str) -> Array:
        """[T] Metres a second of a joint as seen from the body, over five frames."""
        return np.linalg.norm(np.gradient(_smoothed(self.joint(name)), axis=0), axis=-1) * FPS

    @cached_property
    def feet(self) -> Array:
        """[T, 2] Height of the lowest joint of the left and of the right foot."""
        heights = self.joints[..., 1]
        return np.stack(
            [
                np.minimum(heights[:, _JOINT[f"{s}_ankle"]] - 0.07, heights[:, _JOINT[f"{s}_foot"]])
                for s in ("left", "right")
            ],
            axis=1,
        )


def seconds(flags: NDArray[np.bool_]) -> float:
    """The longest stretch of True in flags [T], in seconds."""
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest / FPS


def swings(values: Array, size: float) -> int:
    """How often values [T] turn back after having gone at least `size` one way."""
    turns, low, high, way = 0, values[0], values[0], 0
    for value in values:
        low, high = min(low, value), max(high, value)
        if way >= 0 and high - value >= size:
            turns, way, low = turns + (way > 0), -1, value
            high = value
        elif way <= 0 and value - low >= size:
            turns, way, high = turns + (way < 0), 1, value
            low = value
    return turns


def _smoothed(values: Array) -> Array:
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3.0
