# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays out of a pickle without running what is in it.

A pickle may name any function and have it called when it is opened. This reader knows NumPy's own
array makers; every other class becomes an empty record of its state, and its code is never
imported. SMPL's published files hold arrays, SciPy's sparse matrices and arrays of `chumpy`, which
Blender does not have.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import InputError

_KNOWN: dict[tuple[str, str], Any] = {
    # its name has moved between NumPy's versions: an array says it itself
    **{
        (f"numpy.{core}.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0]
        for core in ("core", "_core")
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
    ("collections", "OrderedDict"): dict,
}
_DAMAGED = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError),
    *(TypeError, ValueError, MemoryError, OverflowError, struct.error, RecursionError),
)


class Record(dict[Any, Any]):
    """What a pickle says of an object of a class that is not known here: its state alone."""

    state: Any = None

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """For classes that were lists: their items are not kept."""


def _record(kind: type[Record], *_: Any) -> Record:
    """In place of `copyreg._reconstructor`, by which old pickles make objects."""
    return kind()


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("copyreg", "copy_reg"):
            return _record
        return _KNOWN.get((module, name)) or type(name, (Record,), {"__module__": module})


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle file.

    Raises:
        InputError: It is no pickle of a dictionary.
    """
    try:
        with path.open("rb") as file:
            found = _Reader(file, encoding="latin1").load()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    except _DAMAGED as error:
        raise InputError(f"{path.name} is damaged, or no body model ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{path.name} holds no body model but a {type(found).__name__}.")
    return found


def as_array(value: Any) -> NDArray[Any] | None:
    """A dense array of an array, a sparse matrix of SciPy's or an array of chumpy's; None else."""
    if isinstance(value, np.ndarray):
        return value
    state = value.state if isinstance(value, Record) else None
    if not isinstance(state, dict):
        return None
    if {"indptr", "indices", "data"} <= set(state):
        return _dense(type(value).__name__, state)
    return as_array(state.get("x"))  # chumpy's Ch keeps its values in x


def _dense(kind: str, state: dict[str, Any]) -> NDArray[Any] | None:
    shape = state.get("_shape", state.get("shape"))
    starts, indices, data = (np.asarray(state[k]) for k in ("indptr", "indices", "data"))
    if shape is None or starts.ndim != 1:
        return None
    dense = np.zeros(shape, dtype=data.dtype)
    lines = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    rows, columns = (indices, lines) if kind.startswith("csc") else (lines, indices)
    dense[rows, columns] = data
    return dense
