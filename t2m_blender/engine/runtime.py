# SPDX-License-Identifier: GPL-3.0-or-later
"""Who computes the networks: what is asked of a runtime, and which one a machine is given.

Importing this loads NumPy only. PyTorch is imported when it is asked for, or when a model is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Checkpoint
from .configs import GPTConfig
from .errors import InputError, RuntimeMissingError
from .pytorch import devices, outruns_numpy, torch_state
from .sampling import Sampling
from .text import TextFeatures

__all__ = [
    "DEVICES", "RUNTIMES", "Choice", "Runtime", "Writing", "choose_runtime", "load_runtime",
]  # fmt: skip

RUNTIMES = ("auto", "numpy", "torch")
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")

LARGE = 50_000_000
"""Weights of the GPT from which PyTorch is worth its import, of seconds (docs/performance.md)."""


class Writing(Protocol):
    """B token sequences that are being written side by side."""

    def draw(
        self, chances: NDArray[np.float64], may_end: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokens [B, Q] that may come next; nothing is written yet.

        Args:
            chances: [Q, B] numbers in [0, 1), which decide.
            may_end: [B]; where true, the first level may be End (K).

        Returns:
            The tokens, and whether they are sure [B]: whatever rounding did (`draw_tokens`).
        """

    def append(self, tokens: NDArray[np.int64]) -> None:
        """Write one token [B, Q], drawn or given; codes only, no End."""


class Runtime(Protocol):
    """The networks of one model on one device.

    Every method raises OutOfMemory when its batch does not fit.
    """

    @property
    def name(self) -> str:
        """Such as "NumPy on the CPU"."""

    def begin(self, text: TextFeatures, sampling: Sampling) -> Writing:
        """Read the texts of B prompts, to write their tokens. One at a time: a new beginning ends
        the writing before it.
        """

    def decode(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Normalised features [B, L * 2 ** stages, D] of tokens [B, L, Q]."""

    def encode(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Tokens [B, T // 2 ** stages, Q] of normalised features [B, T, D]."""

    def release(self) -> None:
        """Free the memory of what can be made again."""


@dataclass(frozen=True)
class Choice:
    """A runtime and why it was chosen.

    Attributes:
        runtime: "numpy" or "torch".
        device: "cpu", "cuda", "mps" or "xpu".
        reason: Half a sentence, such as "PyTorch is not installed".
    """

    runtime: str
    device: str
    reason: str


def choose_runtime(
    config: GPTConfig, *, int8: bool = False, runtime: str = "auto", device: str = "auto"
) -> Choice:
    """The fastest runtime that this machine has for a model, or the one asked for.

    A small model has made its motion with NumPy before PyTorch is imported. A large one is faster
    on a GPU; where there is none, with PyTorch if its rows are int8 and that pays, else with the
    library that a trial finds faster here. The measurements are in docs/performance.md.

    Args:
        config: Of the model, for its size.
        int8: Whether its file has int8 rows.
        runtime: One of `RUNTIMES`.
        device: One of `DEVICES`.

    Raises:
        InputError: An unknown name, or a device that this machine does not have.
        RuntimeMissingError: PyTorch was asked for and is absent or broken.
    """
    for what, name, known in (("runtime", runtime, RUNTIMES), ("device", device, DEVICES)):
        if name not in known:
            raise InputError(f"The {what} is '{name}': use {', '.join(known)}.")
    if runtime == "numpy":
        if device not in ("auto", "cpu"):
            raise InputError(f"NumPy does not run on '{device}': use the runtime torch for it.")
        return Choice("numpy", "cpu", "as asked")
    if runtime == "torch" or device not in ("auto", "cpu"):
        found = devices()
        if device == "auto":
            return Choice("torch", found[0], "as asked")
        if device not in found:
            raise InputError(
                f"This PyTorch finds no device '{device}' (only {', '.join(found)}): install the "
                "build of it that fits the machine, or use the device cpu."
            )
        return Choice("torch", device, "as asked")
    if config.weights < LARGE:
        return Choice("numpy", "cpu", f"the fastest for a model of this size; {torch_state()}")
    try:
        found = devices()
    except RuntimeMissingError as error:
        return Choice("numpy", "cpu", str(error))
    place = "cpu" if device == "cpu" else found[0]
    if place != "cpu":
        return Choice("torch", place, "the fastest for a model of this size")
    if int8 and int8_pays():
        return Choice("torch", "cpu", "the fastest for a large model of int8 rows")
    if outruns_numpy():
        return Choice("torch", "cpu", "a trial found it faster than NumPy here")
    return Choice("numpy", "cpu", "a trial found it faster than PyTorch here")


def int8_pays() -> bool:
    """See `int8_linear.py`, which needs PyTorch."""
    from . import int8_linear

    return int8_linear.int8_pays()


def load_runtime(choice: Choice, checkpoint: Checkpoint) -> Runtime:
    """The networks of a checkpoint as chosen.

    Raises:
        ValueError, TypeError, RuntimeError: The tensors do not fit the configuration.
        OutOfMemory: The device has no room for them.
    """
    if choice.runtime == "numpy":
        from .numpy_runtime import NumpyRuntime

        return NumpyRuntime(checkpoint)
    from .torch_runtime import TorchRuntime

    return TorchRuntime(checkpoint, choice.device)
