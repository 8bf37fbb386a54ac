# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to motion, with no Blender in it.

Shape letters used in every docstring: B batch, T frames, L tokens, J joints, N bones, D features,
K codes. Metres, seconds, radians, y-up and quaternions (w, x, y, z) unless a name says otherwise.

Importing this package loads NumPy only. The story begins in `engine.generate` (`load_model`,
`generate`), which needs torch and is imported by those who generate.
"""

from __future__ import annotations

from .errors import T2MError
from .motion import Motion
from .skeleton import HUMANML3D, KIT, Skeleton

__all__ = ["HUMANML3D", "KIT", "Motion", "Skeleton", "T2MError"]
