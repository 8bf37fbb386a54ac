# SPDX-License-Identifier: GPL-3.0-or-later
"""Our evaluator: what it reads, what it learns, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluator_sample import CONFIG, COUNTS, write_model, write_set

import training.evaluator
from t2m_blender.engine.checkpoint import read_tensors, write_tensors
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.generate import MODELS
from t2m_blender.engine.skeleton import HUMANML3D, KIT, Skeleton
from t2m_blender.engine.text import TextEncoder
from training.__main__ import main
from training.config import EvaluatorTraining, read_config
from training.data.dataset import Dataset, read_dataset
from training.evaluator import EvaluatorConfig, read_columns, read_evaluator
from training.metrics import as_rows, match_resampled
from training.train_evaluator import CaptionedMotion, contrast, train_evaluator, varied


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("waves") / "set"
    write_set(folder)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_evaluator(CONFIG, data, tmp_path_factory.mktemp("run"))


def top3(file: Path, dataset: Dataset) -> float:
    """R-Precision top 3 of real test motion, which the evaluator has never seen."""
    evaluator = read_evaluator(file)
    clips = dataset.split("test")
    text = evaluator.embed_text([caption for clip in clips for caption in clip.captions])
    motion = evaluator.embed_motion([dataset.features[clip.id] for clip in clips])
    rows = np.repeat(np.arange(len(clips)), 2)
    generator = np.random.default_rng(0)
    matching = match_resampled(as_rows(text), as_rows(motion)[rows], rows, generator)
    return float(matching.r_precision[2])


def test_it_finds_test_motion_by_its_caption(data: Path, trained: Path) -> None:
    """Ten deeds: in a pool of 32, three or four share one; three times chance is the least."""
    dataset = read_dataset(data)
    assert top3(trained, dataset) > 6 * 3 / 32
    names = list(dataset.features)
    shuffled = np.random.default_rng(0).permutation(names)
    features = {
        name: dataset.features[str(other)] for name, other in zip(names, shuffled, strict=True)
    }
    assert top3(trained, replace(dataset, features=features)) < 3 * 3 / 32


def test_kit_is_no_other_matter(tmp_path: Path) -> None:
    dataset = write_set(tmp_path / "set", KIT)
    file = train_evaluator(CONFIG, tmp_path / "set", tmp_path / "run")
    assert read_evaluator(file).skeleton is KIT
    assert top3(file, dataset) > 3 * 3 / 32


def test_embeddings_do_not_depend_on_company(data: Path, trained: Path) -> None:
    evaluator = read_evaluator(trained)
    clips = [array[: 17 + 3 * k] for k, array in enumerate(read_dataset(data).features.values())]
    together = evaluator.embed_motion(clips[:9])
    for clip, row in zip(clips, together, strict=False):
        np.testing.assert_allclose(evaluator.embed_motion([clip])[0], row, atol=1e-5)
    captions = ["a person walks", "someone jumps up and down many times in a row", "!"]
    together = evaluator.embed_text(captions)
    for caption, row in zip(captions, together, strict=True):
        np.testing.assert_allclose(evaluator.embed_text([caption])[0], row, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    with pytest.raises(InputError, match="at least 4 frames"):
        evaluator.embed_motion([clips[0][:3]])


@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda skeleton: skeleton.name)
def test_it_reads_what_is_animated(skeleton: Skeleton) -> None:
    joints = skeleton.joint_count
    columns = read_columns(skeleton)
    assert len(columns) == 4 + 3 * (joints - 1) + 3 * joints
    assert columns[:5].tolist() == [0, 1, 2, 3, 4]
    assert columns[-1] == skeleton.feature_size - 5  # all but the contacts behind it


def test_rotations_and_contacts_do_not_count(data: Path, trained: Path) -> None:
    evaluator = read_evaluator(trained)
    clip = read_dataset(data).features["test000"]
    other = clip.copy()
    others = np.setdiff1d(np.arange(263), read_columns(HUMANML3D))
    other[:, others] += 1.0
    np.testing.assert_array_equal(*(evaluator.embed_motion([c]) for c in (clip, other)))
    other[:, 0] += 1.0
    assert not np.allclose(*(evaluator.embed_motion([c]) for c in (clip, other)), atol=1e-3)


def test_contrast_by_hand() -> None:
    """Two rows and one left out: the softmax is over what counts."""
    settings = EvaluatorTraining(temperature=0.5)
    text, motion = torch.eye(3)[:, :2], torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    left_out = torch.eye(3, dtype=torch.bool)
    left_out[0, 2] = left_out[2, 0] = True
    scores = (text @ motion.T / 0.5).tolist()

    def term(own: float, *others: float) -> float:
        return float(np.log(sum(np.exp(s) for s in (own, *others))) - own)

    s = scores
    by_text = term(s[0][0], s[0][1]) + term(s[1][1], s[1][0], s[1][2]) + term(s[2][2], s[2][1])
    by_motion = term(s[0][0], s[1][0]) + term(s[1][1], s[0][1], s[2][1]) + term(s[2][2], s[1][2])
    found = float(contrast(text, motion, left_out, settings))
    assert abs(found - (by_text + by_motion) / 6) < 1e-6


def test_captions_alike_are_no_wrong_answers_but_other_sides_are(data: Path) -> None:
    dataset = read_dataset(data)
    captions = (
        "a man walks",
        "a person is walking",
        "he swims",
        "a person kicks with the left leg",
        "a person kicks with the right leg",
    )
    clips = dataset.split("train")[:5]
    dataset = replace(
        dataset,
        clips=tuple(replace(clip, captions=(c,)) for clip, c in zip(clips, captions, strict=True)),
    )
    encoder = TextEncoder.load(MODELS / "minilm.safetensors")
    config = EvaluatorConfig(feature_size=len(read_columns(HUMANML3D)))
    pairs = CaptionedMotion(dataset, "train", encoder, config)
    rows = torch.tensor([pairs.captions[k][0] for k in range(5)])
    alike = pairs.alike(torch.arange(5), rows, 0.7)
    assert alike[0, 1]
    assert not alike[0, 2]
    assert not alike[3, 4]
    pooled = pairs.text.pooled[rows]
    assert pooled[3] @ pooled[4] > 0.9  # to the text encoder they are nearly one
    assert pairs.alike(torch.tensor([0, 1, 0, 2, 3]), rows, 0.7)[0, 2]  # one clip


def test_samples_are_cut_and_shifted() -> None:
    motion = np.arange(100.0, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    settings = EvaluatorTraining(shortest_cut=0.7, shift=0.0)
    generator = np.random.default_rng(0)
    lengths = set()
    for _ in range(50):
        cut = varied(motion, settings, generator)
        lengths.add(len(cut))
        np.testing.assert_array_equal(cut, motion[int(cut[0, 0]) :][: len(cut)])
    assert min(lengths) >= 70
    assert len(lengths) > 10
    assert len(varied(motion[:30], settings, generator)) == 30
    shifted = varied(motion[:30], replace(settings, shift=0.1), generator) - motion[:30]
    assert 0.0 < np.abs(shifted).max() < 1.0
    np.testing.assert_allclose(shifted, np.broadcast_to(shifted[0], shifted.shape), atol=1e-5)


def test_a_file_tells_all_that_it_needs(data: Path, trained: Path, tmp_path: Path) -> None:
    dataset = read_dataset(data)
    tensors, metadata = read_tensors(trained)
    np.testing.assert_array_equal(tensors["statistics.std"], dataset.std)
    content = json.loads(metadata["config"])
    assert content["skeleton"] == "humanml3d-22"
    assert content["origin"] == "trained on waves with tiny"
    evaluator = read_evaluator(trained)
    assert evaluator.embedding_size == 16
    assert len(evaluator.sha256) == 64

    def spoilt(change: dict[str, object]) -> Path:
        file = tmp_path / "spoilt.safetensors"
        config = json.dumps({**content, **change})
        write_tensors(file, dict(tensors), {**metadata, "config": config})
        return file

    with pytest.raises(CheckpointError, match="another text encoder"):
        read_evaluator(spoilt({"text_encoder_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_evaluator(spoilt({"network": {**content["network"], "width": 64}}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_evaluator(spoilt({"skeleton": "kit-21"}))
    write_model(tmp_path / "model.safetensors", dataset)
    with pytest.raises(CheckpointError, match="not an evaluator of ours"):
        read_evaluator(tmp_path / "model.safetensors")
    (tmp_path / "half.safetensors").write_bytes(trained.read_bytes()[:2000])
    with pytest.raises(CheckpointError):
        read_evaluator(tmp_path / "half.safetensors")


def test_the_same_seed_gives_the_same_file(data: Path, trained: Path, tmp_path: Path) -> None:
    again = train_evaluator(CONFIG, data, tmp_path)
    assert again.read_bytes() == trained.read_bytes()


def test_bad_input_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def error(counts: dict[str, int], *more: str) -> str:
        folder = tmp_path / "-".join(map(str, counts.values()))
        if not folder.exists():
            write_set(folder, counts=counts)
        if "no statistics" in more:
            (folder / "statistics.npz").unlink()
        options = [text for text in more if text != "no statistics"]
        arguments = ["train-evaluator", str(folder), "-o", str(tmp_path / "run"), *options]
        assert main(arguments) == 2
        return capsys.readouterr().err

    assert "Only 31 clips" in error({"train": 31, "val": 5})
    assert "split 'val'" in error({"train": 40, "val": 0})
    assert "two or more" in error({"train": 40, "val": 1})
    assert "nonsense" in error(COUNTS, "--device", "nonsense")
    assert "statistics.npz" in error(COUNTS, "no statistics")
    bad = tmp_path / "bad.toml"
    for text, words in (
        ("[evaluator.training]\nalike = 3.0\n", "alike"),
        ("[evaluator.training]\ntemprature = 0.1\n", "temprature"),
        ("[evaluator.networks]\n", "networks"),
    ):
        bad.write_text(text)
        with pytest.raises(InputError, match=words):
            read_config(str(bad))
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(training.evaluator, "TEXT_ENCODER", "missing")
    with pytest.raises(CheckpointError):
        training.evaluator.read_evaluator(tmp_path / "missing.safetensors")
