# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the extension's zips; needs git, and pip where wheels are bundled.

    python build.py                                                     every platform, no torch
    python build.py --torch cpu --platform linux-x64 --python cp311     torch in it, one platform

It takes the files that git tracks as they lie there and edits none: what differs from the sources
(the manifest of a zip with wheels) is made on the way. The same files give the same bytes.
Blender's own validator, which the bpy wheel brings, has the last word.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGE = "t2m_blender/"
BESIDE = ("blender_manifest.toml", "LICENSE", "LICENSES/", "NOTICE.md")
LOCK = ROOT / "wheels.lock.toml"
DEFAULT_MODEL = "models/default.safetensors"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
PYTHON_313_COMES_WITH = "5.1.0"  # Blender's version; 3.11 serves from 4.2 until then

Contents = dict[str, "bytes | Path"]
"""Name in the zip -> what it holds."""


def staged(only_model: Path | None = None) -> Contents:
    """The zip without wheels: the package, its manifest, licences and notice."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", PACKAGE, *BESIDE]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    contents: Contents = {
        name.removeprefix(PACKAGE): ROOT / name for name in names.split("\0") if name
    }
    if only_model is not None:
        terms = model_terms(only_model)
        contents[DEFAULT_MODEL] = only_model
        contents["NOTICE.md"] = (ROOT / "NOTICE.md").read_bytes() + terms.encode()
    return contents


def model_terms(path: Path) -> str:
    """What the notice says of a model that stands in the embedded one's place."""
    try:
        with path.open("rb") as file:
            header = file.read(int.from_bytes(file.read(8), "little") if path.stat().st_size else 0)
        config = json.loads(json.loads(header)["__metadata__"]["config"])
        licence, origin = config["licence"], config["origin"]
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        sys.exit(f"{path} is not a finished model ({error}); name what train-gpt has written.")
    return (
        f"\n## In this build\n`{DEFAULT_MODEL}` is not the model of the table above, but another.\n"
        f"Licence: {licence}. Origin: {origin}\n"
    )


def pinned_wheels(torch: str, platform: str, python: str) -> dict[str, str]:
    """File name -> SHA-256 of the wheels of one zip, from the lock file."""
    table = tomllib.loads(LOCK.read_text(encoding="utf-8"))
    found, place = dict(table["any"]), table
    for step in (torch, platform, python):
        place = place.get(step, {})
        found |= {name: value for name, value in place.items() if isinstance(value, str)}
    if not any(name.startswith("torch-") for name in found):
        sys.exit(f"{LOCK.name} pins no torch for {torch} {platform} {python}; it tells how to.")
    return dict(sorted(found.items()))


def fetched(wheels: Mapping[str, str], python: str) -> list[Path]:
    """The pinned wheels in `build/wheels`, downloaded by pip where they are not there yet."""
    folder = ROOT / "build" / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in wheels if not (folder / name).is_file()]
    if missing:
        tags = sorted({tag for name in missing for tag in name[:-4].split("-")[-1].split(".")})
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        command += ["--only-binary=:all:", "--python-version", f"{python[2]}.{python[3:]}"]
        command += [f"--platform={tag}" for tag in tags if tag != "any"]
        with tempfile.TemporaryDirectory() as beside:
            asked = Path(beside) / "asked.txt"
            lines = [
                "{}==={} --hash=sha256:{}".format(*n.split("-")[:2], wheels[n]) for n in missing
            ]
            asked.write_text("\n".join(lines), encoding="utf-8")
            command += ["--require-hashes", "-r", str(asked)]
            unconstrained = {k: v for k, v in os.environ.items() if k != "PIP_CONSTRAINT"}
            if subprocess.run(command, env=unconstrained).returncode:
                sys.exit("pip could not fetch the pinned wheels; see above.")
    paths = [folder / name for name in wheels]
    for path in paths:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wheels[path.name]:
                sys.exit(f"{path} is not the wheel that is pinned; delete it.")
    return paths


def bundled(wheels: list[Path], platform: str, python: str) -> Contents:
    """What a zip with wheels has beside or instead of the staged files."""
    manifest = (ROOT / "blender_manifest.toml").read_text(encoding="utf-8")
    listed = "".join(f'  "./wheels/{path.name}",\n' for path in wheels)
    lines = [f'platforms = ["{platform}"]', f"wheels = [\n{listed}]"]
    if python == "cp311":
        lines.insert(0, f'blender_version_max = "{PYTHON_313_COMES_WITH}"')
    else:
        manifest = re.sub(
            r"(?m)^(blender_version_min) = .*$", rf'\1 = "{PYTHON_313_COMES_WITH}"', manifest
        )
    manifest = re.sub(r"(?m)^(?=\[permissions\])", "\n".join(lines) + "\n\n", manifest)
    contents: Contents = {"blender_manifest.toml": manifest.encode()}
    for path in wheels:
        contents[f"wheels/{path.name}"] = path
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                folder, _, rest = name.partition(".dist-info/")
                if re.match(r"(?i)(licenses/.|(licen[cs]e|copying|notice)[^/]*$)", rest):
                    contents[f"LICENSES/{folder}/{rest}"] = archive.read(name)
    return contents


def write_zip(contents: Contents, target: Path) -> None:
    """The entries sorted, with one date and one compression; weights and code get smaller."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name, source in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            packed = name.endswith(".whl")
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            data = source if isinstance(source, bytes) else source.read_bytes()
            archive.writestr(entry, data, compresslevel=9)


def validator() -> Path | None:
    """The command line of Blender's extension manager inside the bpy wheel, if that is here."""
    spec = importlib.util.find_spec("bpy")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [p for place in places for p in Path(place).glob("*/scripts/addons_core/bl_pkg/cli")]
    return found[0] / "blender_ext.py" if found else None


def validate(target: Path) -> str:
    """Asks Blender's validator; returns what to say, and ends the program if it complains."""
    script = validator()
    if script is None:
        return "not validated: there is no bpy in this Python (pip install bpy==4.5.*)"
    done = subprocess.run(
        [sys.executable, str(script), "validate", str(target)], capture_output=True, text=True
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "Success" not in line]
    if done.returncode or said:
        sys.exit("\n".join([f"Blender's validator refuses {target.name}:", *said]))
    return f"validated by Blender {script.parents[4].name}"


def table_of_sizes(target: Path) -> str:
    """Bytes in the zip of every model and wheel, and of the rest by folder."""
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(target) as archive:
        for entry in archive.infolist():
            folder, slash, rest = entry.filename.partition("/")
            alone = folder in ("models", "wheels")
            name = entry.filename if alone else folder + slash + ("..." if rest else "")
            sizes[name] = sizes.get(name, 0) + entry.compress_size
    rows = sorted(sizes.items(), key=lambda row: -row[1])
    rows.append((target.name, target.stat().st_size))
    return "\n".join(f"{size / 1e6:9.3f} MB  {name}" for name, size in rows)


def build(
    folder: Path,
    *,
    torch: str | None = None,
    platform: str | None = None,
    python: str | None = None,
    only_model: Path | None = None,
) -> Path:
    """Writes one zip into `folder` and returns its path."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    contents, name = staged(only_model), f"{manifest['id']}-{manifest['version']}"
    if torch and platform and python:
        wheels = fetched(pinned_wheels(torch, platform, python), python)
        contents |= bundled(wheels, platform, python)
        name += f"-torch_{torch}-{platform}-{python}"
    target = folder / f"{name}.zip"
    write_zip(contents, target)
    return target


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--torch", choices=("cpu", "cuda"), help="bundle torch")
    parser.add_argument("--platform", choices=("linux-x64", "windows-x64", "macos-arm64"))
    parser.add_argument("--python", choices=("cp311", "cp313"), help="Blender's Python")
    parser.add_argument("--only-model", type=Path, help="bundle this model instead of ours")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder (dist)")
    options = parser.parse_args(argv)
    if len({bool(options.torch), bool(options.platform), bool(options.python)}) > 1:
        parser.error("--torch, --platform and --python go together")
    target = build(
        options.output,
        torch=options.torch,
        platform=options.platform,
        python=options.python,
        only_model=options.only_model,
    )
    print(table_of_sizes(target))
    print(f"{target}: {validate(target)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
