# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading .npz and .npy files that others made, which may be cut short."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError

# What NumPy and zipfile raise on files that were cut short, or in which bytes changed.
DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, SyntaxError, tokenize.TokenError),
)


def read_arrays(path: Path, wanted: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file: those of the wanted names that it has, or all of them.

    Raises:
        InputError: the file is missing or damaged, or a wanted array is pickled.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile("it is no .npz file, or only the beginning of one")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                names = stored.files if wanted is None else set(wanted) & set(stored.files)
                return {name: stored[name] for name in names}
    except FileNotFoundError:
        raise InputError(f"{path.name} is missing.") from None
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path.name} cannot be read ({reason}).") from None
