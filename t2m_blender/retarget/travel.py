# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the way over the floor goes: with the hips, to the root bone, or nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ..engine.errors import InputError
from ..engine.postprocess import smoothed_path
from .bone_map import BoneMap
from .posing import location_axes
from .rig import Array, PoseTrack, Rig

Travel = Literal["hips", "root", "none"]
_SMOOTH_SECONDS = 0.3


def root_bone(rig: Rig, bone_map: BoneMap) -> str | None:
    """The topmost bone above the hips that no joint is mapped to; None where there is none."""
    name = rig.by_name[bone_map.bones["pelvis"]].parent
    found = None
    while name is not None:
        if name not in bone_map.bones.values():
            found = name
        name = rig.by_name[name].parent
    return found


def put_travel(
    track: PoseTrack, rig: Rig, bone_map: BoneMap, carrier: str, travel: Travel, axes: Array
) -> PoseTrack:
    """The track with its way over the floor taken off the bone that carries it.

    The way is the smoothed path over the floor: the sway of the hips stays with them.

    Args:
        track: Whose travel is all on the carrier.
        rig: At rest.
        bone_map: Of this rig.
        carrier: The translated bone.
        travel: "hips" leaves the track as it is, "root" puts the way on the root bone, "none"
            drops it.
        axes: [3, 3] armature space -> the motion's axes.

    Raises:
        InputError: The rig has no bone above the hips for it.
    """
    if travel == "hips":
        return track
    bone = rig.by_name[carrier]
    offset = track.translations[carrier] @ location_axes(rig, bone).T
    level = axes.T @ np.diag([1.0, 0.0, 1.0]) @ axes
    way = smoothed_path(offset @ level, _SMOOTH_SECONDS * track.rate)
    left = {carrier: (offset - way) @ location_axes(rig, bone)}
    if travel == "none":
        return replace(track, translations={**track.translations, **left})
    root = root_bone(rig, bone_map)
    if root is None or root == carrier:
        raise InputError(
            f'"{rig.name}" has no bone above the hips for the root motion; add one, or let the '
            "hips travel."
        )
    moved = way @ location_axes(rig, rig.by_name[root])
    return replace(track, translations={**track.translations, **left, root: moved})
