# SPDX-License-Identifier: GPL-3.0-or-later
"""A loop's poses on a rig: what twists and held feet left open at its end is closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..engine.rotations import normalise, quaternion_conjugate, quaternion_multiply
from .rig import PoseTrack

__all__ = ["closed"]

_SECONDS = 0.4  # over which the difference is made up


def closed(track: PoseTrack) -> PoseTrack:
    """The poses with the last one's rotations those of the first.

    A loop's joints end as they begin, but positions do not say every turn of a bone, and feet that
    are held at one end may be free at the other. The last frames take the difference up smoothly.
    """
    turns = track.rotations
    count = min(round(_SECONDS * track.rate), track.frames - 1)
    if count < 1:
        return track
    rest = quaternion_multiply(quaternion_conjugate(turns[-1]), turns[0])
    rest = np.where(rest[..., :1] < 0.0, -rest, rest)
    share = np.linspace(0.0, 1.0, count + 1)[:, None, None]
    share = share * share * (3.0 - 2.0 * share)
    bridge = normalise((1.0 - share) * np.array([1.0, 0.0, 0.0, 0.0]) + share * rest)
    rotations = turns.copy()
    rotations[-count - 1 :] = quaternion_multiply(turns[-count - 1 :], bridge)
    return replace(track, rotations=rotations)
