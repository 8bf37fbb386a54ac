# SPDX-License-Identifier: GPL-3.0-or-later
"""Enabling the add-on costs little: what generating needs is imported when it is pressed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

CODE = """
import json, os, sys, bpy, t2m_blender
t2m_blender.register()
print("MODULES", json.dumps(sorted(sys.modules)), flush=True)
t2m_blender.unregister()
os._exit(0)
"""
LATER = {
    *("generate", "model", "runtime", "writing", "text", "minilm", "clip", "checkpoint"),
    *("layers", "numpy_runtime", "numpy_gpt", "numpy_vqvae", "torch_runtime", "gpt", "vqvae"),
}


def test_enabling_imports_neither_torch_nor_the_networks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("MODULES")]
    modules = json.loads(line.removeprefix("MODULES"))
    assert "t2m_blender.blender.operators" in modules
    assert not {f"t2m_blender.engine.{name}" for name in LATER} & set(modules)
    assert "torch" not in modules and "scipy" not in modules
