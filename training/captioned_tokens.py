# SPDX-License-Identifier: GPL-3.0-or-later
"""What stage 2 learns from: clips as tokens, with the text features of their captions.

Both networks that make them are finished, so tokens and text features are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from t2m_blender.engine.configs import GPTConfig
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.gpt import TextCondition
from t2m_blender.engine.text import TextEncoder, TextFeatures
from t2m_blender.engine.vqvae import VQVAE

from .config import GPTTraining, TextTraining
from .data.dataset import Dataset, caption_worded

_PEOPLE = "humanml3d"  # origin of captions of the very clip
_TOGETHER = 64  # clips through the VQ-VAE
_CAPTIONS = 1024  # through the text encoder; their features are large until words are cut off


@dataclass
class TokenBatch:
    """Tokens of B captioned clips, padded to the longest.

    Attributes:
        inputs: [B, L, Q] tokens as the network reads them: corrupted in training, Pad after the
            end.
        targets: [B, L + 1, Q] tokens and End; -100 after it and in End's further levels, which the
            loss ignores.
        sentences: The captions.
        text: Of the captions.
        plain_text: Of the table's captions that they are wordings of; where they are not, the same.
    """

    inputs: Tensor
    targets: Tensor
    sentences: list[str]
    text: TextCondition
    plain_text: TextCondition

    def to(self, device: torch.device) -> TokenBatch:
        return TokenBatch(
            self.inputs.to(device),
            self.targets.to(device),
            self.sentences,
            self.text.to(device),
            self.plain_text.to(device),
        )

    def rows(self, part: slice) -> TokenBatch:
        """Some of its clips."""
        return TokenBatch(
            self.inputs[part],
            self.targets[part],
            self.sentences[part],
            self.text.rows(part),
            self.plain_text.rows(part),
        )


class CaptionedTokens:
    """The captioned clips of a split as tokens, with the text features of all their captions.

    A clip is tokenised from each of its first frames (0 .. frames_per_token - 1), so that the same
    motion is seen in several tokenisations.

    Raises:
        InputError: No clip of the split has a caption.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        vqvae: VQVAE,
        encoder: TextEncoder,
        config: GPTConfig,
    ) -> None:
        self.config = config
        clips = [clip for clip in dataset.split(split) if clip.captions]
        if not clips:
            raise InputError(f"No clip of the split '{split}' has a caption; prepare captions too.")
        step = vqvae.config.frames_per_token
        cuts = []
        for clip in clips:
            features = (dataset.features[clip.id] - dataset.mean) / dataset.std
            for start in range(step):
                length = min((len(features) - start) // step, config.token_limit) * step
                cuts.append(features[start : start + length])
        tokens = tokenised(vqvae, cuts)
        self.tokens = [tokens[i : i + step] for i in range(0, len(tokens), step)]
        captions = sorted({caption for clip in clips for caption in clip.captions})
        self._sentences = captions
        index = {caption: row for row, caption in enumerate(captions)}
        self.captions = [[index[caption] for caption in clip.captions] for clip in clips]
        self._by_people = [
            (number, index[caption])
            for number, clip in enumerate(clips)
            for caption, origin in zip(clip.captions, clip.caption_origins, strict=True)
            if origin == _PEOPLE
        ]
        self._plain = {
            (number, index[caption]): index[plain]
            for number, clip in enumerate(clips)
            for caption, origin in zip(clip.captions, clip.caption_origins, strict=True)
            if (plain := caption_worded(origin)) in clip.captions
        }
        self._worded = list(self._plain)
        # clips with the captions that are worded
        self._meant = list(dict.fromkeys((clip, plain) for (clip, _), plain in self._plain.items()))
        self._misread = np.zeros(0)  # running sum over the worded, see `weigh`
        features_of = text_features(encoder, captions, config.word_limit)
        self.pooled, self.known = features_of.pooled, features_of.mask
        self.words = features_of.tokens.astype(np.float16)

    def draw(self, settings: GPTTraining, generator: np.random.Generator) -> TokenBatch:
        """A training batch: some cropped by a token, corrupted, some without text."""
        # clips of like length together, so that little is padded; each is as likely as any other
        drawn = self._drawn(4 * settings.batch_size, settings, generator)
        drawn.sort(key=lambda pair: len(self.tokens[pair[0]][0]))
        first = settings.batch_size * generator.integers(4)
        pairs = drawn[first : first + settings.batch_size]
        rows = []
        for clip, _ in pairs:
            tokens = self.tokens[clip][generator.integers(len(self.tokens[clip]))]
            rows.append(cropped(tokens, settings.crop, generator.random()))
        batch = self._batch(rows, pairs)
        batch.inputs = corrupted(batch.inputs, self.config, settings.corruption, generator)
        dropped = torch.from_numpy(generator.random(len(rows)) < settings.text_dropout)
        batch.text = batch.text.without_text(dropped)
        batch.plain_text = batch.plain_text.without_text(dropped)
        return batch

    def draw_beginnings(self, settings: TextTraining, generator: np.random.Generator) -> TokenBatch:
        """The first tokens of clips with a caption each, nothing changed."""
        pairs = self._drawn(settings.batch_size, settings, generator, plain=settings.plain)
        rows = [
            self.tokens[clip][generator.integers(len(self.tokens[clip]))][: settings.tokens]
            for clip, _ in pairs
        ]
        return self._batch(rows, pairs)

    def _drawn(
        self,
        number: int,
        settings: GPTTraining | TextTraining,
        generator: np.random.Generator,
        *,
        plain: float = 0.0,
    ) -> list[tuple[int, int]]:
        """So many clips, each with the row of one of its captions."""
        people = settings.people if self._by_people else 0.0
        drawn = []
        for chance in generator.random(number):
            if chance < people:
                drawn.append(self._by_people[generator.integers(len(self._by_people))])
            elif chance < people + settings.misread and len(self._misread):
                place = np.searchsorted(self._misread, generator.random() * self._misread[-1])
                drawn.append(self._worded[min(int(place), len(self._worded) - 1)])
            elif chance > 1.0 - plain and self._meant:
                drawn.append(self._meant[generator.integers(len(self._meant))])
            else:
                clip = int(generator.integers(len(self.tokens)))
                captions = self.captions[clip]
                drawn.append((clip, captions[generator.integers(len(captions))]))
        return drawn

    def weigh(self, first_chances: Callable[[TextCondition], Tensor]) -> None:
        """Finds out how far each wording is misread, for the setting `misread`.

        `first_chances` are logarithms [B, K + 1] of what is foretold for the first token. What is
        said of clips of several captions cannot be read as each of them, and is left out.
        """
        meanings: dict[int, set[int]] = {}
        for clip, own in enumerate(self.captions):
            for row in own:
                meanings.setdefault(row, set()).add(self._plain.get((clip, row), row))
        worded = list(dict.fromkeys((row, plain) for (_, row), plain in self._plain.items()))
        plain = list(dict.fromkeys(plain for _, plain in worded))
        meant = dict(zip(plain, self._each(plain, first_chances), strict=True))
        said = self._each([row for row, _ in worded], first_chances)
        apart = {
            pair: float((meant[pair[1]].exp() * (meant[pair[1]] - own)).sum())
            for pair, own in zip(worded, said, strict=True)
        }
        weights = [
            apart[row, plain] if len(meanings[row]) == 1 else 0.0
            for (_, row), plain in self._plain.items()
        ]
        self._misread = np.cumsum(np.maximum(weights, 0.0))

    def _each(
        self, captions: list[int], first_chances: Callable[[TextCondition], Tensor]
    ) -> list[Tensor]:
        rows: list[Tensor] = []
        for start in range(0, len(captions), _CAPTIONS):
            rows += first_chances(self._text(captions[start : start + _CAPTIONS])).cpu().unbind()
        return rows

    def plain(self, batch_size: int = 32) -> list[TokenBatch]:
        """Every clip once with each of its captions, unchanged."""
        pairs = [(clip, caption) for clip, own in enumerate(self.captions) for caption in own]
        parts = [pairs[start : start + batch_size] for start in range(0, len(pairs), batch_size)]
        return [self._batch([self.tokens[clip][0] for clip, _ in part], part) for part in parts]

    def _batch(self, rows: list[NDArray[np.int64]], pairs: list[tuple[int, int]]) -> TokenBatch:
        inputs, targets = padded(rows, self.config)
        plain = [self._plain.get(pair, pair[1]) for pair in pairs]
        captions = [caption for _, caption in pairs]
        sentences = [self._sentences[caption] for caption in captions]
        return TokenBatch(inputs, targets, sentences, self._text(captions), self._text(plain))

    def _text(self, captions: list[int]) -> TextCondition:
        longest = self.known[captions].sum(axis=1).max()  # further words would only cost time
        return TextCondition(
            torch.from_numpy(self.pooled[captions]),
            torch.from_numpy(self.words[captions, :longest].astype(np.float32)),
            torch.from_numpy(self.known[captions, :longest]),
        )


def padded(rows: Sequence[NDArray[np.int64]], config: GPTConfig) -> tuple[Tensor, Tensor]:
    """Inputs [B, L, Q] and targets [B, L + 1, Q] of B clips' tokens [L_i, Q]; see `TokenBatch`."""
    longest = max(len(row) for row in rows)
    inputs = np.zeros((len(rows), longest, config.levels), dtype=np.int64)
    inputs[..., 0] = config.pad
    targets = np.full((len(rows), longest + 1, config.levels), -100)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = targets[i, : len(row)] = row
        targets[i, len(row), 0] = config.end
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def cropped(tokens: NDArray[np.int64], crop: float, chance: float) -> NDArray[np.int64]:
    """Tokens [L, Q] without the first where `chance` in [0, 1) is below crop / 2, without the last
    where it is below crop; a single token stays.
    """
    if chance >= crop or len(tokens) < 2:
        return tokens
    return tokens[1:] if chance < crop / 2 else tokens[:-1]


def corrupted(
    tokens: Tensor, config: GPTConfig, chance: float, generator: np.random.Generator
) -> Tensor:
    """Tokens [B, L, Q] with some replaced by random codes, all levels at once; Pad stays.

    `chance` of replacement, or -1 for one drawn from U[0, 1] for every row.
    """
    batch, length = tokens.shape[:2]
    chances = generator.random((batch, 1)) if chance < 0 else np.full((batch, 1), chance)
    replace = torch.from_numpy(generator.random((batch, length)) < chances)
    replace &= tokens[..., 0] < config.codebook_size
    noise = torch.from_numpy(generator.integers(config.codebook_size, size=tuple(tokens.shape)))
    return torch.where(replace[..., None], noise, tokens)


@torch.inference_mode()
def tokenised(vqvae: VQVAE, cuts: Sequence[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """Tokens [L_i, Q] of normalised features [T_i, D]; those of equal length go together."""
    device = next(vqvae.parameters()).device
    by_length: dict[int, list[int]] = {}
    for index, cut in enumerate(cuts):
        by_length.setdefault(len(cut), []).append(index)
    tokens: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(cuts)
    for group in by_length.values():
        for start in range(0, len(group), _TOGETHER):
            part = group[start : start + _TOGETHER]
            frames = torch.from_numpy(np.stack([cuts[index] for index in part])).to(device)
            for index, row in zip(part, vqvae.encode(frames).cpu().numpy(), strict=True):
                tokens[index] = row
    return tokens


def text_features(encoder: TextEncoder, captions: Sequence[str], word_limit: int) -> TextFeatures:
    """Features of captions as a GPT of this word limit reads them: 0 for the pooled one only."""
    words = word_limit or encoder.token_limit  # what the pooled feature sees
    parts = []
    for start in range(0, len(captions), _CAPTIONS):
        part = encoder.encode(captions[start : start + _CAPTIONS], words, batch_size=32)
        parts.append((part.pooled, part.tokens[:, :word_limit], part.mask[:, :word_limit]))
    return TextFeatures(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
