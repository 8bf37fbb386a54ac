# SPDX-License-Identifier: GPL-3.0-or-later
"""The one training loop of all stages: resumes exactly, shows progress, saves on Ctrl-C.

A run is a folder: `state.pt` (tensors and numbers to go on from), `log.jsonl` (a line a report).
Randomness is a function of (seed, step), so a resumed run takes the very steps it would have taken.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from threading import Event, current_thread, main_thread
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.files import new_path

from .config import Optimisation

_REPORT_EVERY = 50
_SAVE_SECONDS = 120.0


def train(
    network: nn.Module,
    settings: Optimisation,
    folder: Path,
    *,
    made_of: Mapping[str, Any],
    loss: Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]],
    validate: Callable[[nn.Module], tuple[float, dict[str, float]]],
    keep: Callable[[nn.Module], None],
) -> None:
    """Trains a network to `settings.steps`, from where the run's folder left off.

    Args:
        network: On its device already.
        settings: Steps, rates, seed.
        folder: Of the run; made if missing.
        made_of: What else decides the result (sizes, hashes of the data); a folder whose run was
            made of something else is refused.
        loss: One sample batch's loss of the network, and figures to report; draws only from the
            generator it is given.
        validate: Score (lower is better) and figures of the averaged network in eval mode.
        keep: Saves the averaged network as the stage's result; called when the score is best.

    Raises:
        CheckpointError: The folder holds a run of other settings or data, or a damaged one.
        KeyboardInterrupt: When the user presses Ctrl-C, after the step was finished and saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    averaged = copy.deepcopy(network).eval()
    recipe = json.dumps({"settings": asdict(settings), **made_of}, sort_keys=True)
    run = _Run(folder, network, averaged, optimiser, settings.steps, recipe)
    run.resume()
    bar = tqdm(total=settings.steps, initial=run.step, unit="step", disable=None)
    saved = started = time.monotonic()
    first = run.step
    sums: dict[str, float] = {}
    summed = 0
    with bar, _stop_between_steps() as stop:
        while run.step < settings.steps:
            generator = np.random.Generator(np.random.Philox(key=[settings.seed, run.step]))
            torch.manual_seed(int(generator.integers(2**62)))
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(run.step, settings)
            network.train()
            value, figures = loss(generator)
            optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            run.step += 1
            _average(averaged, network, settings.average, run.step)
            for key, figure in {"loss": float(value.detach()), **figures}.items():
                sums[key] = sums.get(key, 0.0) + figure
            summed += 1
            bar.update()

            last = run.step == settings.steps
            if run.step % _REPORT_EVERY == 0 or last:
                means = {key: total / summed for key, total in sums.items()}
                sums, summed = {}, 0
                pace = (time.monotonic() - started) / (run.step - first)
                run.report(means, bar, remaining=pace * (settings.steps - run.step))
            if run.step % settings.validate_every == 0 or last:
                with torch.no_grad():
                    score, figures = validate(averaged)
                run.report({f"val_{key}": figure for key, figure in figures.items()}, bar)
                if score < run.best:
                    run.best = score
                    keep(averaged)
            due = time.monotonic() - saved > _SAVE_SECONDS and run.step % _REPORT_EVERY == 0
            if due or last or stop.is_set():
                run.save()
                saved = time.monotonic()
            if stop.is_set() and not last:
                print(f"Stopped after step {run.step}; the same command goes on from there.")
                raise KeyboardInterrupt


def learning_rate_factor(step: int, settings: Optimisation) -> float:
    """Linear warm-up, then a cosine from 1 to 0.02 at the last step."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    progress = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


@contextmanager
def _stop_between_steps() -> Iterator[Event]:
    """An event that Ctrl-C sets instead of breaking into a step; a second Ctrl-C breaks in."""
    stop = Event()
    if current_thread() is not main_thread():
        yield stop
        return

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


class _Run:
    """What a run's folder holds."""

    def __init__(
        self,
        folder: Path,
        network: nn.Module,
        averaged: nn.Module,
        optimiser: torch.optim.Optimizer,
        steps: int,
        recipe: str,
    ) -> None:
        self.folder, self.steps, self.recipe = folder, steps, recipe
        self.network, self.averaged, self.optimiser = network, averaged, optimiser
        self.step = 0
        self.best = math.inf

    def save(self) -> None:
        state = {
            "recipe": self.recipe,
            "step": self.step,
            "best": self.best,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with new_path(self.folder / "state.pt") as part:
            torch.save(state, part)

    def resume(self) -> None:
        path = self.folder / "state.pt"
        log = self.folder / "log.jsonl"
        if path.exists():
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                recipe, self.step, self.best = state["recipe"], state["step"], state["best"]
            except (OSError, RuntimeError, EOFError, KeyError, UnpicklingError) as error:
                raise CheckpointError(
                    f"{path} is damaged ({type(error).__name__}); delete the folder to begin again."
                ) from error
            if recipe != self.recipe:
                raise CheckpointError(
                    f"{self.folder} holds a run of other settings or data; use another folder, or "
                    "delete it to begin again."
                )
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimiser.load_state_dict(state["optimiser"])
        lines = log.read_text().splitlines() if log.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= self.step]
        log.write_text("".join(f"{line}\n" for line in kept))

    def report(self, figures: dict[str, float], bar: Any, remaining: float | None = None) -> None:
        line = {"step": self.step, **{key: round(value, 6) for key, value in figures.items()}}
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        text = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
        if bar.disable:
            ahead = "" if remaining is None else f"  ({remaining / 60:.1f} min left)"
            print(f"step {self.step}/{self.steps}  {text}{ahead}", flush=True)
        else:
            bar.set_postfix_str(text)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Moves the averaged weights towards the network's; buffers are copied."""
    decay = min(decay, step / (step + 10.0))  # a young average forgets its random beginning
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)
    for kept, buffer in zip(averaged.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
