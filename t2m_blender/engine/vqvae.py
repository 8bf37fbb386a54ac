# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion VQ-VAE of T2M-GPT (Zhang et al., CVPR 2023, section 3.1): motion <-> tokens.

A 1D convolutional encoder shortens time by 2 ** stages, each step becomes the nearest row of a
codebook, and a mirrored decoder brings it back. The codebook is not trained by gradients: it is an
exponential moving average of the encoder outputs that chose each code (EMA), and a code that falls
out of use is put where the encoder is now (code reset).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class VQVAEConfig:
    """Sizes of the network; the defaults are the paper's for HumanML3D.

    Attributes:
        feature_size: D, features a frame.
        width: Channels of the convolutions.
        code_size: Channels of a code.
        codebook_size: K, number of codes.
        stages: Halvings of time; a token is 2 ** stages frames.
        depth: Residual blocks in a stage.
        dilation_growth: Dilations of a stage's blocks are its powers, the widest first.
        codebook_decay: Of the moving averages; the paper's mu.
    """

    feature_size: int = 263
    width: int = 512
    code_size: int = 512
    codebook_size: int = 512
    stages: int = 2
    depth: int = 3
    dilation_growth: int = 3
    codebook_decay: float = 0.99

    @property
    def frames_per_token(self) -> int:
        return int(2**self.stages)


class VQVAE(nn.Module):
    """Encoder, codebook and decoder. Features are normalised and batch-first: [B, T, D]."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.codebook = Codebook(config.codebook_size, config.code_size, config.codebook_decay)
        self.decoder = Decoder(config)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction [B, T, D], commitment loss and perplexity (scalars).

        In training mode the codebook moves towards this batch. T is a multiple of a token's frames.
        """
        codes, commitment, perplexity = self.codebook(self.encoder(features.mT))
        reconstruction: Tensor = self.decoder(codes)
        return reconstruction.mT, commitment, perplexity

    def encode(self, features: Tensor) -> Tensor:
        """Tokens [B, L] of features [B, T, D]; L = T // 2 ** stages."""
        return self.codebook.nearest(self.encoder(features.mT).mT)

    def decode(self, tokens: Tensor) -> Tensor:
        """Features [B, L * 2 ** stages, D] of tokens [B, L]."""
        features: Tensor = self.decoder(self.codebook.codes[tokens].mT)
        return features.mT


class Encoder(nn.Module):
    """[B, D, T] -> [B, code_size, T // 2 ** stages]."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Conv1d(config.feature_size, width, 3, padding=1)
        self.halvings = nn.ModuleList(
            nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(config.stages)
        )
        self.residuals = nn.ModuleList(_residual_stack(config) for _ in range(config.stages))
        self.leave = nn.Conv1d(width, config.code_size, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.enter(x))
        for halve, residual in zip(self.halvings, self.residuals, strict=True):
            x = residual(halve(x))
        return self.leave(x)


class Decoder(nn.Module):
    """[B, code_size, L] -> [B, D, L * 2 ** stages]."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Conv1d(config.code_size, width, 3, padding=1)
        self.residuals = nn.ModuleList(_residual_stack(config) for _ in range(config.stages))
        self.doublings = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=1) for _ in range(config.stages)
        )
        self.gather = nn.Conv1d(width, width, 3, padding=1)
        self.leave = nn.Conv1d(width, config.feature_size, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.enter(x))
        for residual, double in zip(self.residuals, self.doublings, strict=True):
            x = double(functional.interpolate(residual(x), scale_factor=2.0, mode="nearest"))
        return self.leave(functional.relu(self.gather(x)))


class ResidualBlock(nn.Module):
    """Two ReLU convolutions around a skip; the first is dilated."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(functional.relu(self.dilated(functional.relu(x))))


def _residual_stack(config: VQVAEConfig) -> nn.Sequential:
    dilations = [config.dilation_growth**i for i in reversed(range(config.depth))]
    return nn.Sequential(*(ResidualBlock(config.width, dilation) for dilation in dilations))


class Codebook(nn.Module):
    """K codes kept by moving averages, with reset of unused ones.

    All of its state (codes, sums, counts, whether it has begun) is in the state_dict, so that a
    saved training continues exactly.
    """

    codes: Tensor  # [K, C]
    code_sums: Tensor  # [K, C] moving average of the sum of the encoder outputs that chose a code
    code_counts: Tensor  # [K] moving average of their number
    begun: Tensor  # bool; the first training batch supplies the first codes

    def __init__(self, codebook_size: int, code_size: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.zeros(codebook_size, code_size))
        self.register_buffer("code_sums", torch.zeros(codebook_size, code_size))
        self.register_buffer("code_counts", torch.ones(codebook_size))
        self.register_buffer("begun", torch.tensor(False))

    def forward(self, encoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, C, L] -> codes [B, C, L] with straight-through gradient, commitment, perplexity."""
        rows = encoded.mT.reshape(-1, encoded.shape[1]).float()
        if self.training and not self.begun:
            self._begin(rows.detach())
        chosen = self.nearest(rows)
        codes = self.codes[chosen]
        counts = torch.bincount(chosen, minlength=len(self.codes)).to(rows.dtype)
        if self.training:
            self._move(rows.detach(), chosen, counts)
        share = counts / counts.sum()
        perplexity = torch.exp(-torch.sum(share * torch.log(share + 1e-7)))
        commitment = functional.mse_loss(rows, codes)
        passed = rows + (codes - rows).detach()
        batch, channels, length = encoded.shape
        return passed.view(batch, length, channels).mT, commitment, perplexity

    def nearest(self, encoded: Tensor) -> Tensor:
        """Index [...] of the nearest code to each row [..., C]."""
        rows = encoded.float()
        # |r - c|^2 without |r|^2, which is the same for every code
        return torch.argmin((self.codes**2).sum(-1) - 2.0 * rows @ self.codes.mT, dim=-1)

    @torch.no_grad()
    def _begin(self, rows: Tensor) -> None:
        self.codes.copy_(self._replacements(rows))
        self.code_sums.copy_(self.codes)
        self.code_counts.fill_(1.0)
        self.begun.fill_(True)

    @torch.no_grad()
    def _move(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> None:
        sums = torch.zeros_like(self.code_sums).index_add_(0, chosen, rows)
        self.code_sums.lerp_(sums, 1.0 - self.decay)
        self.code_counts.lerp_(counts, 1.0 - self.decay)
        in_use = (self.code_counts >= 1.0)[:, None]
        averages = self.code_sums / self.code_counts[:, None]
        self.codes.copy_(torch.where(in_use, averages, self._replacements(rows)))

    def _replacements(self, rows: Tensor) -> Tensor:
        """K rows of this batch; repeated with a little noise where the batch has fewer."""
        size = len(self.codes)
        if len(rows) < size:
            rows = rows.repeat(math.ceil(size / len(rows)), 1)
            rows = rows + torch.randn_like(rows) * (0.01 / math.sqrt(rows.shape[1]))
        return rows[:size]
