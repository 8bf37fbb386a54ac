# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's own rig: one bone a joint of the skeleton, in a T-pose on the floor."""

from __future__ import annotations

import numpy as np

from ..engine.rotations import normalise
from ..engine.skeleton import HUMANML3D, Skeleton
from .families import preset
from .rig import Array, Bone, Rig
from .solve import FIGURE_TO_MOTION

# Bones that end a chain have no child joint to point at: their direction (y-up) and length.
_LEAF_BONES = {
    "head": ((0.0, 1.0, 0.0), 0.18),
    "left_wrist": ((1.0, 0.0, 0.0), 0.17),
    "right_wrist": ((-1.0, 0.0, 0.0), 0.17),
    "left_foot": ((0.33, 0.0, 0.94), 0.06),
    "right_foot": ((-0.33, 0.0, 0.94), 0.06),
}
# Where a bone of several children points.
_POINTS_AT = {"pelvis": "spine1", "spine3": "neck"}
_FORWARD, _UP = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])


def default_rig(skeleton: Skeleton = HUMANML3D) -> Rig:
    """The rig at rest, Blender's axes: z up, facing -y, the lower foot joint on the floor.

    Bones bend about their local x: z points forward, or up where the bone itself points forward.
    """
    names = skeleton.joint_names
    joints = skeleton.rest_pose - [0.0, skeleton.rest_pose[:, 1].min(), 0.0]
    bones = {joint: names[0] for joint, names in preset("t2m").bones.items()}
    made: list[Bone] = []
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        head = joints[joint]
        if names[joint] in _LEAF_BONES:
            direction, length = _LEAF_BONES[names[joint]]
            tail = head + normalise(np.array(direction)) * length
        else:
            points_at = _POINTS_AT.get(names[joint])
            child = names.index(points_at) if points_at else skeleton.parents.index(joint)
            tail = joints[child]
        above = made[skeleton.order.index(parent)] if parent >= 0 else None
        made.append(
            _bone(bones[names[joint]], above, FIGURE_TO_MOTION.T @ head, FIGURE_TO_MOTION.T @ tail)
        )
    return Rig("T2M Figure", tuple(made))


def _bone(name: str, parent: Bone | None, head: Array, tail: Array) -> Bone:
    forward, up = FIGURE_TO_MOTION.T @ _FORWARD, FIGURE_TO_MOTION.T @ _UP
    y = normalise(tail - head)
    hint = up if y @ forward > 0.7 else forward
    x = normalise(np.cross(y, hint))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((x, y, np.cross(x, y)), axis=-1)
    matrix[:3, 3] = head
    if parent is None:
        return Bone(name, None, head, tail, matrix)
    touches = bool(np.allclose(head, parent.tail, atol=1e-6))
    return Bone(name, parent.name, head, tail, matrix, connected=touches)
