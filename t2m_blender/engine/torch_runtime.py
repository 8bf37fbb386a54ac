# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks on PyTorch: any device that it has.

A step of the GPT, guidance and the drawing of a token stay on the device. On CUDA and ROCm the step
is recorded once for a batch size and played again (a CUDA graph): one call in place of hundreds.
On a CPU a large model whose file has int8 rows is computed with them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .checkpoint import Checkpoint, WidenedTensors
from .configs import GPTConfig, VQVAEConfig
from .errors import OutOfMemory
from .gpt import GPT, TextCondition
from .int8_blocks import join_blocks
from .int8_linear import Int8Linear, int8_pays, use_int8
from .sampling import Sampling
from .text import TextFeatures
from .unfilled import Unfilled
from .vqvae import VQVAE

__all__ = ["TorchRuntime", "load_networks"]

NARROW_FROM = 50_000_000
"""Weights from which a GPU is given 16 bits, and a CPU int8 rows as they are: below, a step waits
for its calls and not for its weights."""


def load_networks(checkpoint: Checkpoint, *, int8: bool = False) -> tuple[GPT, VQVAE]:
    """The networks with the checkpoint's weights on the CPU, in eval mode; nothing is initialised.

    Args:
        checkpoint: Whose networks.
        int8: Leave the GPT's int8 rows as they are; see `int8_linear.py`.

    Raises:
        ValueError, TypeError, RuntimeError: The tensors do not fit the configuration.
    """
    with Unfilled():
        networks = (GPT(GPTConfig(**checkpoint.gpt)), VQVAE(VQVAEConfig(**checkpoint.vqvae)))
    tensors, taken = checkpoint.tensors, set()
    if int8 and isinstance(tensors, WidenedTensors):
        taken = use_int8(networks[0], tensors)
    for network, prefix in zip(networks, ("gpt.", "vqvae."), strict=True):
        state = {
            name.removeprefix(prefix): torch.from_numpy(np.require(tensors[name], requirements="W"))
            for name in tensors
            if name.startswith(prefix) and name not in taken
        }
        network.load_state_dict(state, assign=True)
        network.eval()
    if taken:
        join_blocks(networks[0])
    return networks


class TorchRuntime:
    """See `Runtime`.

    Args:
        checkpoint: Whose networks.
        device: Of torch: "cpu", "cuda", "mps", "xpu".

    Raises:
        ValueError, TypeError, RuntimeError: The tensors do not fit the configuration.
        OutOfMemory: The device has no room for them.
    """

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self.device = torch.device(device)
        large = GPTConfig(**checkpoint.gpt).weights >= NARROW_FROM
        with _memory_checked():
            int8 = large and device == "cpu" and int8_pays()
            gpt, vqvae = load_networks(checkpoint, int8=int8)
            self._vqvae = vqvae.to(self.device)
            self._gpt = gpt.to(self.device, _number_type(self.device, large))
        self._steps: dict[tuple[int, Sampling], _Step] = {}

    @property
    def name(self) -> str:
        place = "the CPU" if self.device.type == "cpu" else self.device.type
        int8 = any(isinstance(module, Int8Linear) for module in self._gpt.modules())
        return f"PyTorch on {place}{' with int8 weights' if int8 else ''}"

    @torch.inference_mode()
    def begin(self, text: TextFeatures, sampling: Sampling) -> TorchWriting:
        key = (len(text.pooled), sampling)
        with _memory_checked():
            if key not in self._steps:
                self.release()  # one batch size at a time: its buffers are large
                self._steps[key] = _Step(self._gpt, *key)
            return TorchWriting(self._steps[key], text)

    @torch.inference_mode()
    def decode(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        with _memory_checked():
            return self._vqvae.decode(torch.from_numpy(tokens).to(self.device)).cpu().numpy()

    @torch.inference_mode()
    def encode(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        with _memory_checked():
            return self._vqvae.encode(torch.from_numpy(features).to(self.device)).cpu().numpy()

    def release(self) -> None:
        self._steps.clear()
        if self.device.type != "cpu":
            torch.get_device_module(self.device).empty_cache()


class TorchWriting:
    """See `Writing`. A token that was appended is read when the next one is drawn: in one step."""

    def __init__(self, step: _Step, text: TextFeatures) -> None:
        self._step = step
        self._step.begin(text)
        self._appended = False

    @torch.inference_mode()
    def draw(
        self, chances: NDArray[np.float64], may_end: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        with _memory_checked():
            self._step.chances.copy_(torch.from_numpy(chances.astype(np.float64)))
            self._step.may_end.copy_(torch.from_numpy(may_end))
            drawn = self._step.read_and_draw() if self._appended else self._step.draw()
            self._appended = False
            *tokens, sure = drawn.cpu().numpy().T
            return np.stack(tokens, axis=-1), sure.astype(bool)

    @torch.inference_mode()
    def append(self, tokens: NDArray[np.int64]) -> None:
        with _memory_checked():
            if self._appended:
                self._step.read()
            self._step.tokens.copy_(torch.from_numpy(tokens))
            self._appended = True


class _Step:
    """Reading a token and drawing the next, in buffers whose places in memory never change.

    Attributes:
        tokens: [B, Q] to read.
        chances: [Q, B] to draw with.
        may_end: [B].
    """

    def __init__(self, gpt: GPT, batch: int, sampling: Sampling) -> None:
        self._gpt = gpt
        self._sampling = sampling
        self._guided = sampling.guidance != 1.0
        device, config = gpt.positions.device, gpt.config
        rows = 2 * batch if self._guided else batch
        self.tokens = torch.zeros(batch, config.levels, dtype=torch.int64, device=device)
        exact = torch.float64 if device.type in ("cpu", "cuda") else torch.float32  # as it has them
        self.chances = torch.zeros(config.levels, batch, dtype=exact, device=device)
        self.may_end = torch.ones(batch, dtype=torch.bool, device=device)
        self._hidden = gpt.positions.new_zeros(rows, config.width)
        # 16 bits round by far more than anybody could decide: their tokens are their own
        self._rounding = sampling.rounding if self._hidden.dtype == torch.float32 else 0.0
        self._cache = gpt.empty_cache(rows)
        self.read_and_draw = self._read_and_draw
        if device.type == "cuda":  # ROCm too; now, before there is a text that it would spoil
            self.read_and_draw = _recorded(self._read_and_draw, self._cache.length.zero_)

    def begin(self, text: TextFeatures) -> None:
        if self._guided:
            text = text.followed_by_nothing()
        words = self._gpt.config.word_limit
        number, device = self._hidden.dtype, self._hidden.device
        condition = TextCondition(
            torch.from_numpy(text.pooled).to(device, number),
            torch.from_numpy(text.tokens[:, :words]).to(device, number),
            torch.from_numpy(text.mask[:, :words]).to(device),
        )
        hidden, _ = self._gpt.begin(condition, self._cache)
        self._hidden.copy_(hidden)

    def read(self) -> None:
        tokens = self.tokens.repeat(2, 1) if self._guided else self.tokens
        self._hidden.copy_(self._gpt.step(tokens, self._cache))

    def draw(self) -> Tensor:
        """[B, Q + 1]: tokens that may come next, and whether they are sure."""
        end = self._gpt.config.end
        logits = self._guide(self._gpt.head(self._hidden))
        logits[:, end].masked_fill_(~self.may_end, -torch.inf)
        token, sure = self._drawn(logits, 0)
        tokens, hidden = [token], self._hidden
        for level, refiner in enumerate(self._gpt.refiners, start=1):
            below = token.masked_fill(token == end, 0)
            hidden, foretold = refiner(hidden, below.repeat(2) if self._guided else below)
            token, as_sure = self._drawn(self._guide(foretold), level)
            tokens.append(token)
            sure = sure & as_sure
        return torch.stack((*tokens, sure.long()), dim=-1)

    def _drawn(self, logits: Tensor, level: int) -> tuple[Tensor, Tensor]:
        return draw_tokens(logits, self.chances[level], self._sampling, self._rounding)

    def _read_and_draw(self) -> Tensor:
        self.read()
        return self.draw()

    def _guide(self, logits: Tensor) -> Tensor:
        if not self._guided:
            return logits
        with_text, without_text = logits.float().chunk(2)
        return without_text + self._sampling.guidance * (with_text - without_text)


def draw_tokens(
    logits: Tensor, chances: Tensor, sampling: Sampling, rounding: float
) -> tuple[Tensor, Tensor]:
    """`sampling.draw_tokens` on the device: the same tokens of the same numbers.

    `rounding` is what the logits may be off by.
    """
    if sampling.temperature == 0.0:
        (first, second), (token, _) = (part.unbind(-1) for part in logits.topk(2))
        return token, first - second > 2.0 * rounding
    logits = logits.to(chances.dtype)
    weights = ((logits - logits.amax(dim=-1, keepdim=True)) / sampling.temperature).exp()
    if sampling.top_p < 1.0:
        ranked, order = weights.sort(dim=-1, descending=True, stable=True)
        before = ranked.cumsum(dim=-1) - ranked
        dropped = before >= sampling.top_p * ranked.sum(dim=-1, keepdim=True)
        dropped[:, 0] = False
        weights = weights.scatter(1, order, ranked.masked_fill(dropped, 0.0))
    totals = weights.cumsum(dim=-1)
    whole = totals[:, -1]
    drawn = chances * whole
    token = (totals <= drawn[:, None]).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    above = totals.gather(1, token)[:, 0] - drawn
    nearest = torch.minimum(above, weights.gather(1, token)[:, 0] - above)
    reach = rounding / sampling.temperature * chances * (1.0 - chances)
    return token[:, 0], nearest > reach * whole


def _recorded(work: Callable[[], Tensor], reset: Callable[[], object]) -> Callable[[], Tensor]:
    """The same work as a recorded graph, which writes its result to the same place each time.

    `reset` is called before each of the runs that let libraries settle their memory.
    """
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            reset()
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def play() -> Tensor:
        graph.replay()
        return result

    return play


def _number_type(device: torch.device, large: bool) -> torch.dtype:
    if device.type == "cpu" or not large:
        return torch.float32
    if device.type == "mps" or (device.type == "cuda" and not torch.cuda.is_bf16_supported()):
        return torch.float16
    return torch.bfloat16


@contextmanager
def _memory_checked() -> Iterator[None]:
    """Turns torch's several errors for full memory into ours."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(str(error)) from error
    except RuntimeError as error:  # torch.OutOfMemoryError is one; Metal's and the CPU's are plain
        words = str(error).lower()
        if (
            isinstance(error, torch.OutOfMemoryError)
            or "out of memory" in words
            or ("can't allocate memory" in words or "not enough memory" in words)
        ):
            raise OutOfMemory(str(error).splitlines()[0]) from error
        raise
