# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig posed by a PoseTrack without Blender, for the tests beside this file."""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.rotations import quaternion_to_matrix
from t2m_blender.retarget import PoseTrack, Rig


def posed_bones(rig: Rig, track: PoseTrack) -> np.ndarray:
    """[T, N, 4, 4] in armature space, as Blender composes pose channels."""
    posed: dict[str, np.ndarray] = {}
    for bone in rig.bones:
        basis = np.tile(np.eye(4), (track.frames, 1, 1))
        if bone.name in track.bone_names:
            column = track.bone_names.index(bone.name)
            basis[:, :3, :3] = quaternion_to_matrix(track.rotations[:, column])
        if bone.name == track.root:
            basis[:, :3, 3] = track.translation
        above = np.eye(4)
        if bone.parent is not None:
            parent = rig.by_name[bone.parent]
            above = posed[bone.parent] @ np.linalg.inv(parent.matrix)
        posed[bone.name] = above @ bone.matrix @ basis
    return np.stack([posed[bone.name] for bone in rig.bones], axis=1)
