# SPDX-License-Identifier: GPL-3.0-or-later
"""Feet that stay on any rig: the legs of a PoseTrack bent so that planted feet stand still.

Works on what a rig's bones do, so it serves a motion that has just been put on a rig and one that
an animator has edited. The legs keep the rig's own bone lengths; the toes bend where they would go
through the floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..engine.feet import ADULT_LEG, ContactSpan, held_to_spans, spans_to_held
from ..engine.legs import Legs
from ..engine.planting import Floor, plant_feet
from ..engine.rotations import (
    matrix_to_quaternion,
    normalise,
    quaternion_between,
    quaternion_conjugate,
    quaternion_continuous,
    quaternion_multiply,
    quaternion_rotate,
)
from ..engine.skeleton import HUMANML3D, Skeleton
from .bone_map import BoneMap
from .calibration import SIDES, Calibration, calibrate, skeleton_leg_length
from .posing import location_axes, posed_bones, rotation_part
from .rig import Array, PoseTrack, Rig

_LEG = ("hip", "knee", "ankle", "foot")


def lock_pose(
    track: PoseTrack,
    rig: Rig,
    bone_map: BoneMap,
    contacts: Sequence[ContactSpan],
    *,
    skeleton: Skeleton = HUMANML3D,
) -> PoseTrack:
    """The track with its feet held where the contacts say, and above the floor everywhere.

    Only the legs' bones and the translation of the figure change.

    Args:
        track: T frames; its first translated bone moves the whole figure.
        rig: At rest.
        bone_map: Of this rig.
        contacts: In frames of the track.
        skeleton: Whose T-pose the rig is calibrated to.
    """
    calibration = calibrate(rig, bone_map, skeleton)
    axes = calibration.axes
    adult = ADULT_LEG / (calibration.scale * skeleton_leg_length(skeleton))
    posed = posed_bones(rig, track)
    index = {bone.name: k for k, bone in enumerate(rig.bones)}

    def turn_of(joint: str) -> Array:
        """[T, 4] since rest, along the motion's axes."""
        bone = rig.by_name[bone_map.bones[joint]]
        turn = rotation_part(posed[:, index[bone.name]]) @ rotation_part(bone.matrix).T
        return quaternion_continuous(matrix_to_quaternion(axes @ turn @ axes.T))

    def head_of(joint: str) -> Array:
        """[T, 3] along the motion's axes, at the size of an adult."""
        return np.asarray(posed[:, index[bone_map.bones[joint]], :3, 3] @ axes.T * adult)

    turns = {f"{side}_{part}": turn_of(f"{side}_{part}") for side in SIDES for part in _LEG[:3]}
    feet = {side: _rest_foot(side, calibration, skeleton) * adult for side in SIDES}
    balls = [
        head_of(f"{side}_ankle") + quaternion_rotate(turns[f"{side}_ankle"], feet[side])
        for side in SIDES
    ]
    hips, knees, ankles = (
        np.stack([head_of(f"{side}_{part}") for side in SIDES], axis=1) for part in _LEG[:3]
    )
    before = Legs(hips, knees, ankles, np.stack(balls, axis=1))
    sole = calibration.sole * adult
    slope = np.mean([_level_foot(side, feet[side], calibration) for side in SIDES])
    floor = Floor(sole, (calibration.ankle_height - calibration.sole) * adult, float(slope))
    held = spans_to_held(contacts, track.frames)
    shift, after, held = plant_feet(
        before,
        held,
        fps=track.rate,
        floor=floor,
    )

    for number, side in enumerate(SIDES):
        for part, old, new in (
            ("hip", before.knees - before.hips, after.knees - after.hips),
            ("knee", before.ankles - before.knees, after.ankles - after.knees),
            ("ankle", before.balls - before.ankles, after.balls - after.ankles),
        ):
            swing = quaternion_between(old[:, number], new[:, number])
            turns[f"{side}_{part}"] = quaternion_multiply(swing, turns[f"{side}_{part}"])
        toe = f"{side}_foot"
        if toe in bone_map.bones:
            carried = quaternion_multiply(
                turns[f"{side}_ankle"],
                quaternion_multiply(quaternion_conjugate(turn_of(f"{side}_ankle")), turn_of(toe)),
            )
            bone = rig.by_name[bone_map.bones[toe]]
            rest = axes @ (bone.tail - bone.head) * adult
            turns[toe] = _bent_toes(carried, rest, after.balls[:, number, 1] - sole)
    return _with_turns(
        track, rig, bone_map, turns, posed, (shift / adult) @ axes, calibration, held_to_spans(held)
    )


def _rest_foot(side: str, calibration: Calibration, skeleton: Skeleton) -> Array:
    """[3] ankle to ball at rest in the rig's unit; the skeleton's where the rig has no toes."""
    ankle, toe = f"{side}_ankle", f"{side}_foot"
    if toe in calibration.heads:
        return np.asarray(calibration.heads[toe] - calibration.heads[ankle])
    pose, names = skeleton.rest_pose, skeleton.joint_names
    foot = calibration.scale * (pose[names.index(toe)] - pose[names.index(ankle)])
    return np.asarray(quaternion_rotate(quaternion_conjugate(calibration.turns[ankle]), foot))


def _level_foot(side: str, foot: Array, calibration: Calibration) -> float:
    """Sine of the slope of the line from ball to ankle when the figure stands."""
    standing = quaternion_rotate(calibration.turns[f"{side}_ankle"], foot)
    return float(-standing[1] / np.linalg.norm(standing))


def _bent_toes(turn: Array, rest: Array, height: Array) -> Array:
    """The turns [T, 4] of toes [3] at rest, bent up where their tips would be under the floor.

    Args:
        turn: Carried by the foot.
        rest: From the joint of the toes to their tips; left alone if it is no level bone.
        height: [T] of that joint over its height at rest.
    """
    length = float(np.linalg.norm(rest))
    if length < 1e-6 or abs(rest[1]) > 0.7 * length:
        return turn
    toes = quaternion_rotate(turn, rest) / length
    lowest = np.clip((rest[1] - height) / length, -1.0, 1.0)
    level = normalise(toes * (1.0, 0.0, 1.0))
    up = np.maximum(toes[:, 1], lowest)
    bent = level * np.sqrt(np.maximum(1.0 - up**2, 0.0))[:, None]
    bent[:, 1] = up
    return np.asarray(quaternion_multiply(quaternion_between(toes, bent), turn))


def _with_turns(
    track: PoseTrack,
    rig: Rig,
    bone_map: BoneMap,
    turns: dict[str, Array],
    posed: Array,
    shift: Array,
    calibration: Calibration,
    contacts: tuple[ContactSpan, ...],
) -> PoseTrack:
    """The track with these turns since rest and the figure moved by [T, 3] in armature space."""
    axes = calibration.axes
    index = {bone.name: k for k, bone in enumerate(rig.bones)}
    wanted = {
        bone_map.bones[joint]: np.concatenate((turn[:, :1], turn[:, 1:] @ axes), axis=-1)
        for joint, turn in turns.items()
    }
    now: dict[str, Array] = {}  # global turns since rest of the bones below the first changed ones
    rotations = dict(zip(track.bone_names, np.moveaxis(track.rotations, 1, 0), strict=True))
    still = np.array([1.0, 0.0, 0.0, 0.0])
    for bone in rig.bones:
        if bone.name not in wanted and bone.parent not in now:
            continue
        basis = matrix_to_quaternion(rotation_part(bone.matrix))
        if bone.parent is None or not bone.inherit_rotation:
            above = still
        elif bone.parent in now:
            above = now[bone.parent]
        else:
            parent = rig.by_name[bone.parent]
            turned = rotation_part(posed[:, index[parent.name]]) @ rotation_part(parent.matrix).T
            above = matrix_to_quaternion(turned)
        if bone.name in wanted:
            now[bone.name] = wanted[bone.name]
            local = quaternion_multiply(quaternion_conjugate(above), wanted[bone.name])
            local = quaternion_multiply(quaternion_conjugate(basis), local)
            rotations[bone.name] = quaternion_continuous(quaternion_multiply(local, basis))
        else:
            local = rotations.get(bone.name, still)
            local = quaternion_multiply(local, quaternion_conjugate(basis))
            now[bone.name] = quaternion_multiply(above, quaternion_multiply(basis, local))
    carrier = next(iter(track.translations))
    moved = track.translations[carrier] + shift @ location_axes(rig, rig.by_name[carrier])
    return replace(
        track,
        bone_names=tuple(rotations),
        rotations=np.stack(list(rotations.values()), axis=1),
        translations={**track.translations, carrier: moved},
        contacts=contacts,
    )
