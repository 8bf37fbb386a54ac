# SPDX-License-Identifier: GPL-3.0-or-later
"""MiniLM on torch, with low-rank changes to its matrices that learn (LoRA, Hu et al., ICLR 2022).

The network is that of `engine/minilm.py`. Of a matrix [out, in] the weights stay; what is added to
them is the product of `up` [out, r] and `down` [r, in], some 600,000 numbers at rank 16 where the
matrices have 10.6 million: small enough for a model file, and for an encoder that other models read
too to stay as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.gpt import TextCondition
from t2m_blender.engine.minilm import HEADS, LAYERS, NORM_EPSILON, MiniLM

_MATRICES = ("qkv", "attention_output", "intermediate", "output")


class LowRankMiniLM(nn.Module):
    """The text features of sentences; its parameters are the changes alone, none at first.

    Args:
        encoder: As it is without changes.
        rank: r.
    """

    words: Tensor
    places: Tensor

    def __init__(self, encoder: MiniLM, rank: int) -> None:
        super().__init__()
        _hold(self, words=encoder.weights["word.weight"], places=encoder.weights["position"])
        self.embedding_norm = _Norm(encoder, "embedding_norm")
        self.layers = nn.ModuleList(_Layer(encoder, f"layers.{n}.", rank) for n in range(LAYERS))

    def forward(self, sentences: Sequence[NDArray[np.int64]]) -> TextCondition:
        """What a GPT is given of B sentences, each the ids [L_i] that `MiniLM.marked` makes."""
        lengths = torch.tensor([len(ids) for ids in sentences], device=self.places.device)
        ids = nn.utils.rnn.pad_sequence([torch.from_numpy(ids) for ids in sentences], True)
        place = torch.arange(ids.shape[1], device=self.places.device)
        read = place < lengths[:, None]
        hidden = self._network(ids.to(self.places.device), read)
        mean = (hidden * read[..., None]).sum(dim=1)
        known = place[:-2] < lengths[:, None] - 2  # without the marks
        return TextCondition(
            functional.normalize(mean, dim=-1), hidden[:, 1:-1] * known[..., None], known
        )

    def _network(self, ids: Tensor, read: Tensor) -> Tensor:
        """Hidden states [B, L, D] of ids [B, L], of which those `read` [B, L] are looked at."""
        x = self.embedding_norm(functional.embedding(ids, self.words) + self.places[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x, read[:, None, None])
        return x

    def take(self, changes: Mapping[str, NDArray[Any]]) -> None:
        """Begins from changes, named as `changes` gives them.

        Raises:
            RuntimeError: They are of another rank.
        """
        self.load_state_dict({name: torch.tensor(values) for name, values in changes.items()})

    def changes(self) -> dict[str, NDArray[np.float32]]:
        """What is added, as `Weights.change` takes it: `NAME.up` and `NAME.down`."""
        return {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}


def sentence_ids(encoder: MiniLM, sentence: str, word_limit: int) -> NDArray[np.int64]:
    """The ids [L] that the encoder's network reads of a sentence of which so many pieces count."""
    return encoder.marked(np.array([encoder.tokenise(sentence)[:word_limit]], np.int64))[0]


class _Layer(nn.Module):
    """One layer of BERT: attention and a GELU layer, each normalised after it was added."""

    def __init__(self, encoder: MiniLM, name: str, rank: int) -> None:
        super().__init__()
        self.qkv, self.attention_output, self.intermediate, self.output = (
            _Changed(encoder, name + part, rank) for part in _MATRICES
        )
        self.attention_norm = _Norm(encoder, name + "attention_norm")
        self.output_norm = _Norm(encoder, name + "output_norm")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, keys, values = (
            part.view(*x.shape[:2], HEADS, -1).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, keys, values, mask)
        x = self.attention_norm(x + self.attention_output(mixed.transpose(1, 2).flatten(2)))
        fed: Tensor = self.output(functional.gelu(self.intermediate(x)))
        normed: Tensor = self.output_norm(x + fed)
        return normed


class _Changed(nn.Module):
    """x -> x (weight + up @ down)^T + bias."""

    weight: Tensor
    bias: Tensor

    def __init__(self, encoder: MiniLM, name: str, rank: int) -> None:
        super().__init__()
        weight = encoder.weights[f"{name}.weight"]
        _hold(self, weight=weight, bias=encoder.weights[f"{name}.bias"])
        rows, columns = weight.shape
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.down = nn.Parameter(torch.randn(rank, columns) / math.sqrt(columns))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight + self.up @ self.down, self.bias)


class _Norm(nn.Module):
    weight: Tensor
    bias: Tensor

    def __init__(self, encoder: MiniLM, name: str) -> None:
        super().__init__()
        gain, bias = (encoder.weights[f"{name}.{kind}"] for kind in ("weight", "bias"))
        _hold(self, weight=gain, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, NORM_EPSILON)


def _hold(module: nn.Module, **tensors: NDArray[np.float32]) -> None:
    """Keeps what does not learn; it is no part of the module's state."""
    for name, values in tensors.items():
        module.register_buffer(name, torch.tensor(values), persistent=False)
