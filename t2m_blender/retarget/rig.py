# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that retargeting works on: a rig at rest, and the movement of its bones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import InputError
from ..engine.feet import ContactSpan

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone at rest, in armature space.

    Attributes:
        name: Unique in its rig.
        parent: Name of the parent bone, or None.
        head: [3] position of the joint that the bone turns about.
        tail: [3] position of its other end.
        matrix: [4, 4] rest matrix, Blender's `Bone.matrix_local`: y runs along the bone.
        deform: It moves the mesh; controls and mechanisms do not.
        connected: Its head sticks to the parent's tail: Blender ignores its location.
        inherit_rotation: It turns with its parent.
        local_location: Its location counts along its own rest axes, not along the armature's.
        rotation_mode: The channel that turns it: "QUATERNION", "AXIS_ANGLE" or an Euler order.
        locked_location: [x, y, z] that keys must leave alone.
        locked_rotation: [w, x, y, z] likewise (Blender's `lock_rotation_w` and `lock_rotation`; w
            counts only where `lock_rotations_4d` is on).
    """

    name: str
    parent: str | None
    head: Array
    tail: Array
    matrix: Array
    deform: bool = True
    connected: bool = False
    inherit_rotation: bool = True
    local_location: bool = True
    rotation_mode: str = "QUATERNION"
    locked_location: tuple[bool, bool, bool] = (False, False, False)
    locked_rotation: tuple[bool, bool, bool, bool] = (False, False, False, False)


@dataclass(frozen=True, eq=False)
class Rig:
    """An armature at rest.

    Attributes:
        name: For messages.
        bones: N bones, parents before their children.
        matrix_world: [4, 4] of the armature object.
    """

    name: str
    bones: tuple[Bone, ...]
    matrix_world: Array = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for bone in self.bones:
            if bone.parent is not None and bone.parent not in seen:
                raise InputError(
                    f"Bone {bone.name!r} of {self.name!r} comes before its parent "
                    f"{bone.parent!r}; list parents first."
                )
            seen.add(bone.name)

    @cached_property
    def by_name(self) -> dict[str, Bone]:
        return {bone.name: bone for bone in self.bones}


@dataclass(frozen=True, eq=False)
class PoseTrack:
    """What the bones of one rig do over time, as Blender's pose channels say it.

    Rotations are quaternions whatever a bone's own rotation mode is; `rotation_modes.py` turns them
    into its channels. Locks are not looked at here.

    Attributes:
        bone_names: The N turning bones.
        rotations: [T, N, 4] local rotation of each (Blender's `rotation_quaternion`), with signs
            continuous over time.
        translations: Bone name -> [T, 3] (Blender's `location`, along the axes that the bone's
            `local_location` says). The hips' bone; a bone above it where the hips stick to their
            parent; the root bone as well where that carries the travel.
        rate: Keyed frames a second.
        contacts: When the feet were held, in keyed frames from 0; empty without foot lock.
    """

    bone_names: tuple[str, ...]
    rotations: Array
    translations: Mapping[str, Array]
    rate: float
    contacts: tuple[ContactSpan, ...] = ()

    @property
    def frames(self) -> int:
        return len(self.rotations)
