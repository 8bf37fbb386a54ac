# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender -b [FILE.blend] --command t2m PROMPT -o OUT`: the command line inside Blender."""

from __future__ import annotations

from typing import Any

import bpy

_handles: list[Any] = []


def run(argv: list[str]) -> int:
    """Blender's handler: the same arguments and exit status as `python -m t2m_blender`."""
    from ..cli import main

    context = bpy.context
    if context.window is None and context.window_manager.windows:
        # With FILE.blend before --command the window is there, but not in the context, and some
        # exporters do not work without.
        with context.temp_override(window=context.window_manager.windows[0]):
            return main(argv, in_blender=True)
    return main(argv, in_blender=True)


def register() -> None:
    _handles.append(bpy.utils.register_cli_command("t2m", run))


def unregister() -> None:
    while _handles:
        bpy.utils.unregister_cli_command(_handles.pop())
