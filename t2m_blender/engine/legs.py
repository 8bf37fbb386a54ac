# SPDX-License-Identifier: GPL-3.0-or-later
"""Two legs over time, and two-bone inverse kinematics that bends their knees.

Nothing here knows a skeleton or a rig: callers bring y-up metres at the size of an adult.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .banded import Array
from .rotations import normalise, quaternion_between, quaternion_rotate

REACH = 0.998
"""Of a leg's length: how far its ankle may be from its hip."""

_KNEE_MOST = np.radians(4.8)  # that a knee's change may differ from before, a frame
_SURE_BEND = 0.03  # metres off the line from hip to ankle that tell where a knee points


@dataclass(frozen=True, eq=False)
class Legs:
    """Both legs over time, left then right: each [T, 2, 3], metres, y-up."""

    hips: Array
    knees: Array
    ankles: Array
    balls: Array

    @property
    def thigh(self) -> Array:
        """[T, 2] lengths."""
        return np.asarray(np.linalg.norm(self.knees - self.hips, axis=-1))

    @property
    def shin(self) -> Array:
        """[T, 2] lengths."""
        return np.asarray(np.linalg.norm(self.ankles - self.knees, axis=-1))

    @property
    def foot(self) -> Array:
        """[T, 2] lengths."""
        return np.asarray(np.linalg.norm(self.balls - self.ankles, axis=-1))

    @property
    def distance(self) -> Array:
        """[T, 2] from hip to ankle."""
        return np.asarray(np.linalg.norm(self.ankles - self.hips, axis=-1))

    def knee_angles(self, distance: Array | None = None) -> Array:
        """The angles [T, 2] in radians between shins and thighs; pi is straight.

        For these legs, or for other distances [T, 2] from hip to ankle: pi where out of reach.
        """
        distance = self.distance if distance is None else distance
        thigh, shin = self.thigh, self.shin
        cosine = (thigh**2 + shin**2 - distance**2) / (2.0 * thigh * shin)
        return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def bent_legs(hips: Array, ankles: Array, balls: Array, before: Legs, fps: float) -> Legs:
    """Legs from the hips to the ankles, their knees bent to where they were bent before.

    A foot out of reach is taken along, and so is one that a knee would have to follow too fast.

    Args:
        hips, ankles, balls: [T, 2, 3] where they are to be.
        before: Whose lengths and knees count.
        fps: Frames a second.
    """
    thigh, shin = before.thigh[..., None], before.shin[..., None]
    now = ankles - hips
    distance = np.linalg.norm(now, axis=-1)
    angle = before.knee_angles()
    longest = np.maximum(before.knee_angles(REACH * (before.thigh + before.shin)), angle)
    change = np.minimum(before.knee_angles(distance), longest) - angle
    bent = angle + _no_steeper(change, min(_KNEE_MOST, _KNEE_MOST * 20.0 / fps))
    bent = np.minimum(bent, np.pi)[..., None]
    reached = np.sqrt(thigh**2 + shin**2 - 2.0 * thigh * shin * np.cos(bent))
    pulled = normalise(now) * (reached - distance[..., None])
    now, ankles, balls = now + pulled, ankles + pulled, balls + pulled

    straight = before.ankles - before.hips
    along = normalise(straight)
    bend = before.knees - before.hips
    bend = bend - along * np.sum(bend * along, axis=-1, keepdims=True)
    ahead = before.balls - before.ankles
    ahead = normalise(ahead - along * np.sum(ahead * along, axis=-1, keepdims=True))
    unsure = np.maximum(_SURE_BEND - np.linalg.norm(bend, axis=-1, keepdims=True), 0.0)
    bend = quaternion_rotate(quaternion_between(straight, now), bend + unsure * ahead)
    axis = normalise(now)
    side = normalise(bend - axis * np.sum(bend * axis, axis=-1, keepdims=True))
    foot_of_knee = (thigh**2 - shin**2 + reached**2) / (2.0 * np.maximum(reached, 1e-9))
    height = np.sqrt(np.maximum(thigh**2 - foot_of_knee**2, 0.0))
    return Legs(hips, hips + axis * foot_of_knee + side * height, ankles, balls)


def _no_steeper(values: Array, most: float) -> Array:
    """The largest values [T, ...] not above these that change by no more from frame to frame.

    Never above: a leg that is bent too little would push its foot into the floor.
    """
    under = values.copy()
    for t in range(1, len(under)):
        under[t] = np.minimum(under[t], under[t - 1] + most)
    for t in range(len(under) - 2, -1, -1):
        under[t] = np.minimum(under[t], under[t + 1] + most)
    return under
