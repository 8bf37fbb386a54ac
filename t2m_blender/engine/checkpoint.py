# SPDX-License-Identifier: GPL-3.0-or-later
"""One file a model: safetensors whose header carries the configuration as JSON.

The reader is our own and short, so that Blender needs no package for it; it trusts nothing in the
file before checking it. Tensors come memory-mapped in the type in which they are stored. Matrices
may be stored as int8 rows with a float32 `NAME.scale` each, or as float16; `WidenedTensors` makes
them float32 when they are asked for.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CheckpointError, InputError
from .files import new_file
from .skeleton import Skeleton, skeleton_from_json, skeleton_to_json

FORMAT = "t2m_blender 1"

WEIGHTS = ("int8", "fp16", "fp32")
"""How a model file may keep its matrices, the smallest first."""

_TYPES = {
    "F32": "<f4",
    "F16": "<f2",
    "F64": "<f8",
    "I8": "i1",
    "U8": "u1",
    "I32": "<i4",
    "I64": "<i8",
    "BOOL": "?",
}
_NAMES = {np.dtype(value): name for name, value in _TYPES.items()}
_SAMPLING = ("guidance", "temperature", "top_p")
_LONGEST_HEADER = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All of a text-to-motion model but its text encoder.

    Attributes:
        vqvae, gpt: Constructor values of VQVAEConfig and GPTConfig.
        tensors: Network tensors under `vqvae.` and `gpt.`, float32; of a file, each is read when it
            is asked for. Under `text.`, if anything, low-rank changes to the text encoder.
        mean, std: [D] float32, of the training features.
        skeleton: Of the features.
        text_encoder: Name of the encoder whose features the GPT reads.
        sampling: Defaults for `generate`: guidance, temperature, top_p.
        licence: SPDX name or sentence; `origin` says from what it was trained and how.
        origin: Data, credit, training command.
        sha256: Of the file it was read from; empty before it is written.
    """

    vqvae: dict[str, Any]
    gpt: dict[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    skeleton: Skeleton
    text_encoder: str
    sampling: dict[str, float]
    licence: str
    origin: str
    sha256: str = field(default="", compare=False)

    @property
    def text_changes(self) -> dict[str, NDArray[Any]]:
        """What this model adds to its text encoder, see `Weights.change`; often nothing."""
        return {
            name.removeprefix("text."): self.tensors[name]
            for name in self.tensors
            if name.startswith("text.")
        }

    @property
    def has_int8(self) -> bool:
        """Whether the file holds int8 rows."""
        return isinstance(self.tensors, WidenedTensors) and self.tensors.has_int8


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a model file written by `write_checkpoint`.

    Raises:
        CheckpointError: Missing, truncated, or not a model of ours; says which.
    """
    stored, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a t2m_blender model (format {metadata.get('format', 'unknown')!r}); "
            "name a model that 'python -m training train-gpt' has made."
        )
    try:
        content = json.loads(metadata["config"])
        skeleton = skeleton_from_json(content["skeleton"])
        mean, std = stored.pop("statistics.mean"), stored.pop("statistics.std")
        if mean.shape != (skeleton.feature_size,) or std.shape != mean.shape:
            raise ValueError(f"statistics of {mean.shape} and {std.shape}")
        return Checkpoint(
            vqvae=content["vqvae"],
            gpt=content["gpt"],
            tensors=WidenedTensors(stored),
            mean=np.array(mean, dtype=np.float32),
            std=np.array(std, dtype=np.float32),
            skeleton=skeleton,
            text_encoder=content["text_encoder"],
            sampling={name: float(content["sampling"][name]) for name in _SAMPLING},
            licence=str(content["licence"]),
            origin=str(content["origin"]),
            sha256=file_sha256(Path(path)),
        )
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise CheckpointError(
            f"{path} is damaged: it lacks or garbles {error}; train or download it again."
        ) from error


def write_checkpoint(path: Path, checkpoint: Checkpoint, *, weights: str = "fp16") -> None:
    """Writes a model file; what is no matrix is float32.

    Args:
        weights: One of `WEIGHTS`. "fp32" keeps matrices as they are. "int8" makes rows of whole
            numbers, with a scale each, of the GPT's and the encoder's layers; the rest is float16:
            what the decoder is off by would add up along the root's path.

    Raises:
        OutputError: The folder is missing or cannot be written.
    """
    names = ("vqvae", "gpt", "text_encoder", "sampling", "licence", "origin")
    content = {name: getattr(checkpoint, name) for name in names}
    content["skeleton"] = skeleton_to_json(checkpoint.skeleton)
    tensors: dict[str, NDArray[Any]] = {}
    for name, tensor in checkpoint.tensors.items():
        layer = name.endswith(".weight") and not name.startswith("vqvae.decoder.")
        if weights == "int8" and layer and tensor.ndim > 1:
            tensors[name], tensors[f"{name}.scale"] = narrow(tensor)
        else:
            half = weights != "fp32" and tensor.ndim > 1
            tensors[name] = tensor.astype(np.float16) if half else tensor
    tensors["statistics.mean"] = checkpoint.mean.astype(np.float32)
    tensors["statistics.std"] = checkpoint.std.astype(np.float32)
    write_tensors(path, tensors, {"format": FORMAT, "config": json.dumps(content)})


def read_tensors(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and metadata of a safetensors file, memory-mapped and read-only.

    Raises:
        CheckpointError: Missing, truncated, or with a header that does not fit the file.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise CheckpointError(
                    f"{path} is truncated or not a safetensors file; download or train it again."
                )
            header = json.loads(file.read(length).decode("utf-8"))
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise CheckpointError(f"There is no model file {path}; check the name or path.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as a model file: {error}.") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} has a header that is not a table; download it again.")
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} has metadata that is not a table; download it again.")
    views = {name: _view(path, data, start, name, row) for name, row in header.items()}
    if sum(view.nbytes for view in views.values()) > size - start:
        raise CheckpointError(f"{path} is damaged: its tensors overlap; download it again.")
    return views, metadata


def _view(path: Path, data: mmap.mmap, start: int, name: str, row: Any) -> NDArray[Any]:
    try:
        dtype = np.dtype(_TYPES[row["dtype"]])
        shape = tuple(row["shape"])
        begin, end = row["data_offsets"]
        fits = (
            all(type(n) is int and n >= 0 for n in (*shape, begin, end))
            and len(shape) <= 8
            and begin <= end <= len(data) - start
            and end - begin == prod(shape) * dtype.itemsize
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} describes the tensor '{name}' wrongly ({error}).") from error
    if not fits:
        raise CheckpointError(
            f"{path} is truncated or damaged at the tensor '{name}'; download or train it again."
        )
    return np.frombuffer(data, dtype, count=prod(shape), offset=start + begin).reshape(shape)


def write_tensors(path: Path, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Writes a safetensors file whole or not at all.

    Raises:
        OutputError: The folder is missing or cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    # the widest first, so that all are aligned
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    arrays = {name: np.asarray(tensors[name], order="C") for name in names}
    for name, array in arrays.items():
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with new_file(Path(path)) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.tobytes())


def narrow(matrix: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix [R, ...] as int8 rows and their scales [R]: value = int8 * scale."""
    rows = np.asarray(matrix, dtype=np.float32).reshape(len(matrix), -1)
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127.0
    whole = np.rint(rows / scale[:, None]).astype(np.int8)
    return whole.reshape(matrix.shape), scale.astype(np.float32)


class WidenedTensors(Mapping[str, NDArray[Any]]):
    """The tensors of a file: floating ones as float32, int8 rows multiplied by their `NAME.scale`.

    Each is widened when it is asked for, and not kept: what is float32 in the file stays a view of
    it. Scales are not listed. What is asked for raises ValueError where its scale does not fit it.
    """

    def __init__(self, stored: Mapping[str, NDArray[Any]]) -> None:
        self._stored = stored

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._wide(self._stored[name], self._scale(name))

    def rows(self, name: str, ids: NDArray[np.int64]) -> NDArray[Any]:
        """Rows [*ids.shape, ...] of a table, of which nothing else is read."""
        scale = self._scale(name)
        return self._wide(self._stored[name][ids], None if scale is None else scale[ids])

    def narrow(self, name: str) -> tuple[NDArray[np.int8], NDArray[Any]] | None:
        """The int8 rows of a tensor and their scales, as stored; None if it is not int8."""
        scale = self._scale(name)
        return None if scale is None else (self._stored[name], scale)

    @property
    def has_int8(self) -> bool:
        return any(tensor.dtype == np.int8 for tensor in self._stored.values())

    def _scale(self, name: str) -> NDArray[Any] | None:
        tensor, scale = self._stored[name], self._stored.get(f"{name}.scale")
        if tensor.dtype != np.int8:
            return None
        if scale is None or scale.dtype.kind != "f" or scale.shape != tensor.shape[:1]:
            raise ValueError(f"{name} is int8 without a fitting {name}.scale")
        return scale

    def __iter__(self) -> Iterator[str]:
        kinds = {name: tensor.dtype for name, tensor in self._stored.items()}
        scales = {f"{name}.scale" for name, kind in kinds.items() if kind == np.int8}
        return (name for name in kinds if name not in scales)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @staticmethod
    def _wide(tensor: NDArray[Any], scale: NDArray[Any] | None) -> NDArray[Any]:
        if scale is not None:
            scale = scale.reshape(*scale.shape, *[1] * (tensor.ndim - scale.ndim))
            return np.multiply(tensor, scale, dtype=np.float32)
        kind = np.float32 if tensor.dtype.kind == "f" else tensor.dtype
        return np.require(tensor, kind, "A")  # arithmetic on what is not aligned is slow


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
