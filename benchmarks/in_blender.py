# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a benchmark in Blender itself, whose Python does not look into a checkout.

blender -b --python benchmarks/in_blender.py -- NAME ...
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
name, *words = sys.argv[sys.argv.index("--") + 1 :]
sys.argv = [name, *words]
runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
