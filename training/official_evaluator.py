# SPDX-License-Identifier: GPL-3.0-or-later
"""The published text-motion evaluator (Guo et al., CVPR 2022), whose numbers the papers print.

The user gives its files: `text_mot_match/model/finest.tar`, the mean.npy and std.npy that it was
trained with, the GloVe vocabulary (`our_vab_data.npy`, `our_vab_words.pkl`, `our_vab_idx.pkl`), and
the dataset's `texts`, whose lines tell every word's part of speech. Nothing is unpickled but
tensors, words and numbers.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from t2m_blender.engine.checkpoint import file_sha256
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.skeleton import SKELETONS, Skeleton

from .data.annotations import open_texts
from .data.arrays import DAMAGED
from .data.captions import read_caption
from .data.dataset import Clip

LONGEST = 196  # frames: every clip is padded to this
FRAMES_PER_STEP = 4
_WORDS = 20  # of a caption, between the marks of its begin and end
_CONTACTS = 4  # the last features, which the evaluator does not read
_KINDS = (
    "VERB NOUN DET ADP NUM AUX PRON ADJ ADV Loc_VIP Body_VIP Obj_VIP Act_VIP Desc_VIP OTHER".split()
)
_VIPS = {
    "Loc_VIP": "left right clockwise counterclockwise anticlockwise forward back backward up down "
    "straight curve",
    "Body_VIP": "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    "Obj_VIP": "stair dumbbell chair window floor car ball handrail baseball basketball",
    "Act_VIP": "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop "
    "sit lift lower raise wash stand kneel stroll rub bend balance flap jog shuffle lean rotate "
    "spin spread climb",
    "Desc_VIP": "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
}
_KIND_OF = {word: kind for kind, words in _VIPS.items() for word in words.split()}


class MovementEncoder(nn.Module):
    """[B, T, D - 4] -> [B, T // 4, M]: two halvings of time."""

    def __init__(self, features: int, width: int, size: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(features, width, 4, 2, 1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(width, size, 4, 2, 1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(size, size)

    def forward(self, motion: Tensor) -> Tensor:
        movements: Tensor = self.out_net(self.main(motion.mT).mT)
        return movements


class SequenceEncoder(nn.Module):
    """[B, L, C] and lengths [B] -> [B, E]: the last states of a GRU read both ways.

    With `kinds`, words of C numbers are read together with their parts of speech [B, L, kinds].
    """

    def __init__(self, inputs: int, width: int, size: int, kinds: int = 0) -> None:
        super().__init__()
        if kinds:
            self.pos_emb = nn.Linear(kinds, inputs)
        self.input_emb = nn.Linear(inputs, width)
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, size),
        )
        self.hidden = nn.Parameter(torch.zeros(2, 1, width))

    def forward(self, inputs: Tensor, lengths: Tensor, kinds: Tensor | None = None) -> Tensor:
        if kinds is not None:
            inputs = inputs + self.pos_emb(kinds)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.input_emb(inputs), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        begin = self.hidden.expand(-1, len(inputs), -1).contiguous()
        _, last = self.gru(packed, begin)
        embedding: Tensor = self.output_net(torch.cat((last[0], last[1]), dim=-1))
        return embedding


class OfficialEvaluator:
    """Embeds captions and motion as the published evaluator does.

    Args:
        file: finest.tar.
        mean, std: [D] of the features that it reads; its own, not the dataset's.
        words: Word -> its GloVe vector [300]; must hold "unk".
        tagged: Caption -> its words, each "word/PART".

    Raises:
        CheckpointError: The file is not the published evaluator.
        InputError: The statistics are of another size.
    """

    def __init__(
        self,
        file: Path,
        *,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        words: Mapping[str, NDArray[np.float32]],
        tagged: Mapping[str, Sequence[str]],
    ) -> None:
        states = _read_states(file)
        try:
            wide, features, _ = states["movement_encoder"]["main.0.weight"].shape
            movements = states["movement_encoder"]["out_net.bias"].shape[0]
            self.movement = MovementEncoder(features, wide, movements)
            width, size = _sizes(states["motion_encoder"])
            self.motion = SequenceEncoder(movements, width, size)
            width, size = _sizes(states["text_encoder"])
            kinds = states["text_encoder"]["pos_emb.weight"].shape[1]
            letters = states["text_encoder"]["input_emb.weight"].shape[1]
            self.text = SequenceEncoder(letters, width, size, kinds)
            for part, network in (
                ("movement_encoder", self.movement),
                ("motion_encoder", self.motion),
                ("text_encoder", self.text),
            ):
                network.load_state_dict(states[part])
                network.eval()
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{file} is not the published evaluator: {str(error).splitlines()[-1].strip()}"
            ) from error
        self.name = "text_mot_match (published)"
        self.sha256 = file_sha256(file)
        self.embedding_size = int(size)
        self.skeleton = _skeleton_of(features + _CONTACTS, file)
        if mean.shape != (self.skeleton.feature_size,) or std.shape != mean.shape:
            raise InputError(
                f"{file} reads {self.skeleton.feature_size} features; its mean and std have "
                f"{list(mean.shape)} and {list(std.shape)}: give those of the same dataset."
            )
        self._mean, self._std = mean, std
        self._words, self._tagged = words, tagged

    @torch.inference_mode()
    def embed_motion(self, features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """[B, E] of B clips [T, D], not normalised: whole steps of 4 frames, 196 at most."""
        lengths = [min(len(clip), LONGEST) // FRAMES_PER_STEP for clip in features]
        if min(lengths, default=1) < 1:
            raise InputError(f"The evaluator needs clips of at least {FRAMES_PER_STEP} frames.")
        padded = np.zeros((len(features), LONGEST, len(self._mean)), dtype=np.float32)
        for row, clip, steps in zip(padded, features, lengths, strict=True):
            frames = steps * FRAMES_PER_STEP
            row[:frames] = (clip[:frames] - self._mean) / self._std
        return self.embed_normalised(torch.from_numpy(padded), torch.tensor(lengths)).numpy()

    def embed_normalised(self, motion: Tensor, steps: Tensor) -> Tensor:
        """[B, E] of normalised features [B, T, D], zero after the last step of each."""
        embedding: Tensor = self.motion(self.movement(motion[..., :-_CONTACTS]), steps)
        return embedding

    @torch.inference_mode()
    def embed_text(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """[B, E] of B captions.

        Raises:
            InputError: A caption whose words have no parts of speech in the given texts.
        """
        vectors, kinds, lengths = [], [], []
        for caption in captions:
            if caption not in self._tagged:
                raise InputError(
                    f"The texts do not tell the parts of speech of '{caption}'; give the texts "
                    "folder that the dataset was prepared from, or an evaluator of our own."
                )
            rows = word_rows(self._tagged[caption], self._words)
            vectors.append(rows[0])
            kinds.append(rows[1])
            lengths.append(rows[2])
        return self.text(
            torch.from_numpy(np.stack(vectors)),
            torch.tensor(lengths),
            torch.from_numpy(np.stack(kinds)),
        ).numpy()


def load_official(
    file: Path, *, statistics: Path, glove: Path, texts: Path, clips: Sequence[Clip]
) -> OfficialEvaluator:
    """The published evaluator with the words of the given clips' captions.

    Args:
        file: finest.tar.
        statistics: Folder of the evaluator's mean.npy and std.npy.
        glove: Folder of the vocabulary files.
        texts: Folder that holds `texts` or `texts.zip`, as published.
        clips: Whose captions will be embedded.

    Raises:
        CheckpointError, InputError: A file is missing, damaged or of another kind.
    """
    try:
        mean, std = (
            np.load(statistics / f"{name}.npy", allow_pickle=False).astype(np.float32)
            for name in ("mean", "std")
        )
    except DAMAGED as error:
        raise InputError(
            f"{statistics} needs the evaluator's mean.npy and std.npy: {error}."
        ) from None
    lines_of = open_texts(texts)
    tagged = {}
    for clip in clips:
        for line in lines_of(re.sub(r"[a-z]+$", "", clip.id)) or ():
            columns = line.split("#")
            if len(columns) == 4 and columns[1]:
                tagged[read_caption(line).text] = columns[1].split()
    return OfficialEvaluator(file, mean=mean, std=std, words=read_glove(glove), tagged=tagged)


def read_glove(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Word -> vector [300] of the published vocabulary files.

    Raises:
        InputError: One is missing, damaged, or does not fit the others.
    """
    try:
        vectors = np.load(folder / "our_vab_data.npy", allow_pickle=False).astype(np.float32)
        words, index = (
            _PlainUnpickler(io.BytesIO((folder / f"our_vab_{name}.pkl").read_bytes())).load()
            for name in ("words", "idx")
        )
        found = {str(word): vectors[int(index[word])] for word in words}
        found["unk"]
    except (*DAMAGED, UnpicklingError, TypeError, IndexError) as error:
        raise InputError(
            f"{folder} needs our_vab_data.npy, our_vab_words.pkl and our_vab_idx.pkl as published "
            f"({type(error).__name__}: {error})."
        ) from None
    return found


def word_rows(
    tagged: Sequence[str], words: Mapping[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Vectors [22, 300], parts of speech [22, 15] (one of each row is 1) and the length of a text.

    As published: at most 20 words, marks before and after, "unk" behind; words that the evaluator
    was to mind (directions, limbs, things, actions, manners) have kinds of their own, and words
    without a vector are "unk" of the kind OTHER.
    """
    marked = ["sos/OTHER", *tagged[:_WORDS], "eos/OTHER"]
    length = len(marked)
    marked += ["unk/OTHER"] * (_WORDS + 2 - length)
    vectors, kinds = [], np.zeros((len(marked), len(_KINDS)), dtype=np.float32)
    for row, item in enumerate(marked):
        word, _, kind = item.rpartition("/")
        known = word in words
        kind = _KIND_OF.get(word, kind) if known else "OTHER"
        kinds[row, _KINDS.index(kind if kind in _KINDS else "OTHER")] = 1.0
        vectors.append(words[word if known else "unk"])
    return np.stack(vectors), kinds, length


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dictionaries, words and numbers; refuses everything that would call code."""

    def find_class(self, module: str, name: str) -> Any:
        raise UnpicklingError(f"it holds {module}.{name}, which is not plain data")


def _read_states(file: Path) -> dict[str, dict[str, Tensor]]:
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {file}; check the path.") from None
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, UnpicklingError) as error:
        raise CheckpointError(
            f"{file} is not a readable evaluator ({type(error).__name__}); download it again."
        ) from error
    parts = ("movement_encoder", "motion_encoder", "text_encoder")
    if not isinstance(content, dict) or not all(isinstance(content.get(p), dict) for p in parts):
        raise CheckpointError(
            f"{file} is not the published evaluator: it needs {', '.join(parts)}."
        )
    return {part: content[part] for part in parts}


def _sizes(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Width and output size of a sequence encoder."""
    return state["input_emb.weight"].shape[0], state["output_net.3.weight"].shape[0]


def _skeleton_of(feature_size: int, file: Path) -> Skeleton:
    for skeleton in SKELETONS.values():
        if skeleton.feature_size == feature_size:
            return skeleton
    raise CheckpointError(f"{file} reads {feature_size} features, which no published skeleton has.")
