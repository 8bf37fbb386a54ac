# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints kept within what people can do: softly, so that nothing stops with a jerk.

Off by default: captured motion is within its limits already, and a motion that is meant to break
them should. The limits are round numbers somewhat beyond what textbooks give for trained people.
"""

from __future__ import annotations

import numpy as np

from ..engine.kinematics import forward_kinematics, recover_rotations
from ..engine.rotations import (
    normalise,
    quaternion_conjugate,
    quaternion_from_axis_angle,
    quaternion_multiply,
)
from ..engine.skeleton import Skeleton
from ..engine.twist import HINGES, with_natural_twist
from .rig import Array

# Degrees that a segment may turn against the one it hangs on.
_MOST = {
    "spine1": 80.0,
    **dict.fromkeys(("spine2", "spine3"), 50.0),
    "neck": 65.0,
    **{
        f"{side}_{joint}": most
        for side in ("left", "right")
        for joint, most in (("collar", 40.0), ("shoulder", 160.0), ("hip", 140.0), ("ankle", 95.0))
    },
}
_BENT = {"elbow": 155.0, "knee": 160.0}  # degrees that a hinge may bend; none the other way
_EASY = 0.8  # share of a limit up to which nothing changes
_STRAIGHT = np.radians(4.0)  # how softly a hinge comes to its end


def limited_joints(joints: Array, skeleton: Skeleton, fps: float) -> Array:
    """The motion [T, J, 3] with all joints within their limits, on the skeleton's bone lengths."""
    rest, names, parents = skeleton.rest_pose, skeleton.joint_names, skeleton.parents
    turns = recover_rotations(joints, rest, skeleton, fps=fps)
    turns = with_natural_twist(turns, joints, rest, skeleton, fps)
    limited = turns.copy()
    for joint in skeleton.order[1:]:
        parent, name = parents[joint], names[joint]
        local = quaternion_multiply(quaternion_conjugate(turns[:, parent]), turns[:, joint])
        vector = _rotation_vectors(local)
        part = name.split("_")[-1]
        if part in _BENT:
            vector = _limited_hinge(vector, HINGES[name], np.radians(_BENT[part]))
        elif name in _MOST:
            vector = _shortened(vector, np.radians(_MOST[name]))
        angle = np.linalg.norm(vector, axis=-1)
        local = quaternion_from_axis_angle(normalise(vector), angle)
        limited[:, joint] = quaternion_multiply(limited[:, parent], local)
    return forward_kinematics(limited, joints[:, 0], rest, skeleton)


def _limited_hinge(vector: Array, hinge: Array, most: float) -> Array:
    """Rotation vectors [T, 3] with what they bend about the hinge [3] between straight and most."""
    bend = vector @ hinge
    straight = (bend + np.sqrt(bend**2 + _STRAIGHT**2)) / 2.0
    change = straight - bend
    # a hinge that bends rightly is left alone
    change = np.where(bend > 4.0 * _STRAIGHT, np.minimum(change, 0.0), change)
    return _shortened(vector + change[:, None] * hinge, most)


def _shortened(vector: Array, most: float) -> Array:
    """Rotation vectors [T, 3] of angles softly below the most."""
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector * _softly(angle, most) / np.maximum(angle, 1e-9))


def _softly(angle: Array, most: float) -> Array:
    """Angles as they are up to most of the limit, and never beyond it."""
    easy = _EASY * most
    return np.where(
        angle < easy, angle, easy + (most - easy) * np.tanh((angle - easy) / (most - easy))
    )


def _rotation_vectors(turns: Array) -> Array:
    """Axis times angle [T, 3] of quaternions [T, 4], angles from 0 to pi."""
    turns = np.where(turns[..., :1] < 0.0, -turns, turns)
    sine = np.linalg.norm(turns[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, turns[..., :1])
    return np.asarray(turns[..., 1:] / np.maximum(sine, 1e-12) * angle)
