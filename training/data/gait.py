# SPDX-License-Identifier: GPL-3.0-or-later
"""Longer clips from short straight runs and walks, by repeating their best cycle.

Half of CMU's runs cross the capture volume in a second, which is less than the shortest clip of the
dataset; without them a model hardly learns to run.
"""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.skeleton import Skeleton
from training.data.facts import measure
from training.data.floor import Array

_SHORTEST, _LONGEST = 0.5, 1.5  # seconds of a cycle (two steps)
_MISMATCH = 0.06  # metres, mean over joints, between the ends of a usable cycle


def repeated_gait(joints: Array, skeleton: Skeleton, *, frames: int) -> Array | None:
    """A straight walk or run [T, J, 3] continued to `frames` frames; None where it cannot be.

    The pose goes around the cycle, its small mismatch spread over it; the root goes on as it went.
    """
    facts = measure(joints, skeleton)
    straight = facts.displacement > 0.97 * facts.distance and abs(facts.turn) < 20
    if not (straight and facts.moving > 0.95 and facts.speed > 0.6 and not facts.jumps):
        return None
    way = joints[-1, 0] - joints[0, 0]
    way[1] = 0.0
    steady = np.linspace(0.0, 1.0, len(joints))[:, None] * way  # the mean path; the rest repeats
    local = joints - steady[:, None]
    cycle = _best_cycle(local, skeleton.fps)
    if cycle is None:
        return None
    start, end = cycle
    length = end - start
    drift = local[end] - local[start]
    ramp = np.arange(length)[:, None, None] / length
    period = local[start:end] - ramp * drift
    wanted = np.arange(frames)
    looped = period[(wanted - start) % length]
    speed = way / (len(joints) - 1)
    blend = np.clip((start - wanted) / 3.0, 0.0, 1.0)[:, None, None]  # the clip's own beginning
    own = local[np.minimum(wanted, len(joints) - 1)]
    result = blend * own + (1.0 - blend) * looped
    return rigid_joints(result + (wanted[:, None] * speed)[:, None], skeleton)


def _best_cycle(local: Array, fps: float) -> tuple[int, int] | None:
    """Frames (start, end) between which the pose and its change come back most closely."""
    best, found = _MISMATCH, None
    for length in range(round(_SHORTEST * fps), round(_LONGEST * fps) + 1):
        for start in range(1, len(local) - length - 1):
            here, there = (
                local[start - 1 : start + 2],
                local[start + length - 1 : start + length + 2],
            )
            offset = there - here
            offset = offset - offset[1:2, :1] * [1.0, 0.0, 1.0]
            mismatch = float(np.linalg.norm(offset, axis=-1).mean())
            if mismatch < best:
                best, found = mismatch, (start, start + length)
    return found
