# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that multiply with a file's int8 rows as they are: a quarter of float32's bytes.

One clip on a CPU takes as long as its weights take to be read, once a token. Reading them narrow
loses nothing: the numbers of an input become whole numbers of 24 bits, as fine as float32, and
oneDNN multiplies their three bytes with the rows in whole numbers. What it adds up is as near to
the exact sum as float32's products are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from .checkpoint import WidenedTensors
from .gpt import GPT, Block
from .layers import tensor_of
from .pytorch import fastest

__all__ = ["NUMBERS", "Int8Linear", "int8_pays", "is_exact", "product", "scripted", "use_int8"]

_BYTES = 3
_MIDDLE = 128  # a byte b stands for b - 128
_OFFSET = sum(_MIDDLE * 256**place for place in range(_BYTES))
_LARGEST = 127 * 256 ** (_BYTES - 1)
_TRIAL = 2048  # rows and columns

NUMBERS = [
    torch.tensor(float(_OFFSET)),
    torch.arange(0, 8 * _BYTES, 8, dtype=torch.int32)[:, None, None],  # down to the lowest byte
    256.0 ** torch.arange(_BYTES)[None],  # what a byte counts
]
"""What `product` reckons with."""


class Int8Linear(nn.Module):
    """`nn.Linear` of int8 rows [out, in] with scales [out], and a bias [out] or none.

    Attributes:
        weights: What `product` multiplies with.
    """

    def __init__(
        self, rows: NDArray[np.int8], scale: NDArray[Any], bias: NDArray[Any] | None
    ) -> None:
        super().__init__()
        packed = torch.ops.onednn.qlinear_prepack(_tensor(rows), None)
        scale = scale.astype(np.float32) / np.float32(_LARGEST)
        self.weights = [
            packed,
            _tensor(scale),
            torch.zeros(len(rows), dtype=torch.int64),
            torch.zeros(1) if bias is None else _tensor(bias.astype(np.float32)),
            # added where bytes are put together: cheaper than oneDNN's zero point
            _tensor(rows.sum(axis=1, dtype=np.float32) * scale * np.float32(-_OFFSET)),
        ]

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        found = scripted(product)(x.reshape(-1, x.shape[-1]), self.weights, NUMBERS)
        return found.view(*x.shape[:-1], -1)

    def thirds(self, x: Tensor) -> tuple[Tensor, ...]:
        """[..., in] -> three of [..., out / 3]."""
        return self(x).chunk(3, dim=-1)


@lru_cache
def scripted(work: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same as one call of TorchScript; as it is where this PyTorch has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            script: Callable[..., Tensor] = torch.jit.script(work)
    except (AttributeError, OSError, RuntimeError):
        return work  # or it does not find this file's text
    return script


@lru_cache(maxsize=1)
def int8_pays() -> bool:
    """Whether this PyTorch on this processor is exact with int8 rows, and faster than float32."""
    rows = _trial_rows()
    if not is_exact(rows):
        return False
    narrow, wide = Int8Linear(rows, np.ones(_TRIAL), None), torch.from_numpy(rows).float()
    x = torch.ones(1, _TRIAL)
    with torch.inference_mode():
        return fastest(lambda: narrow(x)) < fastest(lambda: functional.linear(x, wide))


def is_exact(rows: NDArray[np.int8] | None = None) -> bool:
    """Whether bytes are multiplied as whole numbers: some processors add them in 16 bits, which
    overflow.
    """
    rows = _trial_rows() if rows is None else rows
    with torch.inference_mode():
        try:
            found = Int8Linear(rows, np.ones(_TRIAL), None)(torch.ones(1, _TRIAL))[0]
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            return False  # this PyTorch has no such product
    return np.allclose(found.numpy(), rows.sum(axis=1, dtype=np.float32), rtol=1e-6)


def _trial_rows() -> NDArray[np.int8]:
    rows = np.full((_TRIAL, _TRIAL), 127, np.int8)
    rows[::2] = -127
    return rows


def use_int8(gpt: GPT, tensors: WidenedTensors) -> set[str]:
    """Replaces the layers that every token goes through, where the file has int8 rows of them.

    Returns:
        The names of the tensors that are in use now, and need not be loaded.

    Raises:
        ValueError: A tensor is missing or of another shape than the configuration says.
    """
    taken: set[str] = set()

    def joined(*layers: str) -> Int8Linear | None:
        """Layers of one input as one, its outputs side by side."""
        rows, scales, biases = [], [], []
        for layer in layers:
            linear = gpt.get_submodule(layer)
            assert isinstance(linear, nn.Linear)
            name, shape = f"gpt.{layer}.weight", (linear.out_features, linear.in_features)
            narrow = tensors.narrow(name) if name in tensors else None
            if narrow is None:
                return None
            if narrow[0].shape != shape:
                raise ValueError(f"{name} is {list(narrow[0].shape)}, not {list(shape)}")
            rows.append(narrow[0])
            scales.append(narrow[1])
            if linear.bias is not None:
                biases.append(tensor_of(tensors, f"gpt.{layer}.bias", shape[:1]))
        kinds = ("weight", "bias") if biases else ("weight",)
        taken.update(f"gpt.{layer}.{kind}" for layer in layers for kind in kinds)
        bias = np.concatenate(biases) if biases else None
        return Int8Linear(np.concatenate(rows), np.concatenate(scales), bias)

    for index, block in enumerate(gpt.blocks):
        layer = joined(*(f"blocks.{index}.{name}" for name in ("query", "key", "value")))
        if layer is not None:
            assert isinstance(block, Block)
            block.projection = layer
            block.project = layer.thirds  # type: ignore[assignment, method-assign]
            block.query = block.key = block.value = None  # type: ignore[assignment]
    rooms = ("blocks.", "refiners.", "head")
    for name, module in list(gpt.named_modules()):
        if isinstance(module, nn.Linear) and name.startswith(rooms):
            layer = joined(name)
            if layer is not None:
                parent, _, own = name.rpartition(".")
                setattr(gpt.get_submodule(parent), own, layer)
    return taken


def product(x: Tensor, weights: list[Tensor], numbers: list[Tensor]) -> Tensor:
    """[B, in] -> [B, out]; `weights` are an `Int8Linear`'s, `numbers` are `NUMBERS`.

    TorchScript, which reads this too, knows no constants: 8323072 is _LARGEST.
    """
    if x.size(0) == 1:  # with one clip there are fewer calls
        low, high = torch.aminmax(x)
        one = max(float(high), -float(low), 1e-30)
        parts = parts_of(torch.add(numbers[0], x, alpha=8323072.0 / one), weights, numbers)
        added = torch.add(weights[3], weights[4], alpha=one)
        return torch.addmm(added, numbers[2], parts, alpha=one)
    size = torch.ops.aten.linalg_vector_norm(x, float("inf"), [1], True).clamp_(min=1e-30)
    parts = parts_of(torch.add(numbers[0], x / size, alpha=8323072.0), weights, numbers)
    lowest, middle, highest = parts.chunk(3)
    together = lowest.add_(middle, alpha=256.0).add_(highest, alpha=65536.0).add_(weights[4])
    return torch.addcmul(weights[3], together, size)


def parts_of(whole: Tensor, weights: list[Tensor], numbers: list[Tensor]) -> Tensor:
    """Whole numbers [B, in] -> products [3 B, out] of their lowest, middle and highest bytes."""
    bytes_of = (whole.to(torch.int32) >> numbers[1]).to(torch.uint8).flatten(0, 1)
    found: Tensor = torch.ops.onednn.qlinear_pointwise(
        bytes_of, 1.0, 0, weights[0], weights[1], weights[2], None,
        1.0, 0, torch.float32, "none", [], "",
    )  # fmt: skip
    return found


def _tensor(array: NDArray[Any]) -> Tensor:
    """A tensor of an array; of its copy where it lies in a file."""
    return torch.from_numpy(np.require(array, requirements=("C", "W")))
