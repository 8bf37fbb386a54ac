# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import OutputError


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write in, which takes the place of `path` if all goes well and vanishes if not.

    Raises:
        OutputError: The operating system refuses.
    """
    with new_path(path) as temporary, temporary.open("xb") as file:
        yield file


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """As `new_file`, for those who write by path: a free one in the same folder, suffix alike.

    Raises:
        OutputError: The operating system refuses.
    """
    suffix = path.suffix.lower()
    path = Path(os.path.realpath(path))  # a link stays a link: what it points at is replaced
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".t2m-", suffix=suffix, dir=path.parent)
        temporary = Path(name)
        os.close(handle)
        temporary.unlink()  # mkstemp's is for its owner only, and Blender would keep a backup of it
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, reason: OSError | str) -> OutputError:
    """The error for a path that could not be written, with what the system or Blender said."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    return OutputError(
        f"{path} cannot be written ({reason}): choose a place that you may change and has room."
    )
