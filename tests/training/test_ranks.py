# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes (gloo, on the CPU) take the steps that one would take on the same whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stage_sample import CONFIG, log, write_random_set
from torch import nn

import training.loop
import training.train_gpt
import training.train_vqvae

STEPS = 20
# Nothing is dropped: each process drops at random by itself.
SETTINGS = replace(
    CONFIG,
    vqvae=replace(CONFIG.vqvae, steps=STEPS, validate_every=STEPS, learning_rate=1e-3),
    gpt_network={**CONFIG.gpt_network, "dropout": 0.0, "attention_dropout": 0.0},
    gpt=replace(CONFIG.gpt, steps=STEPS, validate_every=STEPS),
)
QUANTISERS = {
    "ema_reset": {"codebook_size": 32, "levels": 2},
    "plain": {"codebook_size": 32},
    # more codes than a batch has tokens: rows are repeated with noise, so that rounding decides
    # which of two near ones is chosen, and two processes equal each other but not always one
    "reset": {"codebook_size": 256},
}


def train_all(data: Path, folder: Path) -> None:
    """Every stage; each process leaves its networks behind."""
    training.loop._REPORT_EVERY = 1
    rank = os.environ.get("RANK", "0")

    def watched(network: nn.Module, settings: object, run: Path, **options: object) -> None:
        training.loop.train(network, settings, run, **options)
        torch.save(network.state_dict(), folder / f"{run.name}-{rank}.pt")

    training.train_vqvae.train = training.train_gpt.train = watched
    for name, sizes in QUANTISERS.items():
        config = replace(
            SETTINGS, vqvae_network={**CONFIG.vqvae_network, "quantiser": name, **sizes}
        )
        training.train_vqvae.train_vqvae(config, data, folder / name)
    for mean_over in ("tokens", "clips"):
        config = replace(SETTINGS, gpt=replace(SETTINGS.gpt, mean_over=mean_over))
        first = folder.parent / "first.safetensors"
        training.train_gpt.train_gpt(config, data, first, folder / f"gpt-{mean_over}")


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs libuv there")
def test_two_processes_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    data = tmp_path / "set"
    write_random_set(data)
    first = training.train_vqvae.train_vqvae(
        replace(SETTINGS, vqvae=replace(SETTINGS.vqvae, steps=3)), data, tmp_path / "first"
    )
    first.rename(tmp_path / "first.safetensors")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {os.getcwd()!r}]\n"
        "import test_ranks; from pathlib import Path\n"
        f"test_ranks.train_all(Path({str(data)!r}), Path({str(tmp_path / 'two')!r}))\n"
    )
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = subprocess.Popen(
        [sys.executable, *launch, str(script)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    for module in (training.loop, training.train_vqvae, training.train_gpt):
        for name in ("_REPORT_EVERY", "train"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end
    train_all(data, tmp_path / "one")
    output, _ = both.communicate(timeout=300)
    assert both.returncode == 0, output.decode()[-4000:]

    for name in (*QUANTISERS, "gpt-tokens", "gpt-clips"):
        rows = [
            [row for row in log(tmp_path / where / name) if "loss" in row]
            for where in ("one", "two")
        ]
        assert len(rows[0]) == len(rows[1]) == STEPS
        for one, two in zip(*rows, strict=True) if name != "reset" else ():
            assert abs(one["loss"] - two["loss"]) < 1e-5, (name, one, two)
        states = [torch.load(tmp_path / "two" / f"{name}-{rank}.pt") for rank in (0, 1)]
        for key, value in states[0].items():
            assert torch.equal(value, states[1][key]), f"{name}: {key} differs between processes"
        alone = torch.load(tmp_path / "one" / f"{name}-0.pt")
        codes = [key for key in alone if "codes" in key]
        assert bool(codes) == (name in QUANTISERS)
        for key in codes if name != "reset" else ():
            assert np.abs((alone[key] - states[0][key]).numpy()).max() < 1e-4
