# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of an armature is which joint: recognised, or as the user has said.

What was said is kept with the armature as a custom property (JSON), and can be saved as a preset
file in the user's own folder, where all presets of the user are read. Main thread only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import bpy

from ..engine.errors import InputError, OutputError, T2MError
from ..engine.files import new_file
from ..retarget.bone_map import (
    BoneMap,
    bone_map_from_json,
    bone_map_to_json,
    bone_map_to_preset,
    map_bones,
)
from ..retarget.rig import Rig

PROPERTY = "t2m_bone_map"
_PACKAGE = __package__.rpartition(".")[0]  # of the extension


def bone_map_of(armature: bpy.types.Object | None, rig: Rig) -> BoneMap:
    """The map that is kept with the armature, or the one recognised now.

    Args:
        armature: None for a new figure.
        rig: Its bones.

    Raises:
        InputError: The kept map lacks a joint that is needed, or the rig is not recognised.
    """
    text = kept_text(armature) if armature is not None else None
    if text is None:
        return map_bones(rig, folders=[presets_folder()])
    bone_map = bone_map_from_json(text, rig)
    if bone_map.missing:
        raise InputError(
            f'No bone of "{rig.name}" is mapped to {", ".join(bone_map.missing)}. Choose one for '
            "each in the panel Rig, or press Recognise Again."
        )
    return bone_map


def recognise(armature: bpy.types.Object, rig: Rig) -> BoneMap:
    """Reads the rig anew and keeps what was found with the armature, in place of earlier edits.

    Raises:
        InputError: It is not recognised; what was kept stays.
    """
    bone_map = map_bones(rig, folders=[presets_folder()])
    keep_map(armature, bone_map)
    return bone_map


def kept_text(armature: bpy.types.Object) -> str | None:
    """The map kept with the armature, as text."""
    text = armature.data.get(PROPERTY, armature.get(PROPERTY))
    return text if isinstance(text, str) and text else None


def kept_bones(armature: bpy.types.Object) -> Mapping[str, tuple[str, float]]:
    """Joint -> bone and confidence of the map kept with the armature; quick enough to draw with."""
    text = kept_text(armature)
    return _bones_in(text) if text is not None else {}


@lru_cache(maxsize=64)
def _bones_in(text: str) -> Mapping[str, tuple[str, float]]:
    try:
        data = json.loads(text)
        return {joint: (bone, data["confidence"][joint]) for joint, bone in data["bones"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # drawn as empty fields; `bone_map_of` says what is wrong


def kept_family(armature: bpy.types.Object) -> tuple[str, float]:
    """Rig family of the map kept with the armature and how sure its bones are, 0 to 1.

    Quick enough to draw with; empty and 0 where none is kept.
    """
    text = kept_text(armature)
    return _family_in(text) if text is not None else ("", 0.0)


@lru_cache(maxsize=64)
def _family_in(text: str) -> tuple[str, float]:
    sure = [confidence for _, confidence in _bones_in(text).values()]
    if not sure:
        return "", 0.0
    return str(json.loads(text).get("family", "")), sum(sure) / len(sure)


def keep_map(armature: bpy.types.Object, bone_map: BoneMap) -> None:
    """Keeps a map with the armature: with its data, or with the object where that is linked."""
    owner = armature.data if armature.data.is_editable else armature
    owner[PROPERTY] = bone_map_to_json(bone_map)


def forget_map(armature: bpy.types.Object) -> None:
    """Takes the kept map away: the armature is recognised at each press."""
    for owner in (armature.data, armature):
        if owner.is_editable and PROPERTY in owner:
            del owner[PROPERTY]


def presets_folder(*, create: bool = False) -> Path:
    """Where the user's presets are: never the extension's own folder, which updates replace.

    Raises:
        OutputError: It is to be created, and cannot be.
    """
    try:
        try:
            folder = bpy.utils.extension_path_user(_PACKAGE, path="presets", create=create)
        except ValueError:  # not installed as an extension: a checkout, or the bpy module
            name = f"{_PACKAGE.rpartition('.')[2]}/presets"
            folder = bpy.utils.user_resource("DATAFILES", path=name, create=create)
    except OSError as error:
        raise OutputError(f"The folder for your presets cannot be made ({error}).") from error
    return Path(folder)


def write_preset(bone_map: BoneMap, title: str) -> Path:
    """Saves a map as a preset of the user; one of the same name is replaced.

    Raises:
        InputError: The name has no letters or digits.
        OutputError: The file cannot be written.
    """
    name = re.sub(r"\W+", "_", title).strip("_").lower()
    if not name:
        raise InputError("Give the preset a name with letters or digits.")
    path = presets_folder(create=True) / f"{name}.json"
    with new_file(path) as file:
        file.write(bone_map_to_preset(bone_map, name=name, title=title.strip()).encode())
    return path


def set_bone(armature: bpy.types.Object, rig: Rig, joint: str, bone: str) -> None:
    """What the user chose in the panel; an empty name leaves the joint without a bone.

    Raises:
        InputError: The armature has no such bone.
    """
    text = kept_text(armature)
    try:
        known = bone_map_from_json(text, rig) if text is not None else map_bones(rig)
    except T2MError:
        known = BoneMap("by_hand", {}, {}, 0.0)
    if bone and bone not in rig.by_name:
        raise InputError(f'"{rig.name}" has no bone {bone!r}.')
    keep_map(armature, known.with_bone(joint, bone or None))
