# SPDX-License-Identifier: GPL-3.0-or-later
"""The dependency arrows of docs/architecture.md, read off the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "t2m_blender"

# Room -> rooms it may import. The command line (t2m_blender/*.py) is the door between them.
MAY_KNOW = {
    "engine": set(),
    "retarget": {"engine"},
    "blender": {"engine", "retarget", "command"},
    "command": {"engine", "blender"},
    "training": {"engine", "retarget"},
}
# The files of the engine that know torch; all others are NumPy only.
TORCH = {
    *("codebook", "vqvae", "gpt", "int8_linear", "int8_blocks", "official", "torch_runtime"),
    *("pytorch", "unfilled"),
}
OUTSIDE_ALLOWED = {
    "retarget": {"numpy"},
    "command": {"numpy"},
    "blender": {"numpy", "bpy", "mathutils"},
}
# The one way from training into the blender room: one function, imported when it is called.
READING = ("training/data/clips.py", "t2m_blender.blender.read_file.read_motions")
BLOCKED = "import sys; sys.modules['bpy'] = None; sys.modules['torch'] = None;"


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    if parts[0] == "training":
        return "training"
    return parts[1] if len(parts) > 2 else "command"


def sources() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *(ROOT / "training").rglob("*.py")])


def imports(path: Path) -> list[tuple[str, int]]:
    """Absolute dotted names of everything a file imports, with line numbers."""
    here = path.relative_to(ROOT).with_suffix("").parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level]) if node.level else []
            name = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            # `from . import x` and `from .. import engine` name modules
            found += [(f"{name}.{alias.name}", node.lineno) for alias in node.names]
    return found


def top_level_imports(path: Path) -> set[str]:
    """What a file imports as soon as it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return {name for name, line in imports(path) if line not in inside}


def our_room(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] == "training":
        return "training"
    if parts[0] != "t2m_blender":
        return None
    known = set(MAY_KNOW) - {"command", "training"}
    return parts[1] if len(parts) > 1 and parts[1] in known else "command"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_know_only_their_neighbours(path: Path) -> None:
    room = room_of(path)
    for name, line in imports(path):
        other = our_room(name)
        if (path.relative_to(ROOT).as_posix(), name) == READING:
            assert name not in top_level_imports(path), f"{path}:{line}: import {name} lazily"
            continue
        if other is not None and other != room:
            assert other in MAY_KNOW[room], f"{path}:{line}: {room} may not know {name}"
        top = name.split(".")[0]
        if top in ("bpy", "bmesh", "mathutils", "gpu", "bl_ext"):
            assert room == "blender", f"{path}:{line}: only the blender room imports {top}"
        if top == "torch":
            allowed = room == "training" or (room == "engine" and path.stem in TORCH)
            assert allowed, f"{path}:{line}: torch is not for this file"
        if room in OUTSIDE_ALLOWED and other is None:
            known = top in sys.stdlib_module_names or top in OUTSIDE_ALLOWED[room]
            assert known or top in ("bpy_extras", "bmesh", "bl_math", "addon_utils"), (
                f"{path}:{line}: {room} imports {top}"
            )


def test_inside_the_extension_imports_are_relative() -> None:
    """It runs as bl_ext.<repository>.t2m_blender, where 't2m_blender' does not exist."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            assert not any(n.split(".")[0] == "t2m_blender" for n in names), f"{path}:{node.lineno}"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_generating_needs_neither_bpy_nor_torch() -> None:
    code = "from t2m_blender.engine.generate import *; generate('walks', model=load_model())"
    done = run(f"{BLOCKED} {code}")
    assert done.returncode == 0, done.stderr


def test_package_and_command_line_load_neither_bpy_nor_torch() -> None:
    code = (
        "import sys, t2m_blender, t2m_blender.cli, t2m_blender.engine, t2m_blender.retarget.solve;"
        "print([name for name in ('bpy', 'torch') if name in sys.modules])"
    )
    assert run(code).stdout.strip() == "[]", run(code).stderr


def test_every_source_file_names_its_licence() -> None:
    for path in [*sources(), *(ROOT / "tests").rglob("*.py")]:
        first = path.read_text(encoding="utf-8").split("\n")[0]
        assert first == "# SPDX-License-Identifier: GPL-3.0-or-later", path
