# SPDX-License-Identifier: GPL-3.0-or-later
"""CLIP is downloaded on command, verified, and made into an encoder file; or nothing is left."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from t2m_blender.engine.checkpoint import file_sha256
from t2m_blender.engine.text import TextEncoder
from training import import_clip
from training.__main__ import main

MERGES = ("w a", "l k</w>", "wa lk</w>")
WIDTH = 64


class Published(nn.Module):
    """A module whose state has the names of the published one, of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(512 + len(MERGES) + 2, WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(77, WIDTH))
        self.text_projection = nn.Parameter(torch.randn(WIDTH, 32))
        self.ln_final = nn.LayerNorm(WIDTH)
        block = nn.Module()
        block.attn = nn.MultiheadAttention(WIDTH, 1)
        block.ln_1, block.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        block.mlp = nn.Module()
        block.mlp.c_fc, block.mlp.c_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList([block])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.text_projection


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    torch.manual_seed(0)
    torch.jit.script(Published()).save(str(folder / "ViT-B-32.pt"))
    lines = "\n".join(("#version", *MERGES, "not known"))
    (folder / import_clip.VOCABULARY_FILE).write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setattr(import_clip, "MERGES", len(MERGES))
    monkeypatch.setattr(import_clip, "WEIGHTS_SHA256", file_sha256(folder / "ViT-B-32.pt"))
    vocabulary = file_sha256(folder / import_clip.VOCABULARY_FILE)
    monkeypatch.setattr(import_clip, "VOCABULARY_SHA256", vocabulary)
    return folder


def test_fetched_verified_and_loaded(published: Path, tmp_path: Path) -> None:
    output = tmp_path / "clip.safetensors"
    arguments = ["--url", (published / "ViT-B-32.pt").as_uri(), "-o", str(output)]
    arguments += ["--vocabulary", str(published / import_clip.VOCABULARY_FILE)]
    assert main(["fetch-clip", *arguments]) == 0
    encoder = TextEncoder.load(output)
    features = encoder.encode(["walk walk", "w"], 5)
    assert features.pooled.shape == (2, 32)
    assert np.isfinite(features.pooled).all()
    assert features.mask.sum(axis=1).tolist() == [2, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.safetensors", "web"]


def test_nothing_is_left_of_a_failure(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "clip.safetensors"
    weights = published / "ViT-B-32.pt"
    common = ["-o", str(output), "--vocabulary", str(published / import_clip.VOCABULARY_FILE)]
    assert main(["fetch-clip", "--url", (tmp_path / "no.pt").as_uri(), *common]) == 2
    assert "could not be fetched" in capsys.readouterr().err
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert main(["fetch-clip", "--url", weights.as_uri(), *common]) == 2
    assert "sha256" in capsys.readouterr().err
    nowhere = ["-o", str(tmp_path / "nowhere" / "clip.safetensors"), *common[2:]]
    assert main(["fetch-clip", "--url", weights.as_uri(), *nowhere]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert (
        main(["fetch-clip", "--url", weights.as_uri(), *common[:2], "--vocabulary", "no.gz"]) == 2
    )
    assert "no.gz" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["web"]
