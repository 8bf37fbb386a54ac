# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the extension's zip: `python build.py` -> dist/t2m_blender-VERSION.zip.

Copies the package, the manifest, the licence and the notice as they are; sources are never edited.
The same files give the same bytes. `blender -b --command extension validate FILE` judges them.
"""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "t2m_blender"
BESIDE = ("blender_manifest.toml", "LICENSE", "LICENSES/Apache-2.0.txt", "NOTICE.md")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold


def contents() -> dict[str, Path]:
    """Name in the zip -> file, sorted by name."""
    files = {
        path.relative_to(PACKAGE).as_posix(): path
        for path in PACKAGE.rglob("*")
        if path.is_file() and not any(map(_is_passing, path.relative_to(PACKAGE).parts))
    }
    files |= {name: ROOT / name for name in BESIDE}
    return dict(sorted(files.items()))


def _is_passing(name: str) -> bool:
    """Whether a file or folder is a program's own, hidden or half written, and no source."""
    return name == "__pycache__" or name.startswith(".") or name.endswith((".part", "~"))


def build(folder: Path) -> Path:
    """Writes the zip into `folder` and returns its path."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{manifest['id']}-{manifest['version']}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in contents().items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return target


def main() -> int:
    target = build(ROOT / "dist")
    print(f"{target.relative_to(ROOT)}  {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
