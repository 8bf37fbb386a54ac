# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a motion before it is shown: feet held, loops closed, the way taken out."""

from __future__ import annotations

import numpy as np

from .features import features_to_joints
from .feet import lock_feet
from .joining import closed, local_features, placed_on
from .kinematics import joints_from_directions
from .motion import Motion
from .rotations import Array
from .skeleton import HUMANML3D

__all__ = ["finished", "hold_feet_within", "smoothed_path"]

_WAY_SECONDS = 0.3  # of smoothing: the sway of the hips is no travel
_AROUND = 2.0  # seconds of the loop before and after it, in which its feet are held too
_EASE = 5  # frames in which held feet come to be where they are held
_CLOSED = 0.01  # metres


def finished(
    motion: Motion, *, foot_lock: bool = True, loop: bool = False, in_place: bool = False
) -> Motion:
    """The motion as it is shown.

    Args:
        motion: Any with at least one frame.
        foot_lock: Planted feet of a person stand still and above the floor; the contacts are what
            is held.
        loop: The last pose is the first one, moved on, and moves as fast; the end is bent so where
            it is not. What else is done is done around the seam too.
        in_place: The way over the floor is taken out: the figure stays where it begins.
    """
    if motion.frames < 2:
        return motion
    if loop and not _is_closed(motion):
        motion = _closed(motion)
    laps, begin = _repeated(motion) if loop else (motion, 0)
    if foot_lock and _is_person(motion):
        laps = lock_feet(laps)
    if in_place:
        laps = _without_way(laps)
    if laps is motion or not loop:
        return laps
    rows = slice(begin, begin + motion.frames)
    joints = placed_on(laps.joints[rows].astype(np.float64), 0, motion.joints[0])
    contacts = None if laps.contacts is None else laps.contacts[rows]
    return Motion(joints.astype(np.float32), motion.fps, motion.skeleton, contacts)


def hold_feet_within(motion: Motion, start: int, stop: int) -> Motion:
    """The motion with its feet held in [start, stop), and not one number changed outside."""
    if not _is_person(motion):
        return motion
    locked = lock_feet(motion)
    frames = np.arange(start, stop)
    weight = np.ones(len(frames))
    if start > 0:
        weight = np.minimum(weight, (frames - start + 1) / _EASE)
    if stop < motion.frames:
        weight = np.minimum(weight, (stop - frames) / _EASE)
    before, after = (m.joints[start:stop].astype(np.float64) for m in (motion, locked))
    joints = before + weight[:, None, None] * (after - before)
    result = motion.joints.copy()
    result[start:stop] = _rigid(joints, motion, before[0]).astype(np.float32)
    contacts = locked.contacts if motion.contacts is None else motion.contacts.copy()
    if contacts is not None and locked.contacts is not None:
        contacts[start:stop] = locked.contacts[start:stop]
    return Motion(result, motion.fps, motion.skeleton, contacts)


def smoothed_path(values: Array, sigma: float) -> Array:
    """A Gaussian over time [T, 3], in frames; beyond the ends the path goes straight on."""
    radius = min(int(4.0 * sigma + 0.5), len(values) - 1)
    if radius < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-9)) ** 2)
    kernel /= kernel.sum()
    before = 2.0 * values[0] - values[radius:0:-1]
    after = 2.0 * values[-1] - values[-2 : -radius - 2 : -1]
    held = np.concatenate((before, values, after))
    return np.stack([np.convolve(held[:, c], kernel, "valid") for c in range(3)], axis=1)


def _is_person(motion: Motion) -> bool:
    return motion.skeleton.joint_names == HUMANML3D.joint_names


def _is_closed(motion: Motion) -> bool:
    joints = motion.joints.astype(np.float64)
    moved = placed_on(joints, -1, joints[0])
    return bool(np.abs(moved[-1] - joints[0]).max() < _CLOSED)


def _closed(motion: Motion) -> Motion:
    """The motion as a loop."""
    joints, skeleton = motion.joints.astype(np.float64), motion.skeleton
    features = closed(local_features(joints, skeleton, "body"), skeleton)
    made = _rigid(features_to_joints(features, skeleton), motion, joints[0])
    placed = placed_on(made, 0, joints[0]).astype(np.float32)
    return Motion(placed, motion.fps, skeleton, motion.contacts)


def _repeated(motion: Motion) -> tuple[Motion, int]:
    """The loop several times in a row, and the first frame of the one in the middle."""
    period = motion.frames - 1
    rounds = int(np.ceil(_AROUND * motion.fps / period))
    laps = [motion.joints.astype(np.float64)]
    for _ in range(2 * rounds):
        laps.append(placed_on(laps[0], 0, laps[-1][-1]))
    joints = np.concatenate([lap[:-1] for lap in laps] + [laps[-1][-1:]])
    contacts = motion.contacts
    if contacts is not None:
        contacts = np.concatenate((np.tile(contacts[:-1], (len(laps), 1)), contacts[-1:]))
    return Motion(joints.astype(np.float32), motion.fps, motion.skeleton, contacts), rounds * period


def _without_way(motion: Motion) -> Motion:
    joints = motion.joints.astype(np.float64)
    root = joints[:, 0] * np.array([1.0, 0.0, 1.0])
    way = smoothed_path(root, _WAY_SECONDS * motion.fps)
    joints -= (way - way[0])[:, None]
    return Motion(joints.astype(np.float32), motion.fps, motion.skeleton, motion.contacts)


def _rigid(joints: Array, motion: Motion, pose: Array) -> Array:
    """Joints [T, J, 3] with the bone lengths of a pose."""
    own = motion.skeleton.with_bone_lengths(pose)
    return joints_from_directions(joints[:, 0], joints - joints[:, list(own.parents)], own)
