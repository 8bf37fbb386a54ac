# SPDX-License-Identifier: GPL-3.0-or-later
"""Control poses as the channels of the controls, whatever carries these. Main thread only.

A control hangs on helper bones: some ride on their parent, some copy another bone or choose among
several parents. From each control the way is followed up, as the switches will be set, to the
nearest control that has keys too, or to what stays where it is.
"""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..engine.rotations import matrix_to_quaternion, quaternion_continuous
from ..retarget.control_rig import ControlPoses, Switch
from ..retarget.rig import PoseTrack
from ..retarget.wiring import Settings, Wiring
from .channels import Channel
from .wiring import property_owner

Array = NDArray[np.float64]


def control_track(
    armature: bpy.types.Object, wiring: Wiring, poses: ControlPoses, rate: float
) -> PoseTrack:
    """The pose channels that bring the controls where they must be.

    Args:
        armature: In the pose that it keeps where no control is keyed.
        wiring: Of the armature.
        poses: From `control_poses`.
        rate: Keyed frames a second.
    """
    rotations, locations = [], {}
    settings = {**wiring.settings, **{(s.bone, s.name): s.value for s in poses.switches}}
    for name, wanted in poses.matrices.items():
        bone = armature.pose.bones[name]
        carrier = armature.pose.bones.get(wiring.carrier(name, settings)[0] or "")
        carried = _carried(carrier, poses, wiring, settings) if carrier else None
        basis = _basis(bone, wanted, carrier, carried)
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
        owner = property_owner(armature, switch.bone)
        if owner is None or switch.name not in owner:
            continue
        of_bone = owner.path_from_id() if switch.bone else ""
        path = f'{of_bone}["{bpy.utils.escape_identifier(switch.name)}"]'
        before[path] = float(owner[switch.name])
        channels.append(Channel(switch.bone, path, 0, np.array([switch.value])))
    return channels, before


def _carried(
    bone: bpy.types.PoseBone, poses: ControlPoses, wiring: Wiring, settings: Settings
) -> Array:
    """[T, 4, 4] or [1, 4, 4] of a bone while the controls move."""
    after = Matrix.Identity(4)  # from what is followed to the bone that was asked for
    followed = set()
    while bone.name not in poses.matrices:
        followed.add(bone.name)
        name, coincides = wiring.carrier(bone.name, settings)
        if name is None or name in followed:
            return np.array(bone.bone.matrix_local @ bone.matrix_basis @ after)[None]
        carrier = bone.id_data.pose.bones[name]
        if not coincides:
            step = carrier.bone.matrix_local.inverted() @ bone.bone.matrix_local
            if carrier == bone.parent:
                step = step @ bone.matrix_basis
            after = step @ after
        bone = carrier
    return poses.matrices[bone.name] @ np.array(after)


def _basis(
    bone: bpy.types.PoseBone,
    wanted: Array,
    carrier: bpy.types.PoseBone | None,
    parent: Array | None,
) -> Array:
    """[T, 4, 4] of the bone's own channels, Blender's `matrix_basis`."""
    rest = bone.bone.matrix_local
    plain = bone.bone.inherit_scale == "FULL" and bone.bone.use_inherit_rotation
    if carrier is None or parent is None:
        above = np.array(rest)[None]
    else:
        above = parent @ np.array(carrier.bone.matrix_local.inverted() @ rest)
    if plain and bone.bone.use_local_location:
        return np.linalg.inv(above) @ wanted
    parents = (
        [None] * len(wanted) if parent is None else np.broadcast_to(parent, wanted.shape).tolist()
    )
    found = []
    for matrix, carrying in zip(wanted.tolist(), parents, strict=True):
        given = {}
        if carrier is not None and carrying is not None:
            given = {
                "parent_matrix": Matrix(carrying),
                "parent_matrix_local": carrier.bone.matrix_local,
            }
        found.append(bone.bone.convert_local_to_pose(Matrix(matrix), rest, invert=True, **given))
    return np.array(found)
