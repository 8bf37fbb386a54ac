# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m t2m_blender PROMPT -o OUT`."""

from __future__ import annotations

import os
import sys

from . import cli


def main() -> int:
    """Run the command line; with Blender as a module, leave without Python's own winding down.

    That may hang or crash once Blender is loaded.
    """
    status = cli.main()
    sys.stdout.flush()
    sys.stderr.flush()
    if "bpy" in sys.modules:
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
