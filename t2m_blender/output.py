# SPDX-License-Identifier: GPL-3.0-or-later
"""A generated motion becomes a file, by its suffix, whole or not at all.

`.npz` is written here and needs NumPy alone; everything else is Blender's, whose room is imported
only when such a file is asked for.
"""

from __future__ import annotations

import tempfile
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .engine.errors import InputError, OutputError, RuntimeMissingError
from .engine.files import new_file, unwritable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .engine.generate import GeneratedMotion
    from .recipe import RigFile

__all__ = ["SUFFIXES", "check_rig", "check_suffix", "check_target", "write_output"]

SUFFIXES = (".blend", ".fbx", ".glb", ".bvh", ".usdc", ".npz")


def check_suffix(suffix: str) -> str:
    """Return a suffix in lower case, once it is sure that such files can be written here.

    Raises:
        InputError: No such format.
        RuntimeMissingError: The format needs Blender, and `bpy` is not installed, or this Blender
            was built without it.
    """
    suffix = suffix.lower()
    known = " ".join(SUFFIXES)
    if suffix not in SUFFIXES:
        raise InputError(f"The output suffix {suffix!r} is not known: use one of {known}.")
    if suffix != ".npz":
        _blender_export(suffix).check_format(suffix)
    return suffix


def check_target(path: Path) -> None:
    """Make sure that a file can be written, before any work is done for it.

    Raises:
        OutputError: Its folder is missing or cannot be written, or it is no plain file.
    """
    try:
        if not path.parent.is_dir():
            raise OutputError(f"The folder {path.parent} does not exist: make it first.")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is a folder or a device, not a file: choose another name.")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


def check_rig(rig: RigFile | None, suffixes: Sequence[str]) -> None:
    """Whether a rig can be moved in all of these formats.

    Raises:
        InputError: One of them holds no rig.
    """
    if rig is not None and ".npz" in suffixes:
        raise InputError(f"An .npz file holds no rig: leave {rig} out, or the format npz.")


def write_output(
    generated: GeneratedMotion,
    path: Path,
    *,
    frames: int | None = None,
    rig: RigFile | None = None,
) -> None:
    """Write a motion; what stood at `path` is replaced, at the very end.

    Args:
        generated: From `engine.generate`.
        path: Its suffix is one of `SUFFIXES`.
        frames: Exactly so many keyed frames, in formats that have the scene's rate.
        rig: That moves, in formats that have one; None for the add-on's own figure.

    Raises:
        InputError: The rig cannot be read or moved.
        OutputError: The file cannot be written.
    """
    if path.suffix.lower() == ".npz":
        _write_npz(generated, path)
    else:
        _blender_export(path.suffix).write_motion(generated, path, frames=frames, rig=rig)


def _write_npz(generated: GeneratedMotion, path: Path) -> None:
    motion = generated.finished
    contacts = motion.contacts if motion.contacts is not None else np.zeros((motion.frames, 4))
    archive = BytesIO()  # of a file that an interruption closed, zipfile would complain
    np.savez_compressed(
        archive,
        joints=motion.joints.astype(np.float32),
        fps=np.float64(motion.fps),
        contacts=contacts.astype(np.float32),
        tokens=generated.tokens,
        prompt=np.str_(generated.prompt),
        seed=np.int64(generated.seed),
    )
    with new_file(path) as file:
        file.write(archive.getbuffer())


def _blender_export(suffix: str) -> Any:
    """Import the room that writes Blender's formats."""
    try:
        return import_module(".blender.export", __package__)
    except ImportError as error:
        if error.name != "bpy":
            raise
        raise RuntimeMissingError(
            f"A {suffix} file needs Blender's Python module, which is not installed: run "
            "pip install '.[blender]' in the folder of t2m_blender, or choose an .npz output."
        ) from error
