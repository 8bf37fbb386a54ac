# SPDX-License-Identifier: GPL-3.0-or-later
"""The published evaluator: against the reference, from files in its layout, and on damaged ones."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from t2m_blender.engine.errors import CheckpointError, InputError
from training.data.dataset import Clip
from training.official_evaluator import OfficialEvaluator, load_official, read_glove, word_rows

FILE = "evaluator_small_official.tar"
WORDS = ["unk", "sos", "eos", "a", "man", "walks", "walk", "left", "slowly", "hand"]


@pytest.fixture(scope="module")
def glove(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vocabulary files as published, of ten words."""
    folder = tmp_path_factory.mktemp("glove")
    vectors = np.random.default_rng(0).standard_normal((len(WORDS), 300))
    np.save(folder / "our_vab_data.npy", vectors)
    (folder / "our_vab_words.pkl").write_bytes(pickle.dumps(WORDS))
    index = {word: k for k, word in enumerate(WORDS)}
    (folder / "our_vab_idx.pkl").write_bytes(pickle.dumps(index))
    return folder


@pytest.fixture
def statistics(tmp_path: Path) -> Path:
    folder = tmp_path / "meta"
    folder.mkdir()
    np.save(folder / "mean.npy", np.full(263, 0.5))
    np.save(folder / "std.npy", np.full(263, 2.0))
    return folder


def clip(name: str, caption: str) -> Clip:
    return Clip(name, "test", (caption,), ("",), name, 0, 40, 40, "", "", "", name.startswith("M"))


def test_embeddings_equal_the_reference(parity: Path) -> None:
    plain = {"mean": np.zeros(263, np.float32), "std": np.ones(263, np.float32)}
    evaluator = OfficialEvaluator(parity / FILE, **plain, words={}, tagged={})
    with np.load(parity / "evaluator_small.npz") as file:
        given = {name: torch.from_numpy(file[name]) for name in file.files}
    with torch.no_grad():
        movements = evaluator.movement(given["motions"][..., :-4])
        motion = evaluator.embed_normalised(given["motions"], given["motion_lengths"] // 4)
        text = evaluator.text(
            given["word_embeddings"], given["caption_lengths"], given["pos_onehot"]
        )
    torch.testing.assert_close(movements, given["movements"], rtol=0, atol=1e-4)
    torch.testing.assert_close(motion, given["motion_embeddings"], rtol=0, atol=1e-4)
    torch.testing.assert_close(text, given["text_embeddings"], rtol=0, atol=1e-4)
    assert evaluator.embedding_size == 32
    assert evaluator.skeleton.name == "humanml3d-22"


def test_from_files_as_published(
    parity: Path, tmp_path: Path, glove: Path, statistics: Path
) -> None:
    """Own statistics, clips padded to 196 frames, captions by their tagged words."""
    (tmp_path / "texts").mkdir()
    lines = {
        "000001": "A man walks slowly.#a/DET man/NOUN walk/VERB slowly/ADV#0.0#0.0\n",
        "M000002": "left hand#left/ADJ hand/NOUN#1.0#3.0\n",
    }
    for name, line in lines.items():
        (tmp_path / "texts" / f"{name}.txt").write_text(line)
    evaluator = load_official(
        parity / FILE,
        statistics=statistics,
        glove=glove,
        texts=tmp_path,
        clips=[clip("000001", "A man walks slowly."), clip("M000002a", "left hand")],
    )
    captions = ["A man walks slowly.", "left hand"]
    text = evaluator.embed_text(captions)
    rows = word_rows("a/DET man/NOUN walk/VERB slowly/ADV".split(), read_glove(glove))
    with torch.no_grad():
        direct = evaluator.text(
            torch.from_numpy(rows[0])[None],
            torch.tensor([rows[2]]),
            torch.from_numpy(rows[1])[None],
        )
    np.testing.assert_allclose(text[0], direct[0].numpy(), atol=1e-6)

    generator = np.random.default_rng(1)
    clips = [generator.standard_normal((n, 263)).astype(np.float32) for n in (199, 62, 40)]
    together = evaluator.embed_motion(clips)
    for array, row in zip(clips, together, strict=True):
        np.testing.assert_allclose(evaluator.embed_motion([array])[0], row, atol=1e-5)
    normal = torch.zeros(1, 196, 263)
    normal[0, :60] = torch.from_numpy((clips[1][:60] - 0.5) / 2.0)
    with torch.no_grad():
        direct = evaluator.embed_normalised(normal, torch.tensor([15]))
    np.testing.assert_allclose(together[1], direct[0].numpy(), atol=1e-5)
    with pytest.raises(InputError, match="parts of speech of 'a dog'"):
        evaluator.embed_text(["a dog"])
    with pytest.raises(InputError, match="at least 4 frames"):
        evaluator.embed_motion([clips[0][:3]])


def test_words(glove: Path) -> None:
    """Marks around at most 20 words; kinds of its own; unknown words are OTHER."""
    words = read_glove(glove)
    vectors, kinds, length = word_rows(["walk/VERB", "left/ADJ", "zebra/NOUN", "man/NOUN"], words)
    assert vectors.shape == (22, 300)
    assert length == 6
    names = "VERB NOUN DET ADP NUM AUX PRON ADJ ADV Loc Body Obj Act Desc OTHER".split()
    found = [names[k] for k in kinds[:6].argmax(axis=1)]
    assert found == ["OTHER", "Act", "Loc", "OTHER", "NOUN", "OTHER"]
    assert (kinds.sum(axis=1) == 1.0).all()
    np.testing.assert_array_equal(vectors[3], words["unk"])
    np.testing.assert_array_equal(vectors[5], words["eos"])
    long = word_rows(["man/NOUN"] * 30, words)
    assert long[2] == 22
    np.testing.assert_array_equal(long[0][21], words["eos"])
    strange = word_rows(["man/XYZ"], words)
    assert strange[1][1, -1] == 1.0


def test_bad_files_are_named(parity: Path, tmp_path: Path, glove: Path, statistics: Path) -> None:
    (tmp_path / "texts").mkdir()

    def load(
        file: Path = parity / FILE, meta: Path = statistics, words: Path = glove
    ) -> OfficialEvaluator:
        return load_official(file, statistics=meta, glove=words, texts=tmp_path, clips=[])

    load()
    with pytest.raises(CheckpointError, match="no file"):
        load(tmp_path / "no.tar")
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes((parity / FILE).read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="download it again"):
        load(damaged)
    with pytest.raises(CheckpointError, match="needs movement_encoder"):
        load(parity / "vqvae_small_official.pth")
    other = tmp_path / "other.tar"
    state = torch.load(parity / FILE, weights_only=True)
    del state["motion_encoder"]["gru.bias_hh_l0"]
    torch.save(state, other)
    with pytest.raises(CheckpointError, match=r"gru\.bias_hh_l0"):
        load(other)
    with pytest.raises(InputError, match=r"mean\.npy and std\.npy"):
        load(meta=glove)
    with pytest.raises(InputError, match=r"our_vab_words\.pkl"):
        load(words=statistics)
    np.save(statistics / "mean.npy", np.zeros(251))
    with pytest.raises(InputError, match="263 features"):
        load()


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("run",))


def test_pickles_that_call_code_are_refused(
    glove: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("our_vab_data.npy", "our_vab_idx.pkl"):
        (tmp_path / name).write_bytes((glove / name).read_bytes())
    (tmp_path / "our_vab_words.pkl").write_bytes(pickle.dumps([_Code()]))
    with pytest.raises(InputError, match="not plain data"):
        read_glove(tmp_path)
    assert capsys.readouterr().out == ""
