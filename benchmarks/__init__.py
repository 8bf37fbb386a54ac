# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements, one command each; see docs/performance.md."""

import os

# as t2m_blender.engine.pytorch does, before any of them imports PyTorch
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
