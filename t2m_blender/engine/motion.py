# SPDX-License-Identifier: GPL-3.0-or-later
"""The value that travels between the rooms: a Motion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .skeleton import HUMANML3D, Skeleton


@dataclass(frozen=True, eq=False)
class Motion:
    """Joint positions over time.

    Attributes:
        joints: [T, J, 3] float32, metres, y-up; generated motion faces +z at frame 0.
        fps: Frames a second.
        skeleton: Names and order of the J joints.
        contacts: [T, 4] float32 in 0..1 (left ankle, left toe, right ankle, right toe on the
            ground), or None where unknown.
    """

    joints: NDArray[np.float32]
    fps: float
    skeleton: Skeleton = field(default=HUMANML3D)
    contacts: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        joints = np.ascontiguousarray(self.joints, dtype=np.float32)
        expected = (self.skeleton.joint_count, 3)
        if joints.ndim != 3 or joints.shape[1:] != expected or len(joints) == 0:
            raise InputError(
                f"A motion of {self.skeleton.name} needs joints of shape [T, {expected[0]}, 3] "
                f"with T >= 1; these are {list(joints.shape)}."
            )
        if not np.isfinite(joints).all():
            raise InputError("The motion holds NaN or infinite positions; drop or repair them.")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"A motion needs a positive frame rate; this one has {self.fps}.")
        object.__setattr__(self, "joints", joints)
        if self.contacts is not None:
            contacts = np.ascontiguousarray(self.contacts, dtype=np.float32)
            if contacts.shape != (len(joints), 4):
                raise InputError(
                    f"Contacts of {len(joints)} frames are [{len(joints)}, 4]; "
                    f"these are {list(contacts.shape)}."
                )
            object.__setattr__(self, "contacts", contacts)

    @property
    def frames(self) -> int:
        return len(self.joints)

    @property
    def seconds(self) -> float:
        """T / fps: how long the motion fills a timeline."""
        return self.frames / self.fps

    def resampled(self, frames: int, fps: float) -> Motion:
        """The same motion as `frames` frames at `fps`: first on first, last on last.

        Positions are interpolated by Catmull-Rom splines, which pass through every original frame.
        """
        if frames < 1:
            raise InputError(f"A motion needs at least one frame, not {frames}.")
        times = np.linspace(0.0, self.frames - 1, frames)
        joints = catmull_rom(self.joints, times)
        contacts = None if self.contacts is None else _nearest(self.contacts, times)
        return Motion(joints, fps, self.skeleton, contacts)


def _nearest(values: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.float32]:
    return values[np.rint(times).astype(int)]


def catmull_rom(values: NDArray[Any], times: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values [T, ...] at fractional frames, by splines that pass through every one of them."""
    last = len(values) - 1
    start = np.minimum(np.floor(times).astype(int), max(last - 1, 0))
    u = (times - start).reshape(-1, *[1] * (values.ndim - 1))
    a, b, c, d = (values[np.clip(start + k, 0, last)] for k in (-1, 0, 1, 2))
    # A missing neighbour beyond either end continues the motion in a straight line.
    a = np.where((start == 0).reshape(u.shape), 2.0 * b - c, a)
    d = np.where((start + 2 > last).reshape(u.shape), 2.0 * c - b, d)
    cubic = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return np.asarray(cubic, dtype=np.float32)
