# SPDX-License-Identifier: GPL-3.0-or-later
"""Control poses as the channels of the controls, whatever carries these. Main thread only.

A control hangs on helper bones: some ride on their parent, some copy another bone or choose among
several parents. From each control the way is followed up to the nearest control that has keys too,
or to what stays where it is.
"""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..engine.rotations import matrix_to_quaternion, quaternion_continuous
from ..retarget.control_rig import ControlPoses, Switch
from ..retarget.rig import PoseTrack
from .channels import Channel

Array = NDArray[np.float64]

_MATTERS = 0.5  # a constraint of less influence is not followed


def control_track(armature: bpy.types.Object, poses: ControlPoses, rate: float) -> PoseTrack:
    """The pose channels that bring the controls where they must be.

    Args:
        armature: In the pose that it keeps where no control is keyed.
        poses: From `control_poses`.
        rate: Keyed frames a second.
    """
    rotations, locations = [], {}
    for name, wanted in poses.matrices.items():
        bone = armature.pose.bones[name]
        basis = _basis(bone, wanted, _carried(bone.parent, poses) if bone.parent else None)
        rotations.append(quaternion_continuous(matrix_to_quaternion(basis[:, :3, :3])))
        if name in poses.placed:
            locations[name] = basis[:, :3, 3]
    return PoseTrack(tuple(poses.matrices), np.stack(rotations, axis=1), locations, rate)


def switch_channels(
    armature: bpy.types.Object, switches: tuple[Switch, ...]
) -> tuple[list[Channel], dict[str, float]]:
    """One key for each switch that the rig has, and the values that they have now."""
    channels, before = [], {}
    for switch in switches:
        bone = armature.pose.bones.get(switch.bone)
        if bone is None or switch.name not in bone:
            continue
        path = f'{bone.path_from_id()}["{bpy.utils.escape_identifier(switch.name)}"]'
        before[path] = float(bone[switch.name])
        channels.append(Channel(bone.name, path, 0, np.array([switch.value])))
    return channels, before


def _carried(bone: bpy.types.PoseBone, poses: ControlPoses) -> Array:
    """[T, 4, 4] or [1, 4, 4] of a bone while the controls move."""
    after = Matrix.Identity(4)  # from what is followed to the bone that was asked for
    while bone.name not in poses.matrices:
        copied = _copied(bone)
        if copied is not None:
            bone = copied
            continue
        chosen = _chosen_parent(bone)
        if chosen is not None:
            step = chosen.bone.matrix_local.inverted() @ bone.bone.matrix_local
            after, bone = step @ after, chosen
        elif bone.parent is not None:
            rest = bone.parent.bone.matrix_local.inverted() @ bone.bone.matrix_local
            after, bone = rest @ bone.matrix_basis @ after, bone.parent
        else:
            return np.array(bone.bone.matrix_local @ bone.matrix_basis @ after)[None]
    return poses.matrices[bone.name] @ np.array(after)


def _copied(bone: bpy.types.PoseBone) -> bpy.types.PoseBone | None:
    """The bone that this one is made to coincide with."""
    for constraint in reversed(bone.constraints):
        if constraint.type == "COPY_TRANSFORMS" and _acts(constraint, bone):
            in_world = constraint.owner_space == constraint.target_space == "WORLD"
            if in_world and constraint.target == bone.id_data:
                return bone.id_data.pose.bones.get(constraint.subtarget)
    return None


def _chosen_parent(bone: bpy.types.PoseBone) -> bpy.types.PoseBone | None:
    """The one bone of an Armature constraint that carries this one."""
    for constraint in reversed(bone.constraints):
        if constraint.type != "ARMATURE" or not _acts(constraint, bone):
            continue
        targets = [target for target in constraint.targets if target.target == bone.id_data]
        heaviest = max(targets, key=lambda target: target.weight, default=None)
        if heaviest is not None and heaviest.weight > _MATTERS:
            return bone.id_data.pose.bones.get(heaviest.subtarget)
    return None


def _acts(constraint: bpy.types.Constraint, bone: bpy.types.PoseBone) -> bool:
    return constraint.is_valid and not constraint.mute and constraint.influence > _MATTERS


def _basis(bone: bpy.types.PoseBone, wanted: Array, parent: Array | None) -> Array:
    """[T, 4, 4] of the bone's own channels, Blender's `matrix_basis`."""
    rest = bone.bone.matrix_local
    plain = bone.bone.inherit_scale == "FULL" and bone.bone.use_inherit_rotation
    if parent is None:
        above = np.array(rest)[None]
    else:
        above = parent @ np.array(bone.parent.bone.matrix_local.inverted() @ rest)
    if plain and bone.bone.use_local_location:
        return np.linalg.inv(above) @ wanted
    parents = (
        [None] * len(wanted) if parent is None else np.broadcast_to(parent, wanted.shape).tolist()
    )
    found = []
    for matrix, carrying in zip(wanted.tolist(), parents, strict=True):
        given = {}
        if carrying is not None:
            given = {
                "parent_matrix": Matrix(carrying),
                "parent_matrix_local": bone.parent.bone.matrix_local,
            }
        found.append(bone.bone.convert_local_to_pose(Matrix(matrix), rest, invert=True, **given))
    return np.array(found)
