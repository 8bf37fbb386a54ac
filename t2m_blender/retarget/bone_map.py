# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of a rig plays which joint of the skeleton.

Each rig family is one data file in `presets/` (its README tells the form); the file that explains
most joints wins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..engine.errors import InputError
from ..engine.skeleton import HUMANML3D, Skeleton
from .rig import Rig

_PRESETS = Path(__file__).parent / "presets"
OWN = "t2m"
"""The family of the add-on's own figure."""

TORSO = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
"""From below to above; a rig may lack all but the pelvis."""
LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in ("left", "right")
)
READ_JOINTS = ("pelvis", *LIMBS)
"""What must have a bone for a motion to be read off a rig."""


@dataclass(frozen=True)
class BoneMap:
    """Joint name -> bone name, and how sure that is.

    Attributes:
        preset: The rig family that it was read from.
        bones: Joint name -> bone name.
        score: Share of the skeleton's joints that found a bone, 0 to 1.
    """

    preset: str
    bones: Mapping[str, str]
    score: float


@dataclass(frozen=True)
class Preset:
    """One rig family.

    Attributes:
        name: Of its file.
        bones: Joint name -> the bones that may play it, the likeliest first.
    """

    name: str
    bones: Mapping[str, tuple[str, ...]]

    def found_in(self, rig: Rig, skeleton: Skeleton = HUMANML3D) -> BoneMap:
        """The joints of the skeleton for which the rig has a bone of this family."""
        bones = {}
        for joint in skeleton.joint_names:
            present = [bone for bone in self.bones.get(joint, ()) if bone in rig.by_name]
            if present:
                bones[joint] = present[0]
        return BoneMap(self.name, bones, len(bones) / skeleton.joint_count)


@cache
def load_presets() -> tuple[Preset, ...]:
    """Every rig family in `presets/`."""
    found = []
    for path in sorted(_PRESETS.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        bones = {
            joint: (bone,) if isinstance(bone, str) else tuple(bone)
            for joint, bone in data["bones"].items()
        }
        found.append(Preset(data["name"], bones))
    return tuple(found)


def preset(name: str) -> BoneMap:
    """The rig family of that name, as a map with the likeliest bone for each joint."""
    family = next(family for family in load_presets() if family.name == name)
    return BoneMap(name, {joint: bones[0] for joint, bones in family.bones.items()}, 1.0)


def best_map(rig: Rig, skeleton: Skeleton = HUMANML3D) -> BoneMap:
    """The preset that finds most joints in the rig, whatever its score."""
    maps = (family.found_in(rig, skeleton) for family in load_presets())
    return max(maps, key=lambda bone_map: bone_map.score)


def map_bones(rig: Rig, skeleton: Skeleton = HUMANML3D) -> BoneMap:
    """The bones of a rig onto which a motion can be put.

    Raises:
        InputError: The rig is not the add-on's own, or a joint of it has no bone.
    """
    bone_map = best_map(rig, skeleton)
    if bone_map.preset != OWN or len(bone_map.bones) < skeleton.joint_count:
        raise InputError(
            f'The armature "{rig.name}" was not made by this add-on, and other rigs are not '
            "supported yet. Deselect it to get a new figure, or select an armature made by "
            "this add-on."
        )
    return bone_map


def map_bones_to_read(rig: Rig, skeleton: Skeleton = HUMANML3D) -> BoneMap:
    """The bones of a rig off which a motion can be read: those of `READ_JOINTS` at least.

    Raises:
        InputError: The rig is of no known family.
    """
    bone_map = best_map(rig, skeleton)
    missing = [joint for joint in READ_JOINTS if joint not in bone_map.bones]
    if missing:
        families = ", ".join(family.name for family in load_presets())
        having = ", ".join(bone.name for bone in rig.bones[:6])
        raise InputError(
            f'The armature "{rig.name}" is of no known rig family ({families}): it has no bone for '
            f"{', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}; its bones are {having} "
            "... Add a file for its family to t2m_blender/retarget/presets."
        )
    return bone_map
