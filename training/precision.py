# SPDX-License-Identifier: GPL-3.0-or-later
"""Mixed precision, compilation and exact repetition: what a training asks of torch and the device.

Under autocast the big products are computed in 16 bits; weights, the optimiser's state and
codebooks stay float32. "fp16" scales its loss, so that small gradients do not vanish (Micikevicius
et al., 2018); "bf16" needs no scale.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from t2m_blender.engine.errors import InputError

from .config import Optimisation

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast and loss scale of one training.

    Args:
        settings: Precision, compiler, exact repetition.
        device: Where the network is.
    """

    def __init__(self, settings: Optimisation, device: torch.device) -> None:
        self.type = _TYPES[settings.precision]
        self.device = device.type
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        if settings.deterministic and device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            torch.backends.cudnn.benchmark = False

    def autocast(self) -> AbstractContextManager[Any]:
        """Within it, a network computes in the precision asked for."""
        return torch.autocast(self.device, self.type, enabled=self.type != torch.float32)

    def backward(self, loss: Tensor) -> None:
        """Adds the (scaled) gradient of a loss to what the parameters have."""
        scaled: Tensor = self.scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call]

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """Moves the weights; with "fp16" not if a gradient has overflowed, but the scale falls."""
        self.scaler.step(optimiser)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return self.scaler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scaler.load_state_dict(state_dict)


def compile_parts(network: nn.Module, compiler: str) -> None:
    """Compiles a network's parts in place: equal blocks are compiled once, not one by one.

    Raises:
        InputError: torch has no such back end.
    """
    if not compiler:
        return
    known = torch.compiler.list_backends(exclude_tags=())
    if compiler not in known:
        raise InputError(f"compiler = {compiler!r}; torch has {', '.join(known)}.")
    for child in network.children():
        for part in child if isinstance(child, nn.ModuleList) else (child,):
            part.compile(backend=compiler)
