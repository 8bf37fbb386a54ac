# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror image of a motion and of its clip; captions are in `training.data.captions`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.skeleton import Skeleton
from training.data.captions import is_mirrorable, mirror_caption
from training.data.dataset import Clip
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


def mirrored_motion(joints: Array, skeleton: Skeleton) -> Array:
    """The reflected motion [T, J, 3] of someone with exactly the skeleton's bone lengths.

    HumanML3D's skeleton is not symmetric (its left leg is a centimetre longer); without this a
    dataset with mirrored copies would hold two skeletons. Twice is the original.
    """
    return rigid_joints(mirrored_joints(joints, skeleton), skeleton)


def mirrored_clip(clip: Clip) -> Clip:
    """The row of the mirrored copy; captions that cannot be mirrored are left out."""
    texts = [
        (mirror_caption(text), mirror_caption(origin))
        for text, origin in zip(clip.captions, clip.caption_origins, strict=True)
        if is_mirrorable(text)
    ]
    return replace(
        clip,
        id="M" + clip.id,
        captions=tuple(text for text, _ in texts),
        caption_origins=tuple(origin for _, origin in texts),
        mirrored=True,
    )
