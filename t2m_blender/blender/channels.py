# SPDX-License-Identifier: GPL-3.0-or-later
"""A PoseTrack as the channels of an armature's bones: each in its own rotation mode, less what is
locked. Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np
from numpy.typing import NDArray

from ..retarget.key_reduction import reduced_keys
from ..retarget.rig import PoseTrack
from ..retarget.rotation_modes import (
    AXIS_ANGLE,
    QUATERNION,
    hold_locked,
    mode_to_rotations,
    rotations_in_mode,
)

Array = NDArray[np.float64]

_PROPERTIES = {QUATERNION: "rotation_quaternion", AXIS_ANGLE: "rotation_axis_angle"}
_HOLDING = {"COPY_TRANSFORMS", "COPY_ROTATION", "IK", "SPLINE_IK", "DAMPED_TRACK", "TRACK_TO"}
_NAMED_LOCKS = 4  # in a message, before "..."


@dataclass(frozen=True, eq=False)
class Channel:
    """One F-curve to be.

    Attributes:
        bone: Whose group it goes into.
        path: From the armature object, with the bone's name quoted.
        index: In that property.
        values: [T] one a frame; [1] for what stays as it is set on the first; [K] of the keys.
        frames: [K] the frames that have a key, counted from 0; None where all have one.
        slopes: [K] change a frame at each key of a smooth curve; None for straight lines.
    """

    bone: str
    path: str
    index: int
    values: Array
    frames: NDArray[np.int64] | None = None
    slopes: Array | None = None


def pose_channels(armature: bpy.types.Object, track: PoseTrack) -> tuple[list[Channel], list[str]]:
    """Every channel that the track moves, and the names of those left out because they are locked.

    A locked channel keeps its value. Where rotations are not Euler angles and not locked by
    component, Blender's locks mean Euler angles, which then keep theirs.

    Args:
        armature: With a bone for every name in the track.
        track: T frames.
    """
    channels: list[Channel] = []
    locked: list[str] = []
    for name, values in track.translations.items():
        bone = armature.pose.bones[name]
        locks = tuple(bone.lock_location)
        channels += _free(bone, "location", values, locks)
        locked += _lock_names(bone, "location", "xyz", locks)
    turning: dict[str, list[tuple[bpy.types.PoseBone, Array]]] = {}
    for number, name in enumerate(track.bone_names):
        bone = armature.pose.bones[name]
        letters, locks = _rotation_locks(bone)
        locked += _lock_names(bone, "rotation", letters, locks)
        if not all(locks):
            rotations = _held(bone, track.rotations[:, number], locks)
            turning.setdefault(bone.rotation_mode, []).append((bone, rotations))
    for mode, bones in turning.items():
        converted = rotations_in_mode(np.stack([turns for _, turns in bones], axis=1), mode)
        for number, (bone, _) in enumerate(bones):
            _, locks = _rotation_locks(bone)
            by_channel = locks if len(locks) == converted.shape[-1] else ()
            channels += _free(bone, _property(mode), converted[:, number], by_channel)
    return channels, locked


def with_fewer_keys(channels: Sequence[Channel], angle: float, length: float) -> list[Channel]:
    """Smooth curves through fewer keys, those of one property on the same frames.

    Args:
        channels: One value a frame.
        angle: By how many radians a bone may be turned away from what it did.
        length: How far it may be from where it was.
    """
    by_path: dict[str, list[Channel]] = {}
    for channel in channels:
        by_path.setdefault(channel.path, []).append(channel)
    reduced: list[Channel] = []
    for path, parts in by_path.items():
        values = np.stack([channel.values for channel in parts], axis=1)
        if len(values) == 1:
            reduced += parts
            continue
        if path.endswith(".location"):
            tolerance = length
        else:
            tolerance = angle / 2.0 if path.endswith("_quaternion") else angle
        keys = reduced_keys(values, tolerance, bezier=True)
        for number, channel in enumerate(parts):
            slopes = None if keys.slopes is None else keys.slopes[:, number]
            reduced.append(
                replace(channel, values=keys.values[:, number], frames=keys.frames, slopes=slopes)
            )
    return reduced


def locked_message(locked: Sequence[str]) -> str:
    """What the user is told of channels that were left as they are; "" if there are none."""
    if not locked:
        return ""
    more = f" and {len(locked) - _NAMED_LOCKS} more" if len(locked) > _NAMED_LOCKS else ""
    return (
        f"Locked and left as they are: {', '.join(locked[:_NAMED_LOCKS])}{more}. Unlock them in "
        "the sidebar's Item tab and generate again if they should move."
    )


def held_message(armature: bpy.types.Object, channels: Sequence[Channel]) -> str:
    """What the user is told of keyed bones that constraints hold; "" if there are none."""
    held = [
        name
        for name in dict.fromkeys(channel.bone for channel in channels)
        for constraint in armature.pose.bones[name].constraints
        if constraint.type in _HOLDING and not constraint.mute and constraint.influence > 0.5
    ]
    if not held:
        return ""
    named = ", ".join(dict.fromkeys(held[:_NAMED_LOCKS]))
    return (
        f"Constraints hold {named}{' and more' if len(held) > _NAMED_LOCKS else ''}: their keys do "
        "not show, or not fully. Mute the constraints, or map the bones that control these."
    )


def _property(mode: str) -> str:
    return _PROPERTIES.get(mode, "rotation_euler")


def _rotation_locks(bone: bpy.types.PoseBone) -> tuple[str, tuple[bool, ...]]:
    """Letters of what can be locked, and whether each is."""
    three = tuple(bone.lock_rotation)
    by_component = bone.rotation_mode in _PROPERTIES and bone.lock_rotations_4d
    if by_component and not all(three):  # with x, y and z locked, w has nothing left to say
        return "wxyz", (bone.lock_rotation_w, *three)
    return "xyz", three


def _held(bone: bpy.types.PoseBone, rotations: Array, locks: tuple[bool, ...]) -> Array:
    """The rotations [T, 4], keeping Euler angles that are locked in another mode."""
    mode = bone.rotation_mode
    if mode not in _PROPERTIES or len(locks) == 4 or not any(locks):
        return rotations
    current = mode_to_rotations(np.array(getattr(bone, _property(mode))), mode)
    return hold_locked(rotations, current, locks)


def _free(
    bone: bpy.types.PoseBone, name: str, values: Array, locks: Sequence[bool]
) -> list[Channel]:
    """The channels of one property that are not locked."""
    held = {index for index, lock in enumerate(locks) if lock}
    path = bone.path_from_id(name)
    return [
        Channel(bone.name, path, index, values[:, index])
        for index in range(values.shape[1])
        if index not in held
    ]


def _lock_names(
    bone: bpy.types.PoseBone, what: str, letters: str, locks: Sequence[bool]
) -> list[str]:
    named = "".join(letter for letter, lock in zip(letters, locks, strict=True) if lock)
    return [f"{bone.name} ({what} {named})"] if named else []
