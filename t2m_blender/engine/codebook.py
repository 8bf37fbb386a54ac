# SPDX-License-Identifier: GPL-3.0-or-later
"""The codebooks of the VQ-VAE: K vectors, of which each encoder output takes the nearest.

How the codes learn is the paper's ablation (T2M-GPT, section 3.1 and table 4):

| quantiser | codes move by | a code out of use |
|---|---|---|
| ema_reset | averaging (EMA) the outputs that chose them | goes where the encoder is now |
| ema | the same | stays |
| reset | the gradient of their distance to these | goes where the encoder is now |
| plain | the same | stays |

All state (codes, sums, counts, whether it has begun) is in the state_dict, so that a saved training
continues exactly. Several processes that train together (torch.distributed) keep the same codes:
sums and counts are those of all, and a code is replaced by the same row in each.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, distributed, nn


def make_codebook(quantiser: str, codebook_size: int, code_size: int, decay: float) -> Codebook:
    """An empty codebook of K codes with C channels, learning as one of `configs.QUANTISERS`.

    The first training batch supplies the codes.
    """
    reset = quantiser.endswith("reset")
    if quantiser.startswith("ema"):
        return AveragedCodebook(codebook_size, code_size, reset=reset, decay=decay)
    return LearnedCodebook(codebook_size, code_size, reset=reset)


class Codebook(nn.Module):
    """What all codebooks share: finding the nearest code, and beginning."""

    codes: Tensor  # [K, C]
    begun: Tensor  # bool

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset
        self.register_buffer("begun", torch.tensor(False))

    def forward(self, encoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, C, L] -> the nearest codes [B, C, L], commitment loss, perplexity (scalars)."""
        with torch.autocast(encoded.device.type, enabled=False):  # codes are kept in float32
            return self._quantise(encoded.float())

    def _quantise(self, encoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = encoded.mT.reshape(-1, encoded.shape[1])
        if self.training and not self.begun:
            self._begin(rows.detach())
        chosen = self.nearest(rows)
        codes = self.codes[chosen]
        counts = torch.bincount(chosen, minlength=len(self.codes)).to(rows.dtype)
        commitment = self._commitment(rows, codes)
        if self.training:
            counts = _of_all_processes(counts)
            self._move(rows.detach(), chosen, counts)
        share = counts / counts.sum()
        perplexity = torch.exp(-torch.sum(share * torch.log(share + 1e-7)))
        batch, channels, length = encoded.shape
        return codes.view(batch, length, channels).mT, commitment, perplexity

    def nearest(self, encoded: Tensor) -> Tensor:
        """Index [...] of the nearest code to each row [..., C]."""
        rows = encoded.float()
        # |r - c|^2 without |r|^2, which is the same for every code
        return torch.argmin((self.codes**2).sum(-1) - 2.0 * rows @ self.codes.mT, dim=-1)

    @torch.no_grad()
    def _begin(self, rows: Tensor) -> None:
        self.codes.copy_(self._replacements(rows))
        self.begun.fill_(True)

    def _commitment(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Draws the encoder to its codes."""
        return functional.mse_loss(rows, codes.detach())

    def _move(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> None:
        raise NotImplementedError

    def _replacements(self, rows: Tensor) -> Tensor:
        """K rows of this batch; repeated with a little noise where the batch has fewer."""
        size = len(self.codes)
        rows = _first_of_all_processes(rows, size)
        if len(rows) < size:
            rows = rows.repeat(math.ceil(size / len(rows)), 1)
            rows = rows + torch.randn_like(rows) * (0.01 / math.sqrt(rows.shape[1]))
        rows = rows[:size].contiguous()
        if _together():
            distributed.broadcast(rows, src=0)  # each process has noise of its own
        return rows


class AveragedCodebook(Codebook):
    """Codes as exponential moving averages (EMA) of the encoder outputs that chose them."""

    code_sums: Tensor  # [K, C] moving average of the sum of the encoder outputs that chose a code
    code_counts: Tensor  # [K] moving average of their number

    def __init__(self, codebook_size: int, code_size: int, *, reset: bool, decay: float) -> None:
        super().__init__(reset=reset)
        self.decay = decay
        self.register_buffer("codes", torch.zeros(codebook_size, code_size))
        self.register_buffer("code_sums", torch.zeros(codebook_size, code_size))
        self.register_buffer("code_counts", torch.ones(codebook_size))

    @torch.no_grad()
    def _begin(self, rows: Tensor) -> None:
        super()._begin(rows)
        self.code_sums.copy_(self.codes)
        self.code_counts.fill_(1.0)

    @torch.no_grad()
    def _move(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> None:
        sums = _of_all_processes(torch.zeros_like(self.code_sums).index_add_(0, chosen, rows))
        self.code_sums.lerp_(sums, 1.0 - self.decay)
        self.code_counts.lerp_(counts, 1.0 - self.decay)
        in_use = (self.code_counts >= 1.0)[:, None]
        averages = self.code_sums / self.code_counts[:, None]
        others = self._replacements(rows) if self.reset else self.codes
        self.codes.copy_(torch.where(in_use, averages, others))


class LearnedCodebook(Codebook):
    """Codes as weights: the commitment loss draws them to the encoder, as it draws the encoder."""

    def __init__(self, codebook_size: int, code_size: int, *, reset: bool) -> None:
        super().__init__(reset=reset)
        self.codes = nn.Parameter(torch.zeros(codebook_size, code_size))

    def _commitment(self, rows: Tensor, codes: Tensor) -> Tensor:
        return super()._commitment(rows, codes) + functional.mse_loss(codes, rows.detach())

    @torch.no_grad()
    def _move(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> None:
        if self.reset:
            in_use = (counts >= 1.0)[:, None]
            self.codes.copy_(torch.where(in_use, self.codes, self._replacements(rows)))


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _of_all_processes(sums: Tensor) -> Tensor:
    """The sum of every process's tensor."""
    if _together():
        distributed.all_reduce(sums)
    return sums


def _first_of_all_processes(rows: Tensor, count: int) -> Tensor:
    """The first `count` rows of all processes' rows, one process after another."""
    if not _together():
        return rows
    own = rows[:count].contiguous()
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own)
    return torch.cat(parts)[:count]
