# SPDX-License-Identifier: GPL-3.0-or-later
"""A dataset's folder: made with those above it, replaced as a whole, its damage told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError, OutputError
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.dataset import Clip, Dataset, check_output, read_dataset, write_dataset


@pytest.fixture
def dataset() -> Dataset:
    features = np.random.default_rng(0).normal(size=(50, 263)).astype(np.float32)
    clip = Clip(
        *("a", "train", ("a person walks",), ("table",), "a.glb", 0, 51, 50),
        *("someone", "CC0-1.0", "a.glb", False),
    )
    mean, std = features.mean(axis=0), features.std(axis=0)
    return Dataset("clips", HUMANML3D, (clip,), {"a": features}, mean, std)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_above_are_made_and_only_when_writing(dataset: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "datasets" / "of" / "mine"
    check_output(place)
    assert not (tmp_path / "datasets").exists()
    write_dataset(dataset, place)
    np.testing.assert_array_equal(read_dataset(place).features["a"], dataset.features["a"])
    assert names(place.parent) == ["mine"]


def test_a_dataset_is_replaced_as_a_whole(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "mine"
    write_dataset(dataset, place)
    write_dataset(replace(dataset, name="other"), place)
    assert read_dataset(place).name == "other"
    assert names(tmp_path) == ["mine"]

    moved: list[Path] = []
    rename = Path.rename

    def refuse_the_second(self: Path, target: Path) -> Path:
        moved.append(self)
        if len(moved) == 2:
            raise OSError("the disk went away")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_second)
    with pytest.raises(OutputError, match="disk went away"):
        write_dataset(dataset, place)
    assert len(moved) == 3
    assert read_dataset(place).name == "other"  # the old one is back
    assert names(tmp_path) == ["mine"]


def test_other_files_are_not_replaced(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(dataset, tmp_path / "mine")
    for name in ("sheet.png", "READY"):
        (tmp_path / "mine" / name).write_text("")
        with pytest.raises(OutputError, match=f"other files .{name}"):
            write_dataset(dataset, tmp_path / "mine")
        (tmp_path / "mine" / name).unlink()


def test_damage_is_told(dataset: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    write_dataset(dataset, place)
    np.savez(place / "statistics.npz", std=dataset.std)
    with pytest.raises(InputError, match="needs mean and std"):
        read_dataset(place)
    for name in ("statistics.npz", "features.npz"):
        write_dataset(dataset, place)
        content = (place / name).read_bytes()
        for part in (content[: len(content) // 2], b"", content[:300] + b"?" + content[301:]):
            (place / name).write_bytes(part)
            with pytest.raises(InputError, match=f"{name} cannot be read"):
                read_dataset(place)
