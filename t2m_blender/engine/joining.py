# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of motion that meet: in pose, in speed, in place and in heading.

Poses are compared and bent as features, relative to the root's floor point and heading, so that two
pieces meet wherever they are and wherever they face; the way follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .features import Facing, feature_columns, motion_to_features, rigid_joints
from .kinematics import joints_from_directions
from .motion import Motion, catmull_rom
from .rotations import Array
from .skeleton import Skeleton

__all__ = [
    "Performer", "bent", "closed", "local_features", "placed_on", "stretched", "yaw_of",
]  # fmt: skip

_SEAM_SECONDS = 0.5  # in which a piece comes round to meet another
_STRAIGHT = np.radians(25.0)  # of turning in a loop that is meant to go straight on


@dataclass(frozen=True, eq=False)
class Performer:
    """Whose motion it is: bones of other lengths than a model's skeleton has.

    Attributes:
        own: The skeleton with the performer's bone lengths.
        skeleton: The model's.
        floor: The height on which the performer stands.
    """

    own: Skeleton
    skeleton: Skeleton
    floor: float

    @classmethod
    def of(cls, motion: Motion, skeleton: Skeleton) -> Performer:
        """The one in a motion.

        Raises:
            InputError: The motion is of another skeleton, or its legs have no length.
        """
        if motion.skeleton.joint_names != skeleton.joint_names:
            raise InputError(
                f"The motion is of {motion.skeleton.name} and the model of {skeleton.name}: "
                "use a model of the same skeleton."
            )
        pose = motion.joints[0].astype(np.float64)
        performer = cls(
            skeleton.with_bone_lengths(pose), skeleton, float(motion.joints[..., 1].min())
        )
        if not performer.scale > 1e-6:
            raise InputError("The legs of the motion have no length; check its joints.")
        return performer

    @property
    def scale(self) -> float:
        """The length of the performer's legs over that of the skeleton's."""
        legs = list(self.skeleton.leg_bones)
        own, other = (
            np.linalg.norm(s.offsets[legs], axis=-1).sum() for s in (self.own, self.skeleton)
        )
        return float(own / other)

    def to_model(self, joints: NDArray[np.float32]) -> Array:
        """Joints [T, J, 3] on the model's bone lengths, on the floor y = 0."""
        level = joints.astype(np.float64) - np.array([0.0, self.floor, 0.0])
        return rigid_joints(level / self.scale, self.skeleton)

    def from_model(self, joints: Array) -> NDArray[np.float32]:
        """The way back."""
        bones = joints - joints[:, list(self.skeleton.parents)]
        root = joints[:, 0] * self.scale + np.array([0.0, self.floor, 0.0])
        return joints_from_directions(root, bones, self.own).astype(np.float32)


def local_features(joints: Array, skeleton: Skeleton, facing: Facing) -> Array:
    """Features [T, D] of joints [T, J, 3] in metres over the floor: the last moves on as it did.

    `motion_to_features` puts the lowest point on the floor and has no row for the last frame.
    """
    if len(joints) == 1:
        joints = np.repeat(joints, 2, axis=0)
        return local_features(joints, skeleton, facing)[:1]
    moved_on = np.concatenate((joints, 2.0 * joints[-1:] - joints[-2:-1]))
    features = motion_to_features(moved_on, skeleton, uniform=False, facing=facing)
    lowest = moved_on[..., 1].min()
    columns = feature_columns(skeleton)
    features[:, columns["root_height"]] += lowest
    features[:, columns["positions"]][:, 1::3] += lowest
    return features


def stretched(features: Array, times: Array, skeleton: Skeleton) -> Array:
    """Features at other times, evenly apart, in frames; beyond the ends the first or last pose."""
    times = np.clip(np.asarray(times, dtype=np.float64), 0.0, len(features) - 1)
    at = catmull_rom(features, times).astype(np.float64)
    pace = (times[-1] - times[0]) / max(len(times) - 1, 1)
    columns = feature_columns(skeleton)
    for name in ("root_yaw_velocity", "root_velocity", "velocities"):
        at[:, columns[name]] *= pace
    at[:, columns["contacts"]] = at[:, columns["contacts"]].clip(0.0, 1.0)
    return at


def bent(
    features: Array,
    *,
    fps: float,
    start: tuple[Array, Array] | None = None,
    stop: tuple[Array, Array] | None = None,
) -> Array:
    """Features [T, D] that begin and end elsewhere, and come back to themselves in half a second.

    Args:
        features: At least 2 frames.
        fps: Frames a second.
        start: What the first frame is to be [D], and the change to the frame behind it.
        stop: What the last frame is to be, and the change to it from the frame before.
    """
    frames = round(_SEAM_SECONDS * fps)
    if start is not None and stop is not None:
        frames = min(frames, len(features) - 1)  # each end stays where it is
    result = features.copy()
    for ends, way in ((start, 1), (stop, -1)):
        if ends is None:
            continue
        value, change = ends
        # seen from its end: a mirrored piece has its changes mirrored too
        piece, away = features[::way][: frames + 1], way * change
        u = np.arange(len(piece))[:, None] / frames
        offset = (value - piece[0]) * (2 * u**3 - 3 * u**2 + 1)
        offset += (away - (piece[1] - piece[0])) * frames * (u**3 - 2 * u**2 + u)
        result[::way][: frames + 1] += offset
    return result


def closed(features: Array, skeleton: Skeleton) -> Array:
    """A loop [T, D]: the last pose is the first one, and moves as fast.

    A loop that turns by no more than a little is meant to go straight on, and does so.
    """
    first, last = features[0], features[-1]
    # both ends meet half way
    pose = (first + last) / 2.0
    change = ((features[1] - first) + (last - features[-2])) / 2.0
    loop = bent(features, fps=skeleton.fps, start=(pose, change), stop=(pose, change))
    turn = 2.0 * loop[:-1, 0].sum()
    if abs(turn) < _STRAIGHT:
        loop[:, 0] -= turn / 2.0 / (len(loop) - 1)
    return loop


def yaw_of(local: Array, world: Array) -> float:
    """By which angle about y a pose [J, 3] is to be turned to lie as another one does."""
    a, b = (pose - pose[:1] for pose in (local, world))
    sine = np.sum(b[:, 0] * a[:, 2] - b[:, 2] * a[:, 0])
    cosine = np.sum(b[:, 0] * a[:, 0] + b[:, 2] * a[:, 2])
    return float(np.arctan2(sine, cosine))


def placed_on(joints: Array, frame: int, pose: Array) -> Array:
    """Joints [T, J, 3] moved and turned on the floor so that one frame's pose lies on another."""
    yaw = yaw_of(joints[frame], pose)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    turned = (joints - joints[frame, :1]) @ turn.T
    return turned + pose[:1]
