# SPDX-License-Identifier: GPL-3.0-or-later
"""The zips, and Blender's wheel in an environment that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

import build


@pytest.fixture(scope="session")
def universal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build(tmp_path_factory.mktemp("zip"))


@pytest.fixture(scope="session")
def older(universal: Path) -> Path:
    """The same zip under an earlier version."""
    path = universal.with_name("t2m_blender-0.0.1.zip")
    with zipfile.ZipFile(universal) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == "blender_manifest.toml":
                newer, version = (file.stem.partition("-")[2] for file in (universal, path))
                data = data.replace(f'"{newer}"'.encode(), f'"{version}"'.encode())
            target.writestr(entry, data)
    return path


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bpy wheel and what it requires, and no other package."""
    if find_spec("bpy") is None:
        pytest.skip("needs the bpy wheel (pip install bpy)")
    folder = tmp_path_factory.mktemp("bare")
    wanted, linked = ["bpy"], set()
    while wanted:
        name = wanted.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # a requirement of another platform
        wanted += [
            "".join(c if c.isalnum() or c in "-_" else " " for c in requirement).split()[0]
            for requirement in found.requires or []
            if "extra ==" not in requirement and name not in linked
        ]
        linked.add(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
    return folder


@pytest.fixture
def journey(bare: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs steps of journey.py in a process of their own, with a user folder that stays."""
    user = tmp_path / "user"
    for name in ("resources", "tmp"):
        (user / name).mkdir(parents=True)
    for name in ("written.py", "written.json", "journey.py"):
        script = shutil.copy(Path(__file__).with_name(name), user)

    def run(*steps: str, within: tuple[str, ...] = ()) -> str:
        done = subprocess.run(
            [*within, sys.executable, "-S", script, *steps],
            cwd=user,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
                "PYTHONPATH": str(bare),
                "BLENDER_USER_RESOURCES": str(user / "resources"),
                "TMPDIR": str(user / "tmp"),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "journey done" in done.stdout, said[-4000:]
        assert "Traceback" not in said, said[-4000:]
        return said

    return run
