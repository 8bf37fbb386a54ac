# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded text encoder: all-MiniLM-L6-v2 (Apache-2.0), a BERT (Devlin et al. 2019) of 6 layers
with WordPiece tokens. Its file is made by `training/import_minilm.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layers import Array, gelu, self_attention
from .text import TextEncoder, basic_words

__all__ = ["HEADS", "LAYERS", "NORM_EPSILON", "MiniLM"]

HEADS = 12
LAYERS = 6
NORM_EPSILON = 1e-12
_LONGEST_WORD = 100  # letters; BERT reads a longer word as unknown
_SPECIAL = ("[UNK]", "[CLS]", "[SEP]")


class MiniLM(TextEncoder):
    """The MiniLM-L6 sentence encoder; `pooled` is the mean over the sentence, of length 1.

    Args:
        tensors: As `training/import_minilm.py` names them.
        vocabulary: The word pieces, a line each, in the order of their ids.

    Raises:
        KeyError: A tensor or a special piece is missing.
        ValueError: Words and vocabulary do not match.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], vocabulary: str) -> None:
        super().__init__(tensors, vocabulary)
        self._require(_tensor_names())
        pieces = vocabulary.split("\n")
        if len(pieces) != len(tensors["word.weight"]):
            raise ValueError("fitting vocabulary")
        self._ids = {piece: index for index, piece in enumerate(pieces)}
        self._unknown, self._begin, self._end = (self._ids[piece] for piece in _SPECIAL)

    @property
    def feature_size(self) -> int:
        return int(self.weights["position"].shape[1])

    @property
    def token_limit(self) -> int:
        return len(self.weights["position"]) - 2

    def tokenise(self, prompt: str) -> list[int]:
        return [piece for word in basic_words(prompt) for piece in self._word_pieces(word)]

    def unknown_words(self, prompt: str) -> list[str]:
        return [w for w in basic_words(prompt) if self._word_pieces(w) == [self._unknown]]

    def marked(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        """Word pieces [B, L] between what marks begin and end, [B, L + 2]."""
        return np.pad(pieces, ((0, 0), (1, 1)), constant_values=(self._begin, self._end))

    def _word_pieces(self, word: str) -> list[int]:
        """Cut a word into the longest pieces of the vocabulary, from its beginning."""
        pieces: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self._ids.get(prefix + word[start:end])
                if piece is not None:
                    break
            else:
                return [self._unknown]
            pieces.append(piece)
            start = end
        return pieces or [self._unknown]

    def _read(self, pieces: NDArray[np.int64]) -> tuple[Array, Array]:
        hidden = self._network(self.marked(pieces))
        mean = hidden.mean(axis=1)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        return mean, hidden[:, 1:-1]

    def _network(self, ids: NDArray[np.int64]) -> Array:
        """Run BERT on ids [B, L] of equal lengths: hidden states [B, L, D]."""
        batch, length = ids.shape
        weights = self.weights
        hidden = weights.columns("word.weight", ids.reshape(-1))  # [D, B L]
        hidden += np.tile(weights["position"][:length].T, batch)
        hidden = weights.norm("embedding_norm", hidden, NORM_EPSILON)
        for layer in range(LAYERS):
            name = f"layers.{layer}."
            mixed = self_attention(weights.linear(name + "qkv", hidden), batch, HEADS)
            hidden += weights.linear(name + "attention_output", mixed)
            hidden = weights.norm(name + "attention_norm", hidden, NORM_EPSILON)
            wide = gelu(weights.linear(name + "intermediate", hidden))  # [4D, B L]
            hidden += weights.linear(name + "output", wide)
            hidden = weights.norm(name + "output_norm", hidden, NORM_EPSILON)
        return hidden.T.reshape(batch, length, -1)


def _tensor_names() -> list[str]:
    """The names that the file must hold; int8 matrices have a `.scale` beside them."""
    names = ["word.weight", "position", "embedding_norm.weight", "embedding_norm.bias"]
    parts = ("qkv", "attention_output", "attention_norm", "intermediate", "output", "output_norm")
    for layer in range(LAYERS):
        names += [f"layers.{layer}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    return names
