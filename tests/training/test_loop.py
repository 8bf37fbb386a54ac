# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop on a small network: schedules, precision, accumulation, exact repetition,
and processes that are killed.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import training.loop
from t2m_blender.engine.errors import CheckpointError, InputError, RuntimeMissingError
from training.config import Optimisation
from training.loop import learning_rate_factor, train
from training.ranks import Ranks

HERE = Path(__file__).resolve().parent
SETTINGS = Optimisation(
    batch_size=8, steps=40, learning_rate=0.05, warm_up=5, average=0.9, validate_every=10
)


class Toy(nn.Module):
    """A network with the kinds of parts that ours have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter = nn.Linear(6, 16)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.leave = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.enter(x))
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        y: Tensor = self.leave(x)
        return y


def run(folder: Path, settings: Optimisation = SETTINGS, *, rows: int = 8) -> dict[str, Tensor]:
    """Trains a toy to foretell the sum of its inputs; the averaged weights kept last."""
    network = Toy()
    kept: dict[str, Tensor] = {}

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        x = torch.from_numpy(generator.standard_normal((rows, 6)).astype(np.float32))
        error = (network(x).float() - x.sum(dim=1, keepdim=True)).square().mean()
        return error, {"root": math.sqrt(float(error.detach()))}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        x = torch.linspace(-1, 1, 60).view(10, 6)
        error = float((averaged(x) - x.sum(dim=1, keepdim=True)).square().mean())
        return error, {"error": error}

    def keep(averaged: nn.Module) -> None:
        kept.update({name: value.clone() for name, value in averaged.state_dict().items()})

    train(network, settings, folder, made_of={}, loss=loss, validate=validate, keep=keep)
    return kept


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def state(folder: Path) -> bytes:
    """All that a run would go on from."""
    content = torch.load(folder / "state.pt", weights_only=True)
    parts = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                collect(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                collect(one)
        else:
            is_tensor = isinstance(value, torch.Tensor)
            parts.append(value.numpy().tobytes() if is_tensor else repr(value).encode())

    collect(content)
    return b"".join(parts)


def test_schedules() -> None:
    warm = replace(SETTINGS, steps=110, warm_up=10)
    assert [learning_rate_factor(step, warm) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert abs(learning_rate_factor(60, warm) - 0.51) < 1e-9
    assert abs(learning_rate_factor(110, warm) - 0.02) < 1e-9
    paper = replace(warm, schedule="drop", drop_at=70, drop_to=0.05)
    factors = [learning_rate_factor(step, paper) for step in (0, 10, 69, 70, 109)]
    assert factors == [0.1, 1.0, 1.0, 0.05, 0.05]


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", rows=8)
    parts = run(tmp_path / "parts", replace(SETTINGS, accumulation=4), rows=2)
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=1e-5), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bits_learn_as_32_do(tmp_path: Path, precision: str) -> None:
    run(tmp_path / "fp32")
    kept = run(tmp_path / precision, replace(SETTINGS, precision=precision))
    assert {value.dtype for value in kept.values()} == {torch.float32}
    losses = [rows_of(tmp_path / name)[-2]["loss"] for name in ("fp32", precision)]
    assert losses[0] != losses[1]
    assert abs(losses[0] - losses[1]) < 0.2 * losses[0]
    scale = torch.load(tmp_path / precision / "state.pt", weights_only=True)["scale"]
    assert bool(scale) == (precision == "fp16")


def test_compiled_parts_compute_the_same(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", replace(SETTINGS, steps=5))
    compiled = run(tmp_path / "compiled", replace(SETTINGS, steps=5, compiler="aot_eager"))
    for name, value in plain.items():
        assert torch.allclose(value, compiled[name], atol=1e-6), name
    with pytest.raises(InputError, match="inductor"):
        run(tmp_path / "wrong", replace(SETTINGS, compiler="gcc"))


@pytest.mark.parametrize(("kept", "times"), [("best", 2), ("last", 4)])
def test_best_or_last_weights_are_kept(tmp_path: Path, kept: str, times: int) -> None:
    scores, found = iter([3.0, 1.0, 2.0, 1.5]), []
    network = Toy()

    def loss(generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return network(torch.zeros(1, 6)).sum(), {}

    def validate(averaged: nn.Module) -> tuple[float, dict[str, float]]:
        return next(scores), {}

    def keep(averaged: nn.Module) -> None:
        found.append([float(v.sum()) for v in averaged.state_dict().values()])

    settings = replace(SETTINGS, kept=kept)
    train(network, settings, tmp_path, made_of={}, loss=loss, validate=validate, keep=keep)
    assert len(found) == times
    assert len({tuple(weights) for weights in found}) == times


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(InputError, match="lower learning_rate"),
    ):
        run(tmp_path, replace(SETTINGS, learning_rate=1e38))
    assert not (tmp_path / "state.pt").exists()


def test_sigterm_saves_and_the_mean_goes_on_within_its_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "whole")
    backward = torch.Tensor.backward
    steps = 0

    def counted(*arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 17:
            signal.raise_signal(signal.SIGTERM)
        backward(*arguments)

    monkeypatch.setattr(torch.Tensor, "backward", counted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped")
    assert (
        torch.load(tmp_path / "stopped" / "state.pt", weights_only=True)["progress"]["step"] == 17
    )
    run(tmp_path / "stopped")
    assert steps == 40
    assert rows_of(tmp_path / "stopped") == rows_of(tmp_path / "whole")
    assert state(tmp_path / "stopped") == state(tmp_path / "whole")


KILLED = """
import os, signal, sys, torch
sys.path.insert(0, {here!r})
import test_loop, training.loop
from pathlib import Path
training.loop._REPORT_EVERY, training.loop._SAVE_SECONDS = 4, 0.0
how, count = sys.argv[2], int(sys.argv[3])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying(function, before):
    calls = 0
    def wrapped(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == count:
            before(*arguments)
            die()
        return function(*arguments, **options)
    return wrapped

def half(state, path):
    whole = torch.serialization.io.BytesIO()
    save(state, whole)
    Path(path).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])

save = torch.save
if how == "step":
    torch.Tensor.backward = dying(torch.Tensor.backward, lambda *a: None)
elif how == "save":
    torch.save = dying(torch.save, half)
elif how == "replace":
    Path.replace = dying(Path.replace, lambda *a: None)
elif how == "log":
    training.loop.RunFolder.log = dying(
        training.loop.RunFolder.log,
        lambda run, *a: (run.path / "log.jsonl").open("a").write('{{"step": 8, "lo'),
    )
test_loop.run(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("how", ["step", "save", "replace", "log"])
def test_a_killed_process_loses_no_more_than_since_the_last_save(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in a step, within a write, before the new file takes its place, within the log."""
    monkeypatch.setattr(training.loop, "_REPORT_EVERY", 4)
    whole = run(tmp_path / "whole")
    count = int(np.random.default_rng().integers(2, {"step": 40, "log": 10}.get(how, 9)))
    script = KILLED.format(here=str(HERE))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "killed"), how, str(count)],
        cwd=HERE.parents[1],
        capture_output=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    reached = torch.load(tmp_path / "killed" / "state.pt", weights_only=True) if count > 5 else {}
    assert reached.get("progress", {"step": 0})["step"] < 40
    kept = run(tmp_path / "killed")
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole"), (how, count)
    assert state(tmp_path / "killed") == state(tmp_path / "whole")
    assert all(torch.equal(kept[name], whole[name]) for name in kept)
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == ["log.jsonl", "state.pt"]


def test_part_of_a_state_never_loads(tmp_path: Path) -> None:
    run(tmp_path)
    whole = (tmp_path / "state.pt").read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        (tmp_path / "state.pt").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match="damaged"):
            run(tmp_path)
    (tmp_path / "state.pt").write_bytes(whole)
    run(tmp_path)


def test_ranks_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Ranks("cpu")
    assert (ranks.index, ranks.count, ranks.first) == (0, 1, True)
    assert ranks.rows(6) == slice(0, 6)
    assert ranks.any(True) and not ranks.any(False)
    with pytest.raises(InputError, match="nonsense"):
        Ranks("nonsense")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(RuntimeMissingError, match="pip install accelerate"):
        Ranks("cpu")
    ranks.count = 4
    with pytest.raises(InputError, match="6 samples a batch cannot be shared by 4"):
        ranks.rows(6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("steps", -1),
        ("warm_up", -5),
        ("average", 1.5),
        ("betas", (0.9, 1.0)),
        ("learning_rate", 0.0),
    ],
)
def test_numbers_out_of_range(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        replace(SETTINGS, **{name: value})
