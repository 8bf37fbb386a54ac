# SPDX-License-Identifier: GPL-3.0-or-later
"""Rig families: what the bones are called in the rigs of one program or maker.

Each is one data file in `presets/`, whose README tells the form; a user's own folder may hold more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..engine.errors import InputError
from ..engine.skeleton import HUMANML3D
from .names import NameKey, parse_name, without_serials
from .rig import Rig

PRESETS = Path(__file__).parent / "presets"
_JOINTS = frozenset(HUMANML3D.joint_names)


@dataclass(frozen=True)
class Preset:
    """One rig family.

    Attributes:
        name: Of its file.
        title: For people.
        bones: Joint name -> the bones that may play it, the likeliest first.
        by_user: It is from a user's folder: what it says and leaves out stands as it is.
    """

    name: str
    title: str
    bones: Mapping[str, tuple[str, ...]]
    by_user: bool = False

    def found_in(self, known: Mapping[NameKey, list[str]]) -> tuple[dict[str, list[str]], float]:
        """Joint -> the rig's bones that the family names, the likeliest first; and a score.

        The score is the number of joints that found a bone; names written exactly as the family
        writes them count a little more.

        Args:
            known: The rig's bones by what their names say, from `bones_by_name`.
        """
        found: dict[str, list[str]] = {}
        exact = 0
        for joint, names in self.bones.items():
            bones: list[str] = []
            for name in names:
                alike = known.get(parse_name(name).key, [])
                bones.extend(sorted(alike, key=lambda bone: bone != name))
            if bones:
                found[joint] = list(dict.fromkeys(bones))
                exact += bones[0] in names
        return found, len(found) + 0.5 * exact / len(_JOINTS)


def bones_by_name(rig: Rig) -> dict[NameKey, list[str]]:
    """What a name says -> the bones that say so; those that move the mesh first."""
    short = without_serials(rig.by_name)
    known: dict[NameKey, list[str]] = {}
    for bone in sorted(rig.bones, key=lambda bone: not bone.deform):
        known.setdefault(parse_name(short[bone.name]).key, []).append(bone.name)
    return known


def load_presets(folders: Iterable[Path] = ()) -> tuple[Preset, ...]:
    """The families of the user's folders, then those of `presets/`.

    Raises:
        InputError: A file is not a preset.
    """
    own = [replace(preset, by_user=True) for folder in folders for preset in _read_folder(folder)]
    return (*own, *_built_in())


def preset(name: str) -> Preset:
    """The built-in family of that name."""
    return next(family for family in _built_in() if family.name == name)


@cache
def _built_in() -> tuple[Preset, ...]:
    return tuple(_read_folder(PRESETS))


def _read_folder(folder: Path) -> Iterator[Preset]:
    for path in sorted(folder.glob("*.json")):
        yield read_preset(path)


def read_preset(path: Path) -> Preset:
    """One family from its file.

    Raises:
        InputError: It is not JSON of that form, or names a joint that there is not.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        bones = {
            joint: (bone,) if isinstance(bone, str) else tuple(bone)
            for joint, bone in data["bones"].items()
        }
        preset = Preset(str(data["name"]), str(data.get("title", data["name"])), bones)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a rig preset ({error}); see presets/README.md for its form."
        ) from error
    unknown = sorted(set(bones) - _JOINTS)
    names = [name for names in bones.values() for name in names]
    if unknown or not all(isinstance(name, str) and name for name in names):
        wrong = f"there is no joint {unknown[0]!r}" if unknown else "a bone is not a name"
        raise InputError(
            f"{path} is not a rig preset: {wrong}. The joints are {', '.join(sorted(_JOINTS))}."
        )
    return preset
