# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's own rig: one bone a joint of the skeleton, at rest on the floor."""

from __future__ import annotations

import numpy as np

from ..engine.rotations import normalise
from ..engine.skeleton import HUMANML3D, Skeleton
from .families import preset
from .rig import Array, Bone, Rig
from .solve import FIGURE_TO_MOTION

# Bones that end a chain have no child joint to point at: their direction (y-up) and length. Those
# of a skeleton that is not a person's go on as their parent does, for a part of its length.
_LEAF_BONES = {
    "head": ((0.0, 1.0, 0.0), 0.18),
    "left_wrist": ((1.0, 0.0, 0.0), 0.17),
    "right_wrist": ((-1.0, 0.0, 0.0), 0.17),
    "left_foot": ((0.33, 0.0, 0.94), 0.06),
    "right_foot": ((-0.33, 0.0, 0.94), 0.06),
}
# Where a bone of several children points.
_POINTS_AT = {"pelvis": "spine1", "spine3": "neck"}
_LEAF_PART = 0.4
_SHORTEST = 1e-3  # metres: Blender keeps no bone without a length
_FORWARD, _UP = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])


def default_rig(skeleton: Skeleton = HUMANML3D) -> Rig:
    """The rig at rest, Blender's axes: z up, facing -y, the lower foot joint on the floor.

    Bones bend about their local x: z points forward, or up where the bone itself does so (or back).
    Where the skeleton is not a person's, bones have its joints' names, and a bone of several
    children points at the first.
    """
    ours = skeleton.name == HUMANML3D.name
    bones = {joint: names[0] for joint, names in preset("t2m").bones.items()} if ours else {}
    joints = skeleton.rest_pose - [0.0, skeleton.rest_pose[:, 1].min(), 0.0]
    made: list[Bone] = []
    for joint in skeleton.order:
        name, parent = skeleton.joint_names[joint], skeleton.parents[joint]
        head, tail = joints[joint], _tail(joint, joints, skeleton)
        above = made[skeleton.order.index(parent)] if parent >= 0 else None
        made.append(
            _bone(
                bones.get(name, name), above, FIGURE_TO_MOTION.T @ head, FIGURE_TO_MOTION.T @ tail
            )
        )
    return Rig("T2M Figure" if ours else skeleton.name, tuple(made))


def _tail(joint: int, joints: Array, skeleton: Skeleton) -> Array:
    """The point [3] at which a joint's bone points."""
    names, parents, head = skeleton.joint_names, skeleton.parents, joints[joint]
    if joint in parents:
        points_at = _POINTS_AT.get(names[joint])
        child = names.index(points_at) if points_at in names else parents.index(joint)
        tail = joints[child]
    elif names[joint] in _LEAF_BONES:
        direction, length = _LEAF_BONES[names[joint]]
        tail = head + normalise(np.array(direction)) * length
    else:
        tail = head + _LEAF_PART * (head - joints[parents[joint]])
    return np.asarray(tail if np.linalg.norm(tail - head) > _SHORTEST else head + 0.05 * _UP)


def _bone(name: str, parent: Bone | None, head: Array, tail: Array) -> Bone:
    forward, up = FIGURE_TO_MOTION.T @ _FORWARD, FIGURE_TO_MOTION.T @ _UP
    y = normalise(tail - head)
    hint = up if abs(y @ forward) > 0.7 else forward
    x = normalise(np.cross(y, hint))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((x, y, np.cross(x, y)), axis=-1)
    matrix[:3, 3] = head
    if parent is None:
        return Bone(name, None, head, tail, matrix)
    touches = bool(np.allclose(head, parent.tail, atol=1e-6))
    return Bone(name, parent.name, head, tail, matrix, connected=touches)
