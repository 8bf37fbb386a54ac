# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence becomes numbers: the prompt check, and what every text encoder has in common.

An encoder runs once a prompt, so each has one definition, in plain NumPy, in every runtime:
`minilm.py` and `clip.py`.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import read_tensors
from .errors import CheckpointError, InputError
from .layers import Weights

__all__ = ["PROMPT_LIMIT", "TextEncoder", "TextFeatures", "basic_words", "check_prompt"]

PROMPT_LIMIT = 1000
"""The longest prompt taken, in characters: far beyond what any encoder here reads."""

# Not "Cn", unassigned: which characters those are depends on the Unicode version of the Python.
_DROPPED = ("Cc", "Cf", "Co", "Cs")


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
    """What the encoder says of B prompts, D numbers each.

    Attributes:
        pooled: float32 [B, D], of the sentence.
        tokens: float32 [B, token_count, D], one row a word piece, zero after the last.
        mask: bool [B, token_count], true where `tokens` holds a word piece.
    """

    pooled: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mask: NDArray[np.bool_]

    @staticmethod
    def of_nothing(size: int) -> TextFeatures:
        """Those of one empty text."""
        return TextFeatures(
            np.zeros((1, size), np.float32),
            np.zeros((1, 0, size), np.float32),
            np.zeros((1, 0), bool),
        )

    def followed_by_nothing(self) -> TextFeatures:
        """These B prompts and B empty ones, which classifier-free guidance compares them with."""
        return TextFeatures(
            np.concatenate((self.pooled, np.zeros_like(self.pooled))),
            np.concatenate((self.tokens, np.zeros_like(self.tokens))),
            np.concatenate((self.mask, np.zeros_like(self.mask))),
        )

    def __getitem__(self, rows: slice | list[int]) -> TextFeatures:
        """Those of some of the prompts."""
        return TextFeatures(self.pooled[rows], self.tokens[rows], self.mask[rows])


class TextEncoder(ABC):
    """A network that reads sentences, with its vocabulary; `load` makes the one that a file holds.

    Args:
        tensors: As the file names them: matrices [out, in] in float32 or float16, or int8 with a
            float32 `NAME.scale` [out]. Each is widened when first used, of the word table only the
            rows asked for.
        vocabulary: Text of the file, in the form that the tokeniser reads.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], vocabulary: str) -> None:
        self.weights = Weights(tensors)

    @staticmethod
    def load(path: str | Path) -> TextEncoder:
        """Read an encoder file.

        Raises:
            CheckpointError: The file is missing, damaged, or not a text encoder.
        """
        from .clip import Clip
        from .minilm import MiniLM

        tensors, metadata = read_tensors(path)
        kind: type[TextEncoder] = Clip if metadata.get("network") == "clip" else MiniLM
        try:
            return kind(tensors, str(metadata["vocabulary"]))
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path} is not a text encoder (no {error.args[0]}): install the extension again, "
                f"or make the file with training/import_{kind.__name__.lower()}.py."
            ) from error

    @property
    @abstractmethod
    def feature_size(self) -> int:
        """D, the numbers of a feature."""

    @property
    @abstractmethod
    def token_limit(self) -> int:
        """The most word pieces of a prompt that the encoder can read."""

    @abstractmethod
    def tokenise(self, prompt: str) -> list[int]:
        """Return the ids of the prompt's word pieces, without what marks begin and end."""

    @abstractmethod
    def unknown_words(self, prompt: str) -> list[str]:
        """Return the words of which the encoder knows no part."""

    @abstractmethod
    def _read(self, pieces: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network on word pieces [B, L]: pooled [B, D] and tokens [B, L, D]."""

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
            found, words = self._read(np.array(batch, np.int64))
            for index, pieces in enumerate(batch):
                pooled[rows[pieces]] = found[index]
                tokens[rows[pieces], : len(pieces)] = words[index]
                mask[rows[pieces], : len(pieces)] = True
        return TextFeatures(pooled, tokens, mask)

    def warnings(self, prompt: str, token_count: int) -> tuple[str, ...]:
        """Say what of the prompt the encoder cannot use: one sentence each."""
        found = []
        letters = unicodedata.normalize("NFKC", prompt)
        if any(char.isalpha() and not _is_latin(char) for char in letters):
            found.append("The text encoder was trained on English: write the prompt in English.")
        unknown = self.unknown_words(prompt)
        if unknown:
            names = ", ".join(dict.fromkeys(word[:20] for word in unknown))
            found.append(f"The text encoder does not know {names}: say it in other words.")
        counts = [len(self.tokenise(word)) for word in prompt.split()]
        if sum(counts) > token_count:
            fitting = int(np.searchsorted(np.cumsum(counts), token_count, side="right"))
            words = f"{fitting} words count" if fitting > 1 else "word counts"
            found.append(f"The prompt is too long: only the first {words}.")
        return tuple(found)

    def _require(self, names: Iterable[str]) -> None:
        """Raise KeyError with the first name that the file lacks."""
        for name in names:
            if name not in self.weights:
                raise KeyError(name)


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
