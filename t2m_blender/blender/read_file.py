# SPDX-License-Identifier: GPL-3.0-or-later
"""The motions in a file: .glb, .gltf, .fbx, .bvh, or the Actions of a .blend. Main thread only.

The file is read into a scene of its own, and everything that came with it is taken out again, so
that what is open stays as it was (but for an entry in the undo history of a running Blender).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.errors import InputError
from ..retarget.bone_map import BoneMap, map_bones
from ..retarget.read_back import NamedMotion, read_motion
from ..retarget.rig import Rig
from .action import RECIPE_PREFIX, action_parts
from .armature import armature_to_rig
from .posing import pose_bones
from .surroundings import enabled, quiet, telling_line

OnSkip = Callable[[str, str], None]

CAPTION_PROPERTIES = (RECIPE_PREFIX + "prompt", "caption")
"""Custom properties of an Action that say what it shows; the first that is there counts."""

_LAYER_NAMES = ("BaseLayer", "Base Layer", "Layer0")


@dataclass(frozen=True, eq=False)
class _Figure:
    """A recognised armature of the file, with only the bones that are read and those above."""

    armature: bpy.types.Object
    rig: Rig
    bone_map: BoneMap
    scene: bpy.types.Scene


def read_motions(
    path: Path, *, fps: float = 20.0, on_skip: OnSkip | None = None
) -> list[NamedMotion]:
    """Every animation of a recognised armature in a file, as joints.

    Args:
        path: A .glb, .gltf, .fbx, .bvh or .blend file.
        fps: Frames a second of the motions; the animation is evaluated at exactly these moments.
        on_skip: Called with (clip or armature, reason) for what cannot be read while the rest can:
            an armature of no known family, an Action without keys, one that moves no bones or those
            of no armature here. None makes the first of these an error.

    Raises:
        InputError: The file is missing, damaged, of another kind, or has no armature.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path.name} cannot be read: give {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise InputError(f"There is no file {path}.")

    def skip(name: str, reason: str) -> None:
        if on_skip is None:
            raise InputError(f"{path.name}: {name}: {reason}")
        on_skip(name, reason)

    with quiet(), _own_scene() as (scene, new):
        named: dict[bpy.types.Action, str] | None = None
        try:
            if suffix == ".blend":
                named = _append_blend(path)
            else:
                _IMPORTERS[suffix](path)
        except (RuntimeError, OSError, ValueError, LookupError, TypeError, struct.error) as error:
            raise InputError(
                f"{path.name} cannot be read ({telling_line(error)}); it may be damaged or of a "
                "newer version."
            ) from error
        armatures = [item for item in new("objects") if item.type == "ARMATURE"]
        if not armatures:
            raise InputError(f"{path.name} has no armature, so there is nothing that moves in it.")
        names = _imported_names(new("actions"), armatures) if named is None else named
        figures = _recognised(armatures, scene, skip)
        return _motions(figures, armatures, names, fps, skip) if figures else []


def _motions(
    figures: list[_Figure],
    armatures: list[bpy.types.Object],
    names: dict[bpy.types.Action, str],
    fps: float,
    skip: OnSkip,
) -> list[NamedMotion]:
    found: list[NamedMotion] = []
    for action, name in names.items():
        parts = [(slot, curves) for slot, curves in action_parts(action) if curves]
        if not parts:
            skip(name, "the Action has no keys")
            continue
        moving = [(slot, _bones_of(curves), curves) for slot, curves in parts]
        moving = [part for part in moving if part[1]]
        if not moving:
            skip(name, "the Action moves no bones")
            continue
        for slot, bones, curves in moving:
            label = name if len(moving) == 1 else f"{name} ({slot.name_display})"
            figure = _who_plays(action, bones, figures, armatures)
            if figure is None:
                skip(label, "it moves the bones of no armature in the file that is recognised")
                continue
            found.append(_motion(figure, action, slot, curves, label, fps))
    if not names:
        skip("animation", "the file holds none")
    return found


def _motion(
    figure: _Figure,
    action: bpy.types.Action,
    slot: Any | None,
    curves: list[bpy.types.FCurve],
    name: str,
    fps: float,
) -> NamedMotion:
    render = figure.scene.render
    rate = render.fps / render.fps_base
    first, last = action.frame_range
    seconds = float(last - first) / rate
    count = int(np.floor(seconds * fps + 1e-4)) + 1
    frames = np.minimum(first + np.arange(count) * (rate / fps), last)
    posed, world = pose_bones(
        figure.scene, figure.armature, figure.rig, action, slot, curves, frames
    )
    motion = read_motion(figure.rig, figure.bone_map, posed, fps=fps, world=world, root="hips")
    said = [action.get(key) for key in CAPTION_PROPERTIES]
    captions = [" ".join(text.split()) for text in said if isinstance(text, str) and text.strip()]
    caption = captions[0] if captions else None
    return NamedMotion(name, motion, seconds, caption, rate, figure.bone_map.family)


def _recognised(
    armatures: list[bpy.types.Object], scene: bpy.types.Scene, skip: OnSkip
) -> list[_Figure]:
    figures = []
    for armature in armatures:
        rig = armature_to_rig(armature)
        try:
            bone_map = map_bones(rig)
        except InputError as error:
            skip(armature.name, str(error))
            continue
        home = next(iter(armature.users_scene), None)
        if home is None:  # an object in no scene of its file
            scene.collection.objects.link(armature)
            home = scene
        figures.append(_Figure(armature, wanted_bones(rig, bone_map), bone_map, home))
    return figures


def wanted_bones(rig: Rig, bone_map: BoneMap) -> Rig:
    """The rig without fingers, faces and clothes."""
    wanted: set[str] = set()
    for name in bone_map.bones.values():
        above: str | None = name
        while above is not None and above not in wanted:
            wanted.add(above)
            above = rig.by_name[above].parent
    return Rig(rig.name, tuple(b for b in rig.bones if b.name in wanted), rig.matrix_world)


def _who_plays(
    action: bpy.types.Action,
    bones: set[str],
    figures: list[_Figure],
    armatures: list[bpy.types.Object],
) -> _Figure | None:
    """The armature that uses the Action, else the one that has most of its bones."""
    using = [a for a in armatures if action in _actions_of(a)]
    using = [a for a in using if bones & set(a.data.bones.keys())] or using
    if using:
        return next((figure for figure in figures if figure.armature in using), None)

    def share(figure: _Figure) -> float:
        return len(bones & set(figure.armature.data.bones.keys())) / len(bones)

    best = max(figures, key=share, default=None)
    return best if best is not None and share(best) > 0.5 else None


def _actions_of(armature: bpy.types.Object) -> list[bpy.types.Action]:
    data = armature.animation_data
    if data is None:
        return []
    strips = [strip.action for track in data.nla_tracks for strip in track.strips]
    return [action for action in (data.action, *strips) if action is not None]


def _bones_of(curves: list[bpy.types.FCurve]) -> set[str]:
    """Names of the pose bones that F-curves move."""
    names = set()
    for curve in curves:
        if curve.data_path.startswith('pose.bones["'):
            quoted = curve.data_path[len('pose.bones["') :].rpartition('"]')[0]
            names.add(quoted.replace('\\"', '"').replace("\\\\", "\\"))
    return names


@contextmanager
def _own_scene() -> Iterator[tuple[bpy.types.Scene, Callable[[str], list[Any]]]]:
    """A new current scene, and what is new of a kind of data-blocks; all of it goes at the end."""
    window = bpy.context.window
    if window is None:
        raise InputError("Files can only be read where Blender has a window, hidden or not.")
    before = {kind: set(blocks) for kind, blocks in _collections().items()}

    def new(kind: str) -> list[Any]:
        return [block for block in _collections()[kind] if block not in before[kind]]

    open_scene = window.scene
    scene = bpy.data.scenes.new("T2M reading")
    window.scene = scene
    try:
        yield scene, new
    finally:
        window.scene = open_scene
        # a mesh takes its shape keys with it
        bpy.data.batch_remove([b for kind in before if kind != "shape_keys" for b in new(kind)])


def _collections() -> dict[str, Any]:
    """Every kind of data-blocks that a file can bring."""
    return {
        prop.identifier: getattr(bpy.data, prop.identifier)
        for prop in bpy.data.bl_rna.properties
        if prop.type == "COLLECTION"
        and prop.identifier not in ("window_managers", "workspaces", "screens")
    }


def _read_gltf(path: Path) -> None:
    bpy.ops.import_scene.gltf(filepath=str(path))


def _read_fbx(path: Path) -> None:
    with enabled("io_scene_fbx"):
        bpy.ops.import_scene.fbx(filepath=str(path))


def _read_bvh(path: Path) -> None:
    with enabled("io_anim_bvh"):
        # the file's frames become the scene's, and the scene gets the file's rate
        bpy.ops.import_anim.bvh(filepath=str(path), update_scene_fps=True)


def _append_blend(path: Path) -> dict[bpy.types.Action, str]:
    """Appends scenes, objects and Actions; what is open may force other names on them."""
    with bpy.data.libraries.load(str(path), link=False) as (stored, wanted):
        names = list(stored.actions)
        wanted.scenes = stored.scenes
        wanted.objects = stored.objects
        wanted.actions = stored.actions
    pairs = zip(wanted.actions, names, strict=True)
    return {action: name for action, name in pairs if action is not None}


def _imported_names(
    actions: list[bpy.types.Action], armatures: list[bpy.types.Object]
) -> dict[bpy.types.Action, str]:
    """What the file calls each Action: importers add names of objects and layers."""
    names = {}
    for action in actions:
        name = action.name
        for armature in armatures:
            tracks = armature.animation_data.nla_tracks if armature.animation_data else ()
            for track in tracks:
                if any(strip.action == action for strip in track.strips):
                    name = track.name
            name = name.removeprefix(f"{armature.name}|")
        parts = name.split("|")
        if len(parts) > 1 and parts[-1] in _LAYER_NAMES:
            name = "|".join(parts[:-1])
        names[action] = name
    return names


_IMPORTERS: dict[str, Callable[[Path], None]] = {
    ".glb": _read_gltf,
    ".gltf": _read_gltf,
    ".fbx": _read_fbx,
    ".bvh": _read_bvh,
}
SUFFIXES = (*_IMPORTERS, ".blend")
