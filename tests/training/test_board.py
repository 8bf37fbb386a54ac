# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorBoard shows the curves of both stages and what the networks do."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stage_sample import CONFIG, log

from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.errors import RuntimeMissingError
from t2m_blender.engine.skeleton import KIT
from training.board import Board, motion_picture
from training.train_gpt import train_gpt
from training.train_vqvae import train_vqvae

SHORT = replace(
    CONFIG,
    vqvae=replace(CONFIG.vqvae, steps=6, validate_every=3),
    gpt=replace(CONFIG.gpt, steps=6, validate_every=3),
)


def test_curves_and_motions_of_both_stages(small_set: Path, tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = train_vqvae(SHORT, small_set, tmp_path / "vqvae", board=True)
    train_gpt(SHORT, small_set, first, tmp_path / "gpt", board=True)
    for stage, picture, curve in (
        ("vqvae", "reconstruction", "mpjpe_mm"),
        ("gpt", "generated", "accuracy"),
    ):
        events = reading.EventAccumulator(
            str(tmp_path / stage / "board"), size_guidance={"images": 0, "scalars": 0}
        )
        events.Reload()
        rows = [row for row in log(tmp_path / stage) if f"val_{curve}" in row]
        shown = events.Scalars(f"val/{curve}")
        assert [event.step for event in shown] == [3, 6]
        assert np.allclose([e.value for e in shown], [r[f"val_{curve}"] for r in rows], atol=1e-3)
        assert [event.step for event in events.Scalars("train/loss")] == [6]
        images = events.Images(picture)
        assert [event.step for event in images] == [3, 6]
        pixels = np.array(Image.open(io.BytesIO(images[-1].encoded_image_string)))
        assert pixels.shape[1:] == (600, 3)
        assert (pixels != 255).any(axis=(1, 2)).mean() > 0.5  # figures, not an empty page


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RuntimeMissingError, match="pip install tensorboard"):
        Board(tmp_path, 0)


@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda skeleton: skeleton.name)
def test_a_picture_shows_where_a_motion_is_higher(skeleton: object) -> None:
    random = np.random.default_rng(0)
    low = np.abs(0.1 * random.normal(size=(20, skeleton.joint_count, 3)))
    high = low + [0.0, 1.5, 0.0]
    picture = motion_picture({"low": low, "high": high}, skeleton)
    assert picture.dtype == np.uint8
    height = len(picture) // 2
    drawn = [(picture[i * height : (i + 1) * height] < 200).any(axis=2) for i in (0, 1)]
    centres = [np.average(np.arange(height), weights=rows.sum(axis=1)) for rows in drawn]
    assert centres[1] < centres[0] - 10
