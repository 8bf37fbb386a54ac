# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of the networks, for every runtime and the training; a model file carries them."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["QUANTISERS", "GPTConfig", "VQVAEConfig"]

QUANTISERS = ("ema_reset", "ema", "reset", "plain")
"""How codes learn, see `codebook.py`."""

_MAY_BE_NONE = ("stages", "depth", "word_limit")
_COUNTED = ("levels", "stages", "depth", "dilation_growth", "blocks")
_MOST_COUNTED, _WIDEST = 256, 2**13


def _check_sizes(config: VQVAEConfig | GPTConfig) -> None:
    """A model file may say anything: what cannot be a size is refused before it is built.

    Raises:
        ValueError: Names the field.
    """
    for field in fields(config):
        value, usual = getattr(config, field.name), field.default
        if isinstance(usual, float) and not (type(value) in (int, float) and 0.0 <= value <= 1.0):
            raise ValueError(f"{field.name} is {value!r}; it is a number from 0 to 1")
        least = 0 if field.name in _MAY_BE_NONE else 1
        most = _MOST_COUNTED if field.name in _COUNTED else _WIDEST
        if isinstance(usual, int) and not (type(value) is int and least <= value <= most):
            raise ValueError(
                f"{field.name} is {value!r}; it is a whole number from {least} to {most}"
            )


@dataclass(frozen=True, kw_only=True)
class VQVAEConfig:
    """Sizes of the network; the defaults are the paper's for HumanML3D.

    Attributes:
        feature_size: D, features a frame.
        width: Channels of the convolutions.
        code_size: Channels of a code.
        codebook_size: K, number of codes of a level.
        levels: Q, codebooks one after another; 1 in the paper.
        quantiser: How the codes learn: "ema_reset" (the paper's choice), "ema", "reset" or "plain"
            (its ablations; see `codebook.py`).
        stages: Halvings of time; a token is 2 ** stages frames.
        depth: Residual blocks in a stage.
        dilation_growth: Dilations of a stage's blocks are its powers, the widest first.
        codebook_decay: Of the moving averages; the paper's mu.
    """

    feature_size: int = 263
    width: int = 512
    code_size: int = 512
    codebook_size: int = 512
    levels: int = 1
    quantiser: str = "ema_reset"
    stages: int = 2
    depth: int = 3
    dilation_growth: int = 3
    codebook_decay: float = 0.99

    def __post_init__(self) -> None:
        _check_sizes(self)
        if self.quantiser not in QUANTISERS:
            known = ", ".join(QUANTISERS)
            raise ValueError(f"the quantiser is {self.quantiser!r}; it may be {known}")

    @property
    def frames_per_token(self) -> int:
        return int(2**self.stages)


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        codebook_size: K of the VQ-VAE whose tokens it writes.
        levels: Q of the VQ-VAE; 1 in the paper.
        token_limit: Most motion tokens in one sequence.
        width: Channels of the transformer.
        blocks: Transformer blocks (the paper's 9 base and 9 head blocks are one row of 18).
        heads: Attention heads.
        text_size: Channels of the text features.
        word_limit: Word features read before the pooled one; 0 for pooled only, as in the paper.
        dropout: Of embeddings and residual branches, in training.
        attention_dropout: Of attention weights, in training; slow on a CPU.
    """

    codebook_size: int = 512
    levels: int = 1
    token_limit: int = 50
    width: int = 1024
    blocks: int = 18
    heads: int = 16
    text_size: int = 512
    word_limit: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        _check_sizes(self)
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be shared by {self.heads} heads")

    @property
    def end(self) -> int:
        return self.codebook_size

    @property
    def pad(self) -> int:
        return self.codebook_size + 1

    @property
    def weights(self) -> int:
        """Numbers in the matrices of the blocks: nearly all there are."""
        return 12 * self.width**2 * self.blocks

    @property
    def positions(self) -> int:
        """Length of the longest sequence: words, the pooled feature, tokens."""
        return self.word_limit + 1 + self.token_limit
