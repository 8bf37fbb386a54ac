# SPDX-License-Identifier: GPL-3.0-or-later
"""The text encoder of the published T2M-GPT checkpoints: the text half of CLIP ViT-B/32 (Radford et
al. 2021, MIT), a causal transformer of 12 layers with byte-pair tokens. Its file is made of the
user's own `ViT-B-32.pt` by `training/import_clip.py`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layers import Array, self_attention
from .text import TextEncoder

__all__ = ["Clip"]

_HEAD_SIZE = 64
_NORM_EPSILON = 1e-5
_END_OF_WORD = "</w>"
_ENDINGS = re.compile("'(?:s|t|re|ve|m|ll|d)")
_QUOTES = {ord(char): "'" for char in "\u02bc\u2018\u2019\u201a\u201b"} | {
    ord(char): '"' for char in "\u201c\u201d\u201e\u201f"
}


class Clip(TextEncoder):
    """CLIP's text encoder; `pooled` is the projected state at the end of the text, as T2M-GPT reads
    it, and `tokens` are the projected states of the word pieces.

    Args:
        tensors: As `training/import_clip.py` names them.
        vocabulary: The byte-pair merges, a line each, in order: two pieces and a space between.

    Raises:
        KeyError: A tensor is missing.
        ValueError: Words and merges do not match.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], vocabulary: str) -> None:
        super().__init__(tensors, vocabulary)
        layers = {name.split(".")[1] for name in tensors if name.startswith("layers.")}
        self._layers = len(layers)
        self._require(_tensor_names(self._layers))
        merges = [tuple(line.split(" ")) for line in vocabulary.split("\n")]
        self._ranks = {merge: rank for rank, merge in enumerate(merges)}
        single = list(_byte_letters().values())
        pieces = [*single, *(one + _END_OF_WORD for one in single), *map("".join, merges)]
        self._ids = {piece: index for index, piece in enumerate(pieces)}
        self._begin, self._end = len(pieces), len(pieces) + 1
        if len(tensors["word.weight"]) != len(pieces) + 2:
            raise ValueError("fitting vocabulary")
        self._word_pieces = lru_cache(maxsize=4096)(self._merged)

    @property
    def feature_size(self) -> int:
        return len(self.weights["projection.weight"])

    @property
    def token_limit(self) -> int:
        return len(self.weights["position"]) - 2

    def tokenise(self, prompt: str) -> list[int]:
        return [piece for word in _words(prompt) for piece in self._word_pieces(word)]

    def unknown_words(self, prompt: str) -> list[str]:
        """None: every byte is a piece."""
        return []

    def _merged(self, word: str) -> tuple[int, ...]:
        """Join the letters of a word, the pair of lowest rank first, until no pair is known."""
        letters = _byte_letters()
        pieces = [letters[byte] for byte in word.encode("utf-8")]
        pieces[-1] += _END_OF_WORD
        while len(pieces) > 1:
            pairs = set(pairwise(pieces)) & self._ranks.keys()
            if not pairs:
                break
            first = min(pairs, key=self._ranks.__getitem__)
            joined: list[str] = []
            for piece in pieces:
                if joined and (joined[-1], piece) == first:
                    joined[-1] += piece
                    # what is joined now may not be joined again before all pairs are looked at
                    joined.append("")
                else:
                    joined.append(piece)
            pieces = [piece for piece in joined if piece]
        return tuple(self._ids[piece] for piece in pieces)

    def _read(self, pieces: NDArray[np.int64]) -> tuple[Array, Array]:
        states = self._network(
            np.pad(pieces, ((0, 0), (1, 1)), constant_values=(self._begin, self._end))
        )
        return states[:, -1], states[:, 1:-1]

    def _network(self, ids: NDArray[np.int64]) -> Array:
        """Run the transformer on ids [B, L] of equal lengths: projected states [B, L, D]."""
        batch, length = ids.shape
        weights = self.weights
        hidden = weights.columns("word.weight", ids.reshape(-1))  # [C, B L]
        hidden += np.tile(weights["position"][:length].T, batch)
        heads = len(hidden) // _HEAD_SIZE
        ahead = np.triu(np.full((length, length), -np.inf, np.float32), 1)
        for layer in range(self._layers):
            name = f"layers.{layer}."
            normed = weights.norm(name + "attention_norm", hidden, _NORM_EPSILON)
            mixed = self_attention(weights.linear(name + "qkv", normed), batch, heads, ahead)
            hidden += weights.linear(name + "attention_output", mixed)
            normed = weights.norm(name + "output_norm", hidden, _NORM_EPSILON)
            wide = weights.linear(name + "intermediate", normed)  # [4C, B L]
            wide /= 1.0 + np.exp(np.float32(-1.702) * wide)  # CLIP's own quick GELU
            hidden += weights.linear(name + "output", wide)
        states = weights["projection.weight"] @ weights.norm("final_norm", hidden, _NORM_EPSILON)
        return states.T.reshape(batch, length, -1)


def _words(text: str) -> Iterator[str]:
    """Split a text as CLIP's tokeniser does: letters together, digits alone, signs together.

    The original mends wrongly decoded text with the package ftfy first; of that, only what may
    stand in a prompt is done here: HTML's characters, quotes, ligatures and wide letters.
    """
    text = html.unescape(html.unescape(text)).translate(_QUOTES)
    text = "".join(
        unicodedata.normalize("NFKC", char) if _is_variant(char) else char for char in text
    )
    text = unicodedata.normalize("NFC", text).lower()
    start = 0
    while start < len(text):
        ending = _ENDINGS.match(text, start)
        if ending:
            stop = ending.end()
        else:
            kind = _kind(text[start])
            stop = start + 1
            while kind != "digit" and stop < len(text) and _kind(text[stop]) == kind:
                stop += 1
        if not text[start].isspace():
            yield text[start:stop]
        start = stop


def _kind(char: str) -> str:
    if char.isspace():
        return "space"
    category = unicodedata.category(char)[0]
    return {"L": "letter", "N": "digit"}.get(category, "sign")


def _is_variant(char: str) -> bool:
    """Whether a character is a Latin ligature, or a wide or half-width form of another."""
    ranges = ((0x132, 0x133), (0x1C4, 0x1CC), (0xFB00, 0xFB06), (0xFF01, 0xFFEF))
    return any(first <= ord(char) <= last for first, last in ranges)


@lru_cache(maxsize=1)
def _byte_letters() -> dict[int, str]:
    """A letter for every byte: printable ones stand for themselves, the others for U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return letters | {byte: chr(0x100 + index) for index, byte in enumerate(others)}


def _tensor_names(layers: int) -> list[str]:
    """The names that the file must hold."""
    names = ["word.weight", "position", "final_norm.weight", "final_norm.bias", "projection.weight"]
    parts = ("attention_norm", "qkv", "attention_output", "output_norm", "intermediate", "output")
    for layer in range(layers):
        names += [f"layers.{layer}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    return names
