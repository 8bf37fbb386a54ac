# SPDX-License-Identifier: GPL-3.0-or-later
"""Model files: what is written comes back; what is damaged is refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.checkpoint import (
    WidenedTensors,
    narrow,
    read_checkpoint,
    read_tensors,
    write_tensors,
)
from t2m_blender.engine.errors import CheckpointError, OutputError
from t2m_blender.engine.generate import MODELS, load_model

DEFAULT = MODELS / "default.safetensors"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    tensors = {
        "a": np.arange(12, dtype=np.float32).reshape(3, 4),
        "b": np.array(True),
        "c": np.arange(5, dtype=np.float16),
        "d": np.zeros((0, 3), dtype=np.int64),
    }
    write_tensors(path, tensors, {"note": "ünïcode"})
    return path


def test_round_trip(small: Path) -> None:
    tensors, metadata = read_tensors(small)
    assert metadata == {"note": "ünïcode"}
    assert tensors["a"].dtype == np.float32
    assert np.array_equal(tensors["a"], np.arange(12).reshape(3, 4))
    assert tensors["b"].shape == () and bool(tensors["b"])
    assert tensors["d"].shape == (0, 3)
    with pytest.raises(ValueError, match="read-only"):
        tensors["a"][0] = 1.0


def test_others_can_read_our_files(small: Path) -> None:
    numpy_reader = pytest.importorskip("safetensors.numpy", reason="needs the safetensors package")
    theirs = numpy_reader.load_file(small)
    ours, _ = read_tensors(small)
    assert theirs.keys() == ours.keys()
    assert all(np.array_equal(theirs[name], ours[name]) for name in ours)


def test_int8_rows_come_back_within_half_a_step() -> None:
    matrix = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    rows, scale = narrow(matrix)
    assert rows.dtype == np.int8
    wide = WidenedTensors({"m": rows, "m.scale": scale})
    assert list(wide) == ["m"]
    assert np.all(np.abs(wide["m"] - matrix) <= 0.5001 * scale[:, None])


@pytest.mark.parametrize("length", [0, 4, 8, 40, -1, -20])
def test_truncated_files_are_refused(small: Path, length: int) -> None:
    small.write_bytes(small.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"download|damaged|truncated"):
        read_tensors(small)


@pytest.mark.parametrize(
    "row",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [1 << 60, (1 << 60) + 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": 3, "data_offsets": [0, 4]},
        ["F32"],
        None,
    ],
)
def test_lying_headers_are_refused(tmp_path: Path, row: object) -> None:
    header = json.dumps({"x": row}).encode()
    path = tmp_path / "lying.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(CheckpointError, match="'x'"):
        read_tensors(path)


def test_a_header_of_ten_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    path.write_bytes((10 * 2**30).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="truncated"):
        read_tensors(path)


def test_other_files_are_no_models(small: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a t2m_blender model"):
        read_checkpoint(small)
    with pytest.raises(CheckpointError, match="no model named 'nothing'"):
        load_model("nothing")
    with pytest.raises(CheckpointError, match="no model file"):
        load_model(tmp_path / "missing.safetensors")


def test_unwritable_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_tensors(tmp_path / "missing" / "file.safetensors", {}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_changed_configuration_is_refused(tmp_path: Path) -> None:
    stored, metadata = read_tensors(DEFAULT)
    config = json.loads(metadata["config"])
    config["gpt"]["width"] *= 2
    path = tmp_path / "changed.safetensors"
    write_tensors(path, stored, {**metadata, "config": json.dumps(config)})
    with pytest.raises(CheckpointError, match="does not fit its own configuration"):
        load_model(path)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("gpt", None),
        ("gpt", {"heads": 0}),
        ("gpt", {"heads": 5}),
        ("gpt", {"unknown": 1}),
        ("vqvae", {"width": "wide"}),
        ("sampling", []),
        ("sampling", {"guidance": "strong", "temperature": 1.0, "top_p": 1.0}),
        ("sampling", {"guidance": 1.0}),
        ("skeleton", "dog"),
        ("skeleton", "kit-21"),
        ("text_encoder", "missing"),
    ],
)
def test_damaged_configurations_are_refused(tmp_path: Path, part: str, value: object) -> None:
    stored, metadata = read_tensors(DEFAULT)
    config = json.loads(metadata["config"])
    if isinstance(value, dict) and part != "sampling":
        config[part] |= value
    else:
        config[part] = value
    path = tmp_path / "changed.safetensors"
    write_tensors(path, stored, {**metadata, "config": json.dumps(config)})
    with pytest.raises(CheckpointError):
        load_model(path)


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """A small file could otherwise fill the memory."""
    row = {"dtype": "I8", "shape": [1024], "data_offsets": [0, 1024]}
    header = json.dumps({f"x{i}": row for i in range(50)}).encode()
    path = tmp_path / "overlapping.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(1024))
    with pytest.raises(CheckpointError, match="overlap"):
        read_tensors(path)


def test_statistics_of_another_size_are_refused(tmp_path: Path) -> None:
    stored, metadata = read_tensors(DEFAULT)
    path = tmp_path / "changed.safetensors"
    write_tensors(path, {**stored, "statistics.mean": np.zeros(7, np.float32)}, metadata)
    with pytest.raises(CheckpointError, match="statistics"):
        load_model(path)
