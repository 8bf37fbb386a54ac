# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror image of a motion; its captions are mirrored in `training.data.captions`."""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.skeleton import Skeleton
from training.data.floor import Array

_OTHER = {"left": "right", "right": "left"}


def mirrored_joints(joints: Array, skeleton: Skeleton) -> Array:
    """The motion [..., J, 3] reflected at the plane x = 0, with left and right joints swapped."""
    names = skeleton.joint_names
    index = []
    for name in names:
        side, _, rest = name.partition("_")
        index.append(names.index(f"{_OTHER[side]}_{rest}" if side in _OTHER else name))
    return joints[..., index, :] * np.array([-1.0, 1.0, 1.0])
