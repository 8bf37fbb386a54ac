# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zips hold what Blender needs, and the same bytes every time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import build

MODELS = build.ROOT / "t2m_blender" / "models"
DEFAULT = MODELS / "default.safetensors"


@pytest.fixture(scope="module")
def universal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build(tmp_path_factory.mktemp("dist"))


def test_the_same_sources_make_the_same_bytes(universal: Path, tmp_path: Path) -> None:
    second = build.build(tmp_path)
    assert universal.read_bytes() == second.read_bytes()
    assert universal.stat().st_size < 60e6


def test_contents(universal: Path) -> None:
    with zipfile.ZipFile(universal) as archive:
        names = archive.namelist()
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
    assert needed <= set(names)
    assert names == sorted(set(names))
    assert not [name for name in names if "__pycache__" in name or name.startswith("training")]
    assert "wheels" not in manifest and "platforms" not in manifest


def test_the_manifest_keeps_the_rules_of_extensions() -> None:
    manifest = tomllib.loads((build.ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert "blender" not in manifest["name"].lower()
    assert len(manifest["tagline"]) <= 64 and manifest["tagline"][-1].isalnum()
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    # motions are written where the command line says; nothing is fetched (tests/test_policy.py)
    assert set(manifest["permissions"]) == {"files", "clipboard"}
    for reason in manifest["permissions"].values():
        assert len(reason) <= 64 and reason[-1].isalnum()


def test_blenders_validator_is_silent(universal: Path) -> None:
    if build.validator() is None:
        pytest.skip("needs the bpy wheel")
    assert build.validate(universal).startswith("validated by Blender ")
    with (broken := universal.with_name("broken.zip")).open("wb") as file:
        file.write(b"no zip")
    with pytest.raises(SystemExit, match="validator refuses"):
        build.validate(broken)


def test_only_what_git_tracks_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("t2m_blender/cli.py", "t2m_blender/models/a.safetensors", "LICENSE"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    for name in ("models/b.safetensors.part", "cli.py~", ".idea/workspace.xml", "notes.txt"):
        (tmp_path / "t2m_blender" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t2m_blender" / name).touch()
    monkeypatch.setattr(build, "ROOT", tmp_path)
    assert set(build.staged()) == {"cli.py", "models/a.safetensors", "LICENSE"}


def test_another_model_takes_the_embedded_ones_place(tmp_path: Path) -> None:
    mine = shutil.copy(DEFAULT, tmp_path / "mine.safetensors")
    contents = build.staged(Path(mine))
    assert contents[build.DEFAULT_MODEL] == mine
    notice = contents["NOTICE.md"]
    assert isinstance(notice, bytes)
    assert "Licence: CC-BY-4.0" in notice.decode().split("## In this build")[1]
    wrong = [b"", b"garbage", (10 * 2**30).to_bytes(8, "little") + b"{}", bytes(8)]
    for number, content in enumerate(wrong):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(content)
        with pytest.raises(SystemExit, match="not a finished model"):
            build.staged(path)


def test_pinned_wheels_fit_their_zip() -> None:
    table = tomllib.loads(build.LOCK.read_text(encoding="utf-8"))
    systems = {"linux-x64": "manylinux", "windows-x64": "win_amd64", "macos-arm64": "macosx"}
    zips = [
        (torch, platform, python)
        for torch in ("cpu", "cuda")
        for platform, row in table[torch].items()
        for python in row
        if python in ("cp311", "cp313")
    ]
    assert len(zips) == 7
    for torch, platform, python in zips:
        wheels = build.pinned_wheels(torch, platform, python)
        for name, sha256 in wheels.items():
            _, _, interpreter, _, tags = name.removesuffix(".whl").split("-")
            assert interpreter in (python, "py3")
            assert tags == "any" or systems[platform] in tags
            assert len(bytes.fromhex(sha256)) == 32
        assert any(name.startswith("nvidia_cudnn") for name in wheels) == (torch == "cuda")
    with pytest.raises(SystemExit, match="pins no torch for cuda windows-x64 cp311"):
        build.pinned_wheels("cuda", "windows-x64", "cp311")


@pytest.mark.parametrize(
    ("python", "versions"),
    [("cp311", {"min": "4.2.0", "max": "5.1.0"}), ("cp313", {"min": "5.1.0"})],
)
def test_a_zip_with_wheels_lists_them_and_their_licences(
    tmp_path: Path, python: str, versions: dict[str, str]
) -> None:
    wheel = tmp_path / f"torch-2.13.0-{python}-{python}-win_amd64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("torch/__init__.py", "")
        archive.writestr("torch-2.13.0.dist-info/METADATA", "")
        archive.writestr("torch-2.13.0.dist-info/LICENSE.txt", "terms")
        archive.writestr("torch-2.13.0.dist-info/licenses/third_party/x/NOTICE", "others'")
    contents = build.bundled([wheel], "windows-x64", python)
    assert contents.keys() == {
        "blender_manifest.toml",
        f"wheels/{wheel.name}",
        "LICENSES/torch-2.13.0/LICENSE.txt",
        "LICENSES/torch-2.13.0/licenses/third_party/x/NOTICE",
    }
    text = contents["blender_manifest.toml"]
    assert isinstance(text, bytes)
    manifest = tomllib.loads(text.decode())
    assert manifest["wheels"] == [f"./wheels/{wheel.name}"]
    assert manifest["platforms"] == ["windows-x64"]
    stated = {end: manifest.get(f"blender_version_{end}") for end in ("min", "max")}
    assert {end: version for end, version in stated.items() if version} == versions
    assert manifest["permissions"].keys() == {"files", "clipboard"}


def test_torch_needs_no_other_package_to_generate(tmp_path: Path) -> None:
    """All that torch requires but the zips do not bundle is blocked."""
    pytest.importorskip("torch")
    from importlib.metadata import requires

    asked = [r for r in requires("torch") or [] if "extra" not in r]
    names = {"".join(c if c.isalnum() else " " for c in r).split()[0] for r in asked}
    blocked = sorted(names - {"typing", "nvidia", "cuda", "triton"})
    assert {"sympy", "networkx", "jinja2"} <= set(blocked)
    code = (
        f"import sys; [sys.modules.update({{name: None}}) for name in {blocked}]\n"
        "from t2m_blender.cli import main\n"
        "options = '--seconds 1 --runtime torch'.split()\n"
        "sys.exit(main(['a person walks', '-o', sys.argv[1], *options]))"
    )
    out = tmp_path / "walk.npz"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=build.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and out.is_file(), done.stderr


def test_the_manifest_is_the_only_place_of_the_version(universal: Path) -> None:
    version = tomllib.loads((build.ROOT / "blender_manifest.toml").read_text())["version"]
    assert universal.name == f"t2m_blender-{version}.zip"
    git = ["git", "-C", str(build.ROOT)]
    stated = rf"(version[_ =\"']+|t2m_blender-){re.escape(version)}"
    found = subprocess.run(
        [*git, "grep", "-lE", stated, "--", "*.py", "*.toml", ".ci", "Makefile"],
        capture_output=True,
        text=True,
    ).stdout.split()
    assert found == ["blender_manifest.toml"]
    changelog = (build.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = next(line for line in changelog.splitlines() if line.startswith("## "))
    tags = subprocess.run(
        [*git, "tag", "--points-at", "HEAD"], capture_output=True, text=True
    ).stdout.split()
    if tags:  # a release: the tag, the manifest and the changelog say the same
        assert tags == [f"v{version}"]
        assert newest == f"## {version}"
    else:
        assert newest.split()[1] == version


def test_lock_and_project_want_the_same_torch() -> None:
    project = tomllib.loads((build.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (wanted,) = project["project"]["optional-dependencies"]["torch"]
    lock = build.LOCK.read_text(encoding="utf-8")
    pinned = set(re.findall(r'(?m)^"torch-([\d.]+)', lock))
    assert pinned == {wanted.removeprefix("torch==")}
