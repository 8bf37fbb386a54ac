# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of a rig plays which joint of the skeleton.

Each rig family is one data file in `presets/`; the file that explains most joints wins.
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


@cache
def load_presets() -> tuple[BoneMap, ...]:
    """Every rig family in `presets/`, as a full map with score 1."""
    found = []
    for path in sorted(_PRESETS.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        found.append(BoneMap(data["name"], data["bones"], 1.0))
    return tuple(found)


def preset(name: str) -> BoneMap:
    """The rig family of that name."""
    return next(family for family in load_presets() if family.preset == name)


def best_map(rig: Rig, skeleton: Skeleton = HUMANML3D) -> BoneMap:
    """The preset that finds most joints in the rig, whatever its score."""

    def found(family: BoneMap) -> BoneMap:
        bones = {
            joint: family.bones[joint]
            for joint in skeleton.joint_names
            if family.bones.get(joint) in rig.by_name
        }
        return BoneMap(family.preset, bones, len(bones) / skeleton.joint_count)

    return max(map(found, load_presets()), key=lambda bone_map: bone_map.score)


def map_bones(rig: Rig, skeleton: Skeleton = HUMANML3D) -> BoneMap:
    """The bones of a rig that are recognised as the skeleton's joints.

    Raises:
        InputError: If a joint has no bone.
    """
    bone_map = best_map(rig, skeleton)
    if len(bone_map.bones) < skeleton.joint_count:
        raise InputError(
            f'The armature "{rig.name}" was not made by this add-on, and other rigs are not '
            "supported yet. Deselect it to get a new figure, or select an armature made by "
            "this add-on."
        )
    return bone_map
