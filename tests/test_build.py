# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zip holds what Blender needs, and the same bytes every time."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest

import build


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    first = build.build(tmp_path / "a")
    second = build.build(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 60e6


def test_contents(tmp_path: Path) -> None:
    with zipfile.ZipFile(build.build(tmp_path)) as archive:
        names = set(archive.namelist())
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    needed = {
        "__init__.py",
        "LICENSE",
        "LICENSES/Apache-2.0.txt",
        "NOTICE.md",
        "engine/generate.py",
        "models/default.safetensors",
        "models/minilm.safetensors",
        "retarget/presets/t2m.json",
    }
    assert needed <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("training")]
    assert "blender" not in manifest["name"].lower()
    assert len(manifest["tagline"]) <= 64
    assert not manifest["tagline"].endswith(".")


def test_what_lies_about_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / ".hidden" / "t2m_blender"  # where the checkout is does not matter
    for name in (
        "cli.py",
        "models/a.safetensors",
        "models/.t2m-x.safetensors",
        "models/b.safetensors.part",
        "cli.py~",
        ".idea/workspace.xml",
        "engine/__pycache__/text.pyc",
    ):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    monkeypatch.setattr(build, "PACKAGE", package)
    assert set(build.contents()) - set(build.BESIDE) == {"cli.py", "models/a.safetensors"}
