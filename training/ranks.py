# SPDX-License-Identifier: GPL-3.0-or-later
"""This process among those that train together: several GPUs or machines.

    torchrun --nproc-per-node 4 -m training train-gpt ... --device cuda

starts several; Hugging Face Accelerate joins them. Every process draws the same batch and computes
its own rows of it, and the loop averages the gradients, so that several processes take the steps
that one would take. Codebooks see to themselves (`engine/codebook.py`). Without torchrun there is
one process, and Accelerate is not needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from t2m_blender.engine.errors import InputError, RuntimeMissingError


class Ranks:
    """The processes of one training, seen from one of them.

    Attributes:
        count: How many there are.
        index: This one's number; process 0 writes and prints.
        device: On which this one computes.

    Args:
        device: torch's name: cpu, cuda, mps ...; with several processes each has a GPU of its own.

    Raises:
        InputError: torch cannot use the device.
        RuntimeMissingError: torchrun started several processes, and Accelerate is not installed.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.index = 0
        self.device = torch.device("cpu")
        if self.count > 1:
            try:
                from accelerate import PartialState
            except ImportError:
                raise RuntimeMissingError(
                    "Several processes train together through Accelerate, which is not installed: "
                    "pip install accelerate."
                ) from None
            state: Any = PartialState(cpu=torch.device(device).type == "cpu")
            self.index, self.device = state.process_index, state.device
            return
        try:
            self.device = torch.zeros(1, device=device).device
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"torch cannot use the device '{device}' ({reason}); try cpu."
            ) from error

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0

    def rows(self, total: int) -> slice:
        """Which of `total` samples are this process's.

        Raises:
            InputError: They cannot be shared equally.
        """
        if total % self.count:
            raise InputError(
                f"{total} samples a batch cannot be shared by {self.count} processes; set a "
                "batch_size that can."
            )
        share = total // self.count
        return slice(self.index * share, (self.index + 1) * share)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.count == 1:
            return value
        from accelerate.utils import reduce

        mean: Tensor = reduce(value, "mean")
        return mean

    def mean_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over all processes."""
        if self.count == 1:
            return dict(figures)
        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        if self.device.type == "mps":
            values = values.float()
        return dict(zip(figures, self.mean(values.to(self.device)).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.mean_figures({"flag": float(flag)})["flag"] > 0.0

    def average_gradients(self, network: nn.Module) -> None:
        """Gives every process the mean of all processes' gradients."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        whole = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        start = 0
        for gradient in gradients:
            part = whole[start : start + gradient.numel()]
            gradient.copy_(part.view_as(gradient))
            start += gradient.numel()
