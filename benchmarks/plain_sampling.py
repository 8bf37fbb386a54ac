# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling as the paper's own code does it, written plainly: the whole sequence again for every
token, one clip at a time, drawn by torch. It is what `reference.py` compares with.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

from t2m_blender.engine.configs import GPTConfig


class PlainGPT:
    """The network of a checkpoint without any cache."""

    def __init__(self, tensors: dict[str, Tensor], config: GPTConfig) -> None:
        self.tensors = tensors
        self.config = config
        length = config.token_limit + 1
        self.mask = torch.ones(length, length).tril().bool()

    @torch.no_grad()
    def sample(self, text: Tensor, tokens: int) -> Tensor:
        """Tokens [1, tokens] after a text feature [1, text_size]."""
        written = torch.zeros(1, 0, dtype=torch.int64)
        for _ in range(tokens):
            logits = self.logits(written, text)[:, -1]
            probabilities = functional.softmax(logits, dim=-1)
            drawn = torch.distributions.Categorical(probabilities).sample()
            written = torch.cat((written, drawn[:, None].clamp(max=self.config.end - 1)), dim=1)
        return written

    def logits(self, written: Tensor, text: Tensor) -> Tensor:
        x = self.linear("pooled_projection", text)[:, None]
        if written.shape[1]:
            x = torch.cat((x, self.tensors["token_embedding.weight"][written]), dim=1)
        x = x + self.tensors["positions"][: x.shape[1]]
        for index in range(self.config.blocks):
            name = f"blocks.{index}."
            x = x + self.attention(name, self.norm(f"{name}attention_norm", x))
            fed = functional.gelu(self.linear(f"{name}feed_in", self.norm(f"{name}feed_norm", x)))
            x = x + self.linear(f"{name}feed_out", fed)
        return self.norm("norm", x) @ self.tensors["head.weight"].T

    def attention(self, name: str, x: Tensor) -> Tensor:
        length, heads = x.shape[1], self.config.heads
        query, key, value = (
            self.linear(name + part, x).view(1, length, heads, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(-2, -1) / math.sqrt(key.shape[-1])
        scores = scores.masked_fill(~self.mask[:length, :length], -math.inf)
        mixed = functional.softmax(scores, dim=-1) @ value
        mixed = mixed.transpose(1, 2).reshape(1, length, -1)
        return self.linear(f"{name}attention_out", mixed)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(x, (x.shape[-1],), weight, bias)
