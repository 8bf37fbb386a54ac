# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender around us: which one it is, what it prints, what it says of errors, its own add-ons."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import bpy

from ..engine.errors import OutputError

__all__ = ["enabled", "is_module", "quiet", "telling_line"]


def telling_line(error: Exception) -> str:
    """The line that matters of an operator's error, which may hold a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Location:")]
    return telling[-1].rstrip(".") if telling else type(error).__name__


def is_module() -> bool:
    """Whether this is the bpy wheel rather than a running Blender."""
    return not bpy.app.binary_path


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what Blender and its exporters print away from standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        sys.stdout.flush()
        _flush_c_stdout()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _flush_c_stdout() -> None:
    """Empties the C library's own buffer, which would otherwise be printed later."""
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


@contextmanager
def enabled(add_on: str) -> Iterator[None]:
    """One of Blender's own add-ons, enabled for the moment if it is not (the BVH one in 5.0)."""
    import addon_utils

    was_enabled = addon_utils.check(add_on)[1]
    if not was_enabled and addon_utils.enable(add_on) is None:
        raise OutputError(
            f'Blender\'s own add-on "{add_on}" cannot be enabled here; choose another format.'
        )
    try:
        yield
    finally:
        if not was_enabled:
            addon_utils.disable(add_on)
