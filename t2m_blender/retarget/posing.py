# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig posed by a PoseTrack, as Blender composes pose channels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..engine.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
    quaternion_to_matrix,
)
from .rig import Array, Bone, PoseTrack, Rig


def posed_bones(rig: Rig, track: PoseTrack) -> Array:
    """[T, N, 4, 4] armature-space matrices of the bones (Blender's `PoseBone.matrix`)."""
    posed = np.empty((track.frames, len(rig.bones), 4, 4))
    number = {bone.name: k for k, bone in enumerate(rig.bones)}
    turning = {name: k for k, name in enumerate(track.bone_names)}
    for bone in rig.bones:
        above = rig.by_name[bone.parent] if bone.parent is not None else None
        frame = np.broadcast_to(bone.matrix, (track.frames, 4, 4))
        if above is not None:
            frame = posed[:, number[above.name]] @ (np.linalg.inv(above.matrix) @ bone.matrix)
        now = posed[:, number[bone.name]]
        now[:] = frame
        if not bone.inherit_rotation:
            now[:, :3, :3] = bone.matrix[:3, :3]
        if bone.name in turning:
            turn = quaternion_to_matrix(track.rotations[:, turning[bone.name]])
            now[:, :3, :3] = now[:, :3, :3] @ turn
        if bone.name in track.translations:
            axes = frame[:, :3, :3]
            if not bone.local_location:
                axes = posed[:, number[above.name], :3, :3] if above else np.eye(3)
            moved = axes @ track.translations[bone.name][..., None]
            now[:, :3, 3] += moved[..., 0]
    return posed


def location_axes(rig: Rig, bone: Bone) -> Array:
    """[3, 3] whose columns are the axes of a bone's location, all bones above it at rest."""
    if bone.local_location:
        return rotation_part(bone.matrix)
    return rotation_part(rig.by_name[bone.parent].matrix) if bone.parent else np.eye(3)


def local_rotations(rig: Rig, turns: Mapping[str, Array]) -> dict[str, Array]:
    """Rotations [T, 4] of each turned bone in its own rest axes, from turns in armature space.

    A bone between two turned ones is carried along by the upper.
    """
    frames = len(next(iter(turns.values())))
    still = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 1))
    carried: dict[str | None, Array] = {None: still}
    above = {}
    for bone in rig.bones:
        parent = carried[bone.parent] if bone.inherit_rotation else still
        carried[bone.name] = turns.get(bone.name, parent)
        if bone.name in turns:
            above[bone.name] = parent
    axes = matrix_to_quaternion(rotation_part(np.stack([rig.by_name[n].matrix for n in above])))
    inside = quaternion_multiply(
        quaternion_conjugate(np.stack(list(above.values()), axis=1)),
        np.stack([turns[name] for name in above], axis=1),
    )
    local = quaternion_multiply(quaternion_multiply(quaternion_conjugate(axes), inside), axes)
    return dict(zip(above, np.moveaxis(quaternion_continuous(local), 1, 0), strict=True))


def rotation_part(matrices: Array) -> Array:
    """The rotations [..., 3, 3] of matrices [..., 4, 4] that may scale."""
    turn = matrices[..., :3, :3]
    return np.asarray(turn / np.maximum(np.linalg.norm(turn, axis=-2, keepdims=True), 1e-12))
