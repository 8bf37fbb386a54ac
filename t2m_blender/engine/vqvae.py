# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion VQ-VAE of T2M-GPT (Zhang et al., CVPR 2023, section 3.1): motion <-> tokens.

A 1D convolutional encoder shortens time by 2 ** stages, each step becomes the nearest row of a
codebook, and a mirrored decoder brings it back. With more than one level, further codebooks each
quantise what the levels before have left over (residual quantisation: Zeghidour et al., 2021; for
motion Guo et al., MoMask, 2024); a token is then Q codes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .codebook import Codebook, make_codebook
from .configs import VQVAEConfig

__all__ = ["VQVAE", "VQVAEConfig"]


class VQVAE(nn.Module):
    """Encoder, codebooks and decoder. Features are normalised and batch-first: [B, T, D]."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        codebooks = [
            make_codebook(
                config.quantiser, config.codebook_size, config.code_size, config.codebook_decay
            )
            for _ in range(config.levels)
        ]
        self.codebook = codebooks[0]
        self.refinements = nn.ModuleList(codebooks[1:])
        self.decoder = Decoder(config)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction [B, T, D], commitment loss and perplexity (scalars, means over levels).

        In training mode the codebooks move towards this batch. T is a multiple of a token's frames.
        """
        encoded = self.encoder(features.mT)
        left = encoded
        codes = torch.zeros_like(encoded)
        commitments, perplexities = [], []
        for codebook in self._codebooks():
            chosen, commitment, perplexity = codebook(left)
            codes = codes + chosen.detach()
            left = left - chosen.detach()
            commitments.append(commitment)
            perplexities.append(perplexity)
        # straight through: the decoder's gradient reaches the encoder as if nothing were between
        passed = encoded + (codes - encoded).detach()
        reconstruction: Tensor = self.decoder(passed)
        return reconstruction.mT, torch.stack(commitments).mean(), torch.stack(perplexities).mean()

    def encode(self, features: Tensor) -> Tensor:
        """Tokens [B, L, Q] of features [B, T, D]; L = T // 2 ** stages."""
        left = self.encoder(features.mT).mT
        tokens = []
        for codebook in self._codebooks():
            tokens.append(codebook.nearest(left))
            left = left - codebook.codes[tokens[-1]]
        return torch.stack(tokens, dim=-1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Features [B, L * 2 ** stages, D] of tokens [B, L, Q]."""
        levels = zip(self._codebooks(), tokens.unbind(-1), strict=True)
        codes = sum(codebook.codes[chosen] for codebook, chosen in levels)
        assert isinstance(codes, Tensor)
        features: Tensor = self.decoder(codes.mT)
        return features.mT

    def _codebooks(self) -> Iterator[Codebook]:
        yield self.codebook
        for codebook in self.refinements:
            assert isinstance(codebook, Codebook)
            yield codebook


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
