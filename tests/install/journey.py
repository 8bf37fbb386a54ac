# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user does with a zip, step by step, inside any Blender.

    python journey.py STEP ...                                        a Python with the bpy wheel
    blender -b --python-exit-code 1 --python journey.py -- STEP ...   a Blender

A step is `name` or `name=value`. Each asserts what it should have done; "journey done" comes last.
BLENDER_USER_RESOURCES names the user's own folder. Nothing but bpy and NumPy is needed.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from pathlib import Path

import bpy
import numpy as np

REPOSITORY = "user_default"
MODULE = f"bl_ext.{REPOSITORY}.t2m_blender"


def step_install(zip_file: str) -> None:
    """Installs or upgrades, as a zip dropped on the window does."""
    bpy.ops.extensions.package_install_files(
        filepath=zip_file, repo=REPOSITORY, enable_on_install=True
    )
    assert _folder().is_dir(), "not installed"
    assert MODULE in bpy.context.preferences.addons, "not enabled"
    assert _registered(), "not registered"


def step_enable(_: str) -> None:
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert MODULE in bpy.context.preferences.addons and _registered()


def step_disable(_: str) -> None:
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert MODULE not in bpy.context.preferences.addons
    assert not _registered(), _registered()
    assert not hasattr(bpy.types.Scene, "t2m")


def step_version(wanted: str) -> None:
    found = sys.modules[MODULE].version()
    assert found == wanted, found


def step_set_runtime(name: str) -> None:
    """A setting of the user's, kept as "Save Preferences" does."""
    bpy.context.preferences.addons[MODULE].preferences.runtime = name
    bpy.ops.wm.save_userpref()


def step_has_runtime(name: str) -> None:
    found = bpy.context.preferences.addons[MODULE].preferences.runtime
    assert found == name, found


def step_use(runtime: str) -> None:
    """A sentence, a press, and the armature walks; the extension's folder stays as it is."""
    before, path = _contents(), list(sys.path)
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    settings = bpy.context.scene.t2m
    settings.prompt, settings.seed = "a person walks forward", 1
    settings.length, settings.seconds = "SECONDS", 3.0
    assert bpy.ops.t2m.generate() == {"FINISHED"}
    (armature,) = [item for item in bpy.data.objects if item.type == "ARMATURE"]
    places = []
    for frame in (1, 72):
        bpy.context.scene.frame_set(frame)
        hips = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["pelvis"]
        places.append(np.array(armature.matrix_world @ hips.head))
    way = np.linalg.norm(places[1] - places[0])
    assert way > 0.5, f"it went {way} m"
    computed = sys.modules[f"{MODULE}.blender.models"].last_loaded().choice.runtime
    assert computed == runtime, computed
    assert ("torch" in sys.modules) == (runtime == "torch")
    assert _contents() == before, "wrote into its own folder"
    assert sys.path == path, "changed sys.path"


def step_write(runtime: str) -> None:
    """The tokens that every other Python writes too."""
    # Blender runs this file, and does not look for modules beside it
    different = runpy.run_path(str(Path(__file__).with_name("written.py")))["different"]
    assert different(MODULE, runtime) == []


def step_no_torch(_: str) -> None:
    """The environment has none."""
    try:
        import torch
    except ModuleNotFoundError:
        return
    raise AssertionError(f"torch is here: {torch.__file__}")


def step_torch_is_bundled(_: str) -> None:
    import torch

    place = Path(bpy.utils.user_resource("EXTENSIONS"))
    assert place in Path(torch.__file__).parents, torch.__file__
    assert place not in Path(np.__file__).parents, "NumPy is Blender's own"


def step_uninstall(_: str) -> None:
    repositories = bpy.context.preferences.extensions.repos
    (index,) = [k for k, one in enumerate(repositories) if one.module == REPOSITORY]
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="t2m_blender")
    assert not _folder().exists(), "the folder is still there"
    assert MODULE not in bpy.context.preferences.addons
    assert not _registered(), _registered()
    root = Path(bpy.utils.user_resource("EXTENSIONS"))
    files = [path for path in root.rglob("*") if path.is_file()]
    left = [str(path.relative_to(root)) for path in files if "__pycache__" not in path.parts]
    left = [name for name in left if not name.startswith((f"{REPOSITORY}/.blender_ext", ".cache"))]
    assert not left, left


def _folder() -> Path:
    return Path(bpy.utils.user_resource("EXTENSIONS")) / REPOSITORY / "t2m_blender"


def _registered() -> list[str]:
    return [name for name in dir(bpy.types) if name.startswith("T2M_")]


def _contents() -> dict[str, tuple[int, int]]:
    """Every file of the extension with its size and time, but for Python's own cache."""
    files = [path for path in _folder().rglob("*") if path.is_file()]
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
        if "__pycache__" not in path.parts
    }


def main() -> None:
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    for argument in arguments:
        name, _, value = argument.partition("=")
        globals()[f"step_{name}"](value)
        print("done:", argument, flush=True)
    print("journey done", flush=True)


def run() -> int:
    """The exit status; what went wrong is on standard error."""
    try:
        main()
    except Exception:  # noqa: BLE001 - Blender would go on
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    status = run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # the wheel may hang or crash when it winds down
