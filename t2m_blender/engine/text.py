# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence becomes numbers: prompt check, WordPiece tokeniser, MiniLM text encoder.

The encoder is all-MiniLM-L6-v2 (Apache-2.0), a BERT (Devlin et al. 2019) of 6 layers. It runs once
a prompt, so its one definition is plain NumPy, in every runtime.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import read_tensors
from .errors import CheckpointError, InputError

__all__ = ["PROMPT_LIMIT", "TextEncoder", "TextFeatures", "basic_words", "check_prompt"]

PROMPT_LIMIT = 1000
"""The longest prompt taken, in characters: far beyond what any encoder here reads."""

_HEADS = 12
_LAYERS = 6
_NORM_EPSILON = 1e-12
_LONGEST_WORD = 100  # letters; BERT reads a longer word as unknown
# Not "Cn", unassigned: which characters those are depends on the Unicode version of the Python.
_DROPPED = ("Cc", "Cf", "Co", "Cs")
_SPECIAL = ("[UNK]", "[CLS]", "[SEP]")


def check_prompt(prompt: str) -> str:
    """Return the prompt on one line, with spaces and control characters collapsed.

    Raises:
        InputError: The prompt has no word in it, or more than `PROMPT_LIMIT` characters.
    """
    blanks = {"Cc", "Cs", "Zs", "Zl", "Zp"}
    spaced = (" " if unicodedata.category(char) in blanks else char for char in prompt)
    text = " ".join("".join(spaced).split())
    if len(text) > PROMPT_LIMIT:
        raise InputError(
            f"The prompt has {len(text):,} characters and the limit is {PROMPT_LIMIT:,}: "
            "shorten it to a sentence or two."
        )
    if not basic_words(text):
        raise InputError('The prompt is empty: write a motion, such as "a person walks forward".')
    return text


def basic_words(text: str) -> list[str]:
    """Split a text as BERT's uncased basic tokeniser does, before word pieces.

    Control characters go, letters are lowered and lose their accents, and every punctuation mark
    and every Chinese character stands alone.
    """
    words: list[str] = []
    for chunk in "".join(_cleaned(text)).split():
        lowered = unicodedata.normalize("NFD", chunk.lower())
        word = ""
        for char in lowered:
            category = unicodedata.category(char)
            if category == "Mn":
                continue
            if category.startswith("P") or (char.isascii() and not char.isalnum()):
                words += [word, char]
                word = ""
            else:
                word += char
        words.append(word)
    return [word for word in words if word]


def _cleaned(text: str) -> Iterator[str]:
    for char in text:
        if char in "\t\n\r" or unicodedata.category(char) == "Zs":
            yield " "
        elif char == "\ufffd" or unicodedata.category(char) in _DROPPED:
            continue
        else:
            yield f" {char} " if _is_chinese(ord(char)) else char


def _is_chinese(code: int) -> bool:
    """Whether a character is of the CJK ideograph blocks that BERT sets apart."""
    return (
        0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x2CEAF
        or 0xF900 <= code <= 0xFAFF
        or 0x2F800 <= code <= 0x2FA1F
    )


@dataclass(frozen=True)
class TextFeatures:
    """What the encoder says of B prompts.

    Attributes:
        pooled: float32 [B, 384], the mean over the sentence, of length 1.
        tokens: float32 [B, token_count, 384], one row a word piece, zero after the last.
        mask: bool [B, token_count], true where `tokens` holds a word piece.
    """

    pooled: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mask: NDArray[np.bool_]


class TextEncoder:
    """The MiniLM-L6 sentence encoder with its vocabulary.

    Args:
        tensors: As `training/import_minilm.py` names them: matrices [out, in] float32, or int8
            with a float32 `NAME.scale` [out]. Matrices are widened when first used, of the word
            table only the rows asked for.
        vocabulary: The word pieces, in the order of their ids.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], vocabulary: Sequence[str]) -> None:
        self._tensors = tensors
        self._matrices: dict[str, NDArray[np.float32]] = {}
        self._ids = {piece: index for index, piece in enumerate(vocabulary)}
        self._unknown, self._begin, self._end = (self._ids[piece] for piece in _SPECIAL)

    @classmethod
    def load(cls, path: str | Path) -> TextEncoder:
        """Read an encoder file.

        Raises:
            CheckpointError: The file is missing, damaged, or not a text encoder.
        """
        tensors, metadata = read_tensors(path)
        vocabulary = str(metadata.get("vocabulary", "")).split("\n")
        missing = [name for name in _tensor_names() if name not in tensors]
        if missing or len(vocabulary) != len(tensors["word.weight"]):
            raise CheckpointError(
                f"{path} is not a text encoder (no {missing[0] if missing else 'vocabulary'}): "
                "install the extension again, or make the file with training/import_minilm.py."
            )
        return cls(tensors, vocabulary)

    @property
    def feature_size(self) -> int:
        """Numbers a word piece: 384."""
        return int(self._tensors["position"].shape[1])

    @property
    def token_limit(self) -> int:
        """The most word pieces of a prompt that the encoder can read."""
        return len(self._tensors["position"]) - 2

    def tokenise(self, prompt: str) -> list[int]:
        """Return the ids of the prompt's word pieces, without [CLS] and [SEP]."""
        return [piece for word in basic_words(prompt) for piece in self._word_pieces(word)]

    def encode(
        self, prompts: Sequence[str], token_count: int, *, batch_size: int = 1
    ) -> TextFeatures:
        """Encode the first `token_count` word pieces of every prompt.

        What lies beyond them is not read, so that it cannot influence the features either.

        Args:
            prompts: B sentences.
            token_count: Word pieces a prompt, at most `token_limit`.
            batch_size: Prompts of equal length that go through the network together. 1, the
                default, gives a prompt the same bits whatever stands beside it; 32 is faster.
        """
        if not 0 <= token_count <= self.token_limit:
            raise ValueError(f"token_count {token_count} is not within 0 to {self.token_limit}")
        rows: dict[tuple[int, ...], list[int]] = {}
        for row, prompt in enumerate(prompts):
            rows.setdefault(tuple(self.tokenise(prompt)[:token_count]), []).append(row)
        pooled = np.zeros((len(prompts), self.feature_size), np.float32)
        tokens = np.zeros((len(prompts), token_count, self.feature_size), np.float32)
        mask = np.zeros((len(prompts), token_count), bool)
        for batch in _equal_length_batches(rows, batch_size):
            ids = np.array([(self._begin, *pieces, self._end) for pieces in batch])
            hidden = self._network(ids)
            mean = hidden.mean(axis=1)
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
            for index, pieces in enumerate(batch):
                pooled[rows[pieces]] = mean[index]
                tokens[rows[pieces], : len(pieces)] = hidden[index, 1:-1]
                mask[rows[pieces], : len(pieces)] = True
        return TextFeatures(pooled, tokens, mask)

    def warnings(self, prompt: str, token_count: int) -> tuple[str, ...]:
        """Say what of the prompt the encoder cannot use: one sentence each."""
        found = []
        letters = unicodedata.normalize("NFKC", prompt)
        if any(char.isalpha() and not _is_latin(char) for char in letters):
            found.append("The text encoder was trained on English: write the prompt in English.")
        unknown = [w for w in basic_words(prompt) if self._word_pieces(w) == [self._unknown]]
        if unknown:
            names = ", ".join(dict.fromkeys(word[:20] for word in unknown))
            found.append(f"The text encoder does not know {names}: say it in other words.")
        counts = [len(self.tokenise(word)) for word in prompt.split()]
        if sum(counts) > token_count:
            fitting = int(np.searchsorted(np.cumsum(counts), token_count, side="right"))
            words = f"{fitting} words count" if fitting > 1 else "word counts"
            found.append(f"The prompt is too long: only the first {words}.")
        return tuple(found)

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

    def _network(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Run BERT on ids [B, L] of equal lengths: hidden states float32 [B, L, D]."""
        batch, length = ids.shape
        hidden = self._word_rows(ids.reshape(-1)).reshape(batch, length, -1)
        hidden = hidden + self._tensors["position"][:length]
        hidden = self._norm("embedding_norm", hidden.reshape(batch * length, -1))  # [B L, D]
        for layer in range(_LAYERS):
            name = f"layers.{layer}."
            attended = self._attention(name, hidden, batch)
            hidden = self._norm(name + "attention_norm", hidden + attended)
            wide = _gelu(self._linear(name + "intermediate", hidden))  # [B L, 4D]
            narrow = self._linear(name + "output", wide)
            hidden = self._norm(name + "output_norm", hidden + narrow)
        return hidden.reshape(batch, length, -1)

    def _attention(self, name: str, hidden: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
        """Multi-head self-attention over hidden [B L, D]."""
        size = hidden.shape[1]
        qkv = self._linear(name + "qkv", hidden).reshape(batch, -1, 3, _HEADS, size // _HEADS)
        query, key, value = qkv.transpose(2, 0, 3, 1, 4)  # [B, heads, L, D / heads]
        scores = query @ key.swapaxes(2, 3)  # [B, heads, L, L]
        scores *= np.float32((size // _HEADS) ** -0.5)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(hidden.shape)
        return self._linear(name + "attention_output", mixed)

    def _linear(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        out = values @ self._matrix(name + ".weight")
        out += self._tensors[name + ".bias"]
        return out

    def _norm(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        values = values - values.mean(axis=-1, keepdims=True)
        variance = np.square(values).mean(axis=-1, keepdims=True)
        values /= np.sqrt(variance + np.float32(_NORM_EPSILON))
        values *= self._tensors[name + ".weight"]
        values += self._tensors[name + ".bias"]
        return values

    def _matrix(self, name: str) -> NDArray[np.float32]:
        """Return a matrix as float32 [in, out], widened once."""
        if name not in self._matrices:
            matrix = self._tensors[name].T.astype(np.float32, order="C")
            scale = self._tensors.get(name + ".scale")
            if scale is not None:
                matrix *= scale
            self._matrices[name] = matrix
        return self._matrices[name]

    def _word_rows(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = self._tensors["word.weight"][ids].astype(np.float32)
        scale = self._tensors.get("word.weight.scale")
        return rows if scale is None else rows * scale[ids, None]


def _gelu(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The exact GELU, x Phi(x), of float32 values, in place.

    Phi(-|x|) = erfc(|x| / sqrt 2) / 2 by formula 7.1.26 of Abramowitz and Stegun, whose error of
    1.5e-7 is that of float32 itself. Then x Phi(x) = max(x, 0) - |x| Phi(-|x|).
    """
    size = np.abs(values)
    step = size * np.float32(0.3275911 / np.sqrt(2.0))
    step += np.float32(1.0)
    np.reciprocal(step, out=step)
    tail = step * np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient)
        tail *= step
    np.multiply(size, size, out=step)
    step *= np.float32(-0.5)
    tail *= np.exp(step, out=step)
    tail *= size
    tail *= np.float32(0.5)
    np.maximum(values, 0.0, out=values)
    values -= tail
    return values


def _equal_length_batches(
    sentences: Iterable[tuple[int, ...]], batch_size: int
) -> Iterator[list[tuple[int, ...]]]:
    """Group sentences by length, so that no padding ever enters the network."""
    by_length: dict[int, list[tuple[int, ...]]] = {}
    for sentence in sentences:
        by_length.setdefault(len(sentence), []).append(sentence)
    for group in by_length.values():
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _is_latin(char: str) -> bool:
    """Whether a letter is of the Latin alphabet (or belongs to none, as modifier letters do)."""
    return unicodedata.category(char) == "Lm" or "LATIN" in unicodedata.name(char, "")


def _tensor_names() -> list[str]:
    """The names an encoder file must hold; int8 matrices have a `.scale` beside them."""
    names = ["word.weight", "position", "embedding_norm.weight", "embedding_norm.bias"]
    parts = ("qkv", "attention_output", "attention_norm", "intermediate", "output", "output_norm")
    for layer in range(_LAYERS):
        names += [f"layers.{layer}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    return names
