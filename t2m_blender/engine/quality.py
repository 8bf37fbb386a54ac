# SPDX-License-Identifier: GPL-3.0-or-later
"""How clean a motion is, as numbers: sliding feet, jitter, sunken feet.

Every figure is of one motion whose floor is y = 0, in metres and seconds whatever its frame rate.
They say nothing of whether it is what was asked for.
"""

from __future__ import annotations

import numpy as np

from .motion import Motion

__all__ = ["cleanness", "floor_penetration", "foot_skate_ratio", "foot_slide", "jitter"]

ON_GROUND = 0.05  # metres: a toe lower than this bears weight
SLIDING = 0.5  # metres a second: 2.5 cm a frame at 20 frames a second

# Nine of ten captured clips stay below (600 of CMU's at 20 frames a second, 1 to 10 s long).
USUAL_SLIDE = 0.23  # metres a second
USUAL_JITTER = 176.0  # m/s^3
SEEN = 0.01  # metres under the floor that an animator sees; captures stay below 2 mm


def cleanness(motion: Motion) -> float:
    """One figure of slide, jitter and floor, 0 to 1.

    Each of the three counts fully up to what captured motion has, and half at twice as much. Only
    motions of one frame rate compare.
    """
    limits = (
        (foot_slide(motion), USUAL_SLIDE),
        (jitter(motion), USUAL_JITTER),
        (floor_penetration(motion), SEEN),
    )
    return float(np.mean([1.0 if found <= usual else usual / found for found, usual in limits]))


def foot_slide(motion: Motion) -> float:
    """How fast planted feet slide, in metres a second; 0 where contacts are not known.

    The mean over the frames on both sides of which the contact says that a foot is down.
    """
    if motion.contacts is None or motion.frames < 2:
        return 0.0
    feet = motion.joints[:, [*motion.skeleton.left_feet, *motion.skeleton.right_feet]][..., [0, 2]]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * motion.fps
    planted = (motion.contacts[:-1] > 0.5) & (motion.contacts[1:] > 0.5)
    return float(speed[planted].mean()) if planted.any() else 0.0


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
