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
    path = Path(os.path.realpath(path))
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".t2m-", suffix=path.suffix, dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary is not None:
            os.unlink(temporary)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a path where the operating system does not let us write."""
    reason = error.strerror or str(error)
    return OutputError(f"{path} cannot be written ({reason}): choose a folder that you may change.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
