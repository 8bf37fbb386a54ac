# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to motion, with no Blender in it.

Shape letters used in every docstring: B batch, T frames, L tokens, J joints, N bones, D features,
K codes. Metres, seconds, radians, y-up and quaternions (w, x, y, z) unless a name says otherwise.

Importing this package loads NumPy only; `load_model` and `generate` load torch when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import T2MError
from .motion import Motion
from .skeleton import HUMANML3D, KIT, Skeleton

if TYPE_CHECKING:
    from .generate import GeneratedMotion, TextToMotion, generate, generate_batch, load_model

_LAZY = ("GeneratedMotion", "TextToMotion", "generate", "generate_batch", "load_model")

__all__ = ["HUMANML3D", "KIT", "Motion", "Skeleton", "T2MError", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.generate"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
