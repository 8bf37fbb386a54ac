# SPDX-License-Identifier: GPL-3.0-or-later
"""Type a sentence, press Generate Action, and the armature moves.

Blender is imported by `register()` alone, so that the package also serves where there is none.
"""

from __future__ import annotations

from functools import cache


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from .blender import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from .blender import registration

    registration.unregister()


@cache
def version() -> str:
    """The version, which only `blender_manifest.toml` states.

    In an installed extension that file lies in this folder, in a clone of the repository beside it.
    A copy installed by pip has it in its metadata.
    """
    import tomllib
    from importlib import metadata
    from pathlib import Path

    here = Path(__file__).resolve().parent
    for folder in (here, here.parent):
        manifest = folder / "blender_manifest.toml"
        if manifest.is_file():
            return str(tomllib.loads(manifest.read_text(encoding="utf-8"))["version"])
    return metadata.version("t2m_blender")
