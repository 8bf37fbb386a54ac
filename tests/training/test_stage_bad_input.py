# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be trained on is refused in a sentence, before training starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stage_sample import CONFIG

from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.checkpoint import read_tensors, write_tensors
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.skeleton import KIT
from training.config import Config, GPTTraining, VQVAETraining, read_config
from training.data.dataset import Dataset, read_dataset, write_dataset
from training.train_gpt import train_gpt
from training.train_vqvae import train_vqvae

SHORT = replace(CONFIG, vqvae=replace(CONFIG.vqvae, steps=2), gpt=replace(CONFIG.gpt, steps=2))


@pytest.fixture(scope="module")
def first(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_vqvae(SHORT, small_set, tmp_path_factory.mktemp("first"))


def changed(small_set: Path, folder: Path, change: Callable[[Dataset], Dataset]) -> Path:
    """The dataset with something else about it."""
    write_dataset(change(read_dataset(small_set)), folder / "changed")
    return folder / "changed"


def of_split(dataset: Dataset, **captions_or_split: object) -> Dataset:
    """All clips with other captions or in another split."""
    return replace(dataset, clips=tuple(replace(c, **captions_or_split) for c in dataset.clips))


def test_a_dataset_without_statistics(small_set: Path, first: Path, tmp_path: Path) -> None:
    shutil.copytree(small_set, tmp_path / "set")
    (tmp_path / "set" / "statistics.npz").unlink()
    for train in (
        lambda: train_vqvae(SHORT, tmp_path / "set", tmp_path / "run"),
        lambda: train_gpt(SHORT, tmp_path / "set", first, tmp_path / "run"),
    ):
        with pytest.raises(InputError, match=r"no statistics\.npz"):
            train()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_statistics_that_cannot_normalise(small_set: Path, tmp_path: Path, value: float) -> None:
    def spoil(dataset: Dataset) -> Dataset:
        std = dataset.std.copy()
        std[7] = value
        return replace(dataset, std=std)

    data = changed(small_set, tmp_path, spoil)
    with pytest.raises(InputError, match="cannot normalise column 7"):
        train_vqvae(SHORT, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_empty_split(small_set: Path, first: Path, tmp_path: Path) -> None:
    only_train = changed(small_set, tmp_path, lambda d: of_split(d, split="train"))
    with pytest.raises(InputError, match="no clip in its split 'val'"):
        train_vqvae(SHORT, only_train, tmp_path / "run")
    with pytest.raises(InputError, match="'val' has a caption"):
        train_gpt(SHORT, only_train, first, tmp_path / "run")
    silent = changed(small_set, tmp_path, lambda d: of_split(d, captions=(), caption_origins=()))
    with pytest.raises(InputError, match="'train' has a caption"):
        train_gpt(SHORT, silent, first, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stage_1_of_another_skeleton(small_set: Path, first: Path, tmp_path: Path) -> None:
    def on_kit(dataset: Dataset) -> Dataset:
        features = {name: array[:, :251] for name, array in dataset.features.items()}
        return replace(
            dataset, skeleton=KIT, features=features, mean=dataset.mean[:251], std=dataset.std[:251]
        )

    def of_a_child(dataset: Dataset) -> Dataset:
        assert HUMANML3D.bone_lengths is not None
        small = replace(HUMANML3D, name="child", bone_lengths=0.6 * HUMANML3D.bone_lengths)
        return replace(dataset, skeleton=small)

    for change, name in ((on_kit, "kit-21"), (of_a_child, "child")):
        data = changed(small_set, tmp_path, change)
        with pytest.raises(CheckpointError, match=f"the dataset has another \\({name}\\)"):
            train_gpt(SHORT, data, first, tmp_path / "run")
    own = train_vqvae(SHORT, data, tmp_path / "child")
    with pytest.raises(CheckpointError, match="is for the skeleton child"):
        train_gpt(SHORT, small_set, own, tmp_path / "run")


def test_a_file_that_is_no_stage_1(small_set: Path, first: Path, tmp_path: Path) -> None:
    tensors, metadata = read_tensors(first)
    tensors.pop("codebook.codes")
    write_tensors(tmp_path / "lacking.safetensors", tensors, metadata)
    encoder = Path(__file__).parents[2] / "t2m_blender" / "models" / "minilm.safetensors"
    for file in (tmp_path / "lacking.safetensors", encoder):
        with pytest.raises(CheckpointError, match="is not a stage 1 file"):
            train_gpt(SHORT, small_set, file, tmp_path / "run")


def test_text_encoders(
    small_set: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_encoder(name: str) -> Config:
        return replace(SHORT, model=replace(SHORT.model, text_encoder=name))

    with pytest.raises(CheckpointError, match="'python -m training fetch-clip' makes"):
        train_gpt(with_encoder("clap"), small_set, first, tmp_path / "run")
    with pytest.raises(CheckpointError, match="not a text encoder"):
        train_gpt(with_encoder("default"), small_set, first, tmp_path / "run")

    import training.train_gpt

    train_gpt(SHORT, small_set, first, tmp_path / "run")
    models = training.train_gpt.MODELS
    monkeypatch.setattr(training.train_gpt, "MODELS", tmp_path)
    tensors, metadata = read_tensors(models / "minilm.safetensors")
    other = {name: np.array(tensor) for name, tensor in tensors.items()}
    other["embedding_norm.bias"] += 0.01
    write_tensors(tmp_path / "minilm.safetensors", other, metadata)
    with pytest.raises(CheckpointError, match="other settings or data"):  # of another encoder
        train_gpt(SHORT, small_set, first, tmp_path / "run")


def test_windows_of_no_whole_tokens(small_set: Path, tmp_path: Path) -> None:
    odd = replace(SHORT, vqvae=replace(SHORT.vqvae, window=30))
    with pytest.raises(InputError, match="no whole number of tokens of 4"):
        train_vqvae(odd, small_set, tmp_path / "run")
    with pytest.raises(InputError, match="quantiser is 'emma'"):
        train_vqvae(replace(SHORT, vqvae_network={"quantiser": "emma"}), small_set, tmp_path / "r")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (VQVAETraining, "window", 0),
        (VQVAETraining, "path_weight", -1.0),
        (GPTTraining, "corruption", 1.5),
        (GPTTraining, "corruption", -0.5),
        (GPTTraining, "crop", 2.0),
        (GPTTraining, "text_dropout", -0.1),
        (GPTTraining, "distilled", -1.0),
        (GPTTraining, "end_later", 3.0),  # in what is distilled, which nothing is here
    ],
)
def test_settings_out_of_range(kind: type, name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=name):
        kind(**{name: value})
    stage = "vqvae" if kind is VQVAETraining else "gpt"
    (tmp_path / "bad.toml").write_text(f"[{stage}.training]\n{name} = {value}\n")
    with pytest.raises(InputError, match=rf"bad\.toml \[{stage}\.training\]: {name}"):
        read_config(str(tmp_path / "bad.toml"))


def test_choices_and_kinds(tmp_path: Path) -> None:
    for line, words in (
        ('reconstruction = "l3"', "it may be smooth_l1, l1, l2"),
        ('precision = "fp8"', "it may be fp32, bf16, fp16"),
        ('schedule = "linear"', "it may be cosine, drop"),
        ("deterministic = 1", "it is like False"),
        ("steps = true", "it is like 10000"),
        ("betas = [0.9]", "two numbers"),
    ):
        (tmp_path / "bad.toml").write_text(f"[vqvae.training]\n{line}\n")
        with pytest.raises(InputError, match=words):
            read_config(str(tmp_path / "bad.toml"))
