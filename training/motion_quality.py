# SPDX-License-Identifier: GPL-3.0-or-later
"""What an animator sees of a motion beside a real one, as numbers; `engine/quality.py` has what one
motion alone tells.

Every figure is of motions whose floor is y = 0, in metres and seconds whatever their frame rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import Skeleton

from .data.inspection import METRES


def features_to_motion(
    features: NDArray[np.float32], skeleton: Skeleton, *, still: bool = False
) -> Motion:
    """The motion of features [T, D], not normalised, as a network wrote it: limbs may stretch.

    With `still` the root neither turns nor travels, so that only postures are compared.
    """
    wide = features.astype(np.float64)
    if still:
        wide[:, :3] = 0.0
    joints = features_to_joints(wide, skeleton)
    return Motion(joints * METRES.get(skeleton.name, 1.0), skeleton.fps, skeleton)


def limb_length_error(motion: Motion, lengths: NDArray[np.float64]) -> float:
    """Mean deviation of the bones from their lengths [J] in metres, as a share of these.

    The root (length 0) is left out.
    """
    found = limb_lengths(motion)
    bones = lengths > 0.0
    return float((np.abs(found - lengths)[:, bones] / lengths[bones]).mean())


def limb_lengths(motion: Motion) -> NDArray[np.float64]:
    """[T, J] metres from each joint to its parent, 0 for the root."""
    parents = np.maximum(np.array(motion.skeleton.parents), 0)
    joints = motion.joints.astype(np.float64)
    return np.linalg.norm(joints - joints[:, parents], axis=-1)


def joint_error(real: Motion, other: Motion) -> float:
    """MPJPE: mean distance of like joints in metres, over the frames that both have."""
    frames = min(real.frames, other.frames)
    apart = np.linalg.norm(real.joints[:frames] - other.joints[:frames], axis=-1)
    return float(apart.mean())


def root_path_error(real: Motion, other: Motion) -> float:
    """Mean distance of the roots' floor points in metres, over the frames that both have."""
    frames = min(real.frames, other.frames)
    apart = real.joints[:frames, 0] - other.joints[:frames, 0]
    return float(np.linalg.norm(apart[:, [0, 2]], axis=-1).mean())


def root_error_after(seconds: float, real: Motion, other: Motion) -> float | None:
    """Distance of the roots' floor points after so many seconds, in metres; None where one ends."""
    frame = round(seconds * real.fps)
    if frame >= min(real.frames, other.frames):
        return None
    apart = real.joints[frame, 0] - other.joints[frame, 0]
    return float(np.linalg.norm(apart[[0, 2]]))
