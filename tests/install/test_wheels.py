# SPDX-License-Identifier: GPL-3.0-or-later
"""The zips through Blender's extension manager, on whichever bpy wheel this Python has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

import build

Journey = Callable[..., str]


def test_from_the_zip_to_nothing_left(journey: Journey, universal: Path, older: Path) -> None:
    first, second = (zip_file.stem.partition("-")[2] for zip_file in (older, universal))
    journey(
        "no_torch",
        f"install={older}",
        f"version={first}",
        "use=numpy",
        "write=numpy",
        "disable",
        "enable",
        "set_runtime=numpy",
        f"install={universal}",
        f"version={second}",
        "has_runtime=numpy",
        "use=numpy",
        "uninstall",
    )


def test_without_network_and_with_nothing_else_writable(
    journey: Journey, universal: Path, tmp_path: Path
) -> None:
    """Installed first; then every file but the user's own folder is read-only."""
    user = tmp_path / "user"
    extension = user / "resources/extensions/user_default/t2m_blender"
    script = (
        f"mount --bind {user} {user} && mount --bind {extension} {extension} && "
        f'mount -o remount,bind,ro {extension} && mount -o remount,bind,ro / && exec "$0" "$@"'
    )
    become_root = () if os.geteuid() == 0 else ("--map-root-user",)
    cut_off = ("unshare", *become_root, "--net", "--mount", "sh", "-c", script)
    journey(f"install={universal}", "set_runtime=numpy")
    possible = subprocess.run([*cut_off, "true"], capture_output=True, text=True)
    if possible.returncode:
        pytest.skip(f"needs namespaces for network and mounts: {possible.stderr.strip()}")
    for place, may in ((user, True), (extension, False), (build.ROOT, False)):
        touched = subprocess.run([*cut_off, "touch", f"{place}/touched"], capture_output=True)
        assert (touched.returncode == 0) == may, place
    journey("enable", "use=numpy", within=cut_off)


def test_torch_comes_along_in_its_own_zip(journey: Journey, tmp_path: Path) -> None:
    """Where torch is not installed; the zip for Linux, Python 3.11."""
    if sys.platform != "linux" or not installed_version("bpy").startswith("4.5"):
        pytest.skip("the zip that can be made here is for Linux, and 4.5 stands for its Pythons")
    zip_of = {"torch": "cpu", "platform": "linux-x64", "python": "cp311"}
    if not os.environ.get("CI"):
        wheels = build.pinned_wheels(*zip_of.values())
        if not all((build.ROOT / "build" / "wheels" / name).is_file() for name in wheels):
            pytest.skip("fetches 190 MB: run it once with CI=1")
    target = build.build(tmp_path, **zip_of)
    assert build.validate(target).startswith("validated by Blender")
    steps = ("set_runtime=torch", "use=torch", "write=torch", "torch_is_bundled")
    journey("no_torch", f"install={target}", *steps, "uninstall")
