# SPDX-License-Identifier: GPL-3.0-or-later
"""What an animator sees of a motion, as numbers: sliding feet, jitter, sunken feet, limb lengths.

Every figure is of one motion whose floor is y = 0, in metres and seconds whatever its frame rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import Skeleton

from .data.inspection import METRES

ON_GROUND = 0.05  # metres: a toe lower than this bears weight
SLIDING = 0.5  # metres a second: 2.5 cm a frame at 20 frames a second


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


def foot_skate_ratio(motion: Motion) -> float:
    """Share of the frames in which a toe slides on the ground.

    A toe slides when it is lower than 5 cm in two frames and moves faster than 0.5 m/s between them
    (Karunratanakul et al., Guided Motion Diffusion, ICCV 2023: 2.5 cm a frame at 20 frames a
    second). 0 for a motion of one frame.
    """
    toes = motion.joints[:, [motion.skeleton.left_feet[1], motion.skeleton.right_feet[1]]]
    low = toes[..., 1] < ON_GROUND
    speed = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1) * motion.fps
    sliding = low[1:] & low[:-1] & (speed > SLIDING)
    return float(sliding.any(axis=1).mean()) if len(sliding) else 0.0


def jitter(motion: Motion) -> float:
    """Mean size of the joints' jerk, the third derivative of position, in m/s^3; 0 under 4 frames.

    Yi et al., TransPose, SIGGRAPH 2021. It grows with the frame rate: compare like with like.
    """
    jerk = np.diff(motion.joints.astype(np.float64), n=3, axis=0) * motion.fps**3
    return float(np.linalg.norm(jerk, axis=-1).mean()) if len(jerk) else 0.0


def floor_penetration(motion: Motion) -> float:
    """Mean over the frames of how far the lowest joint is under the floor, in metres.

    Yuan et al., PhysDiff, ICCV 2023, on joints instead of a body's surface.
    """
    lowest = motion.joints[..., 1].min(axis=1)
    return float(np.maximum(-lowest, 0.0).mean())


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


def length_error(real: Motion, other: Motion) -> float:
    """How much longer or shorter the other motion is, in seconds."""
    return abs(other.seconds - real.seconds)
