# SPDX-License-Identifier: GPL-3.0-or-later
"""The one training loop of all stages: resumes exactly, shows progress, saves on Ctrl-C.

Randomness is a function of (seed, step), so a resumed run takes the very steps it would have taken.
What it leaves on disk is `run_folder.py`, several processes are `ranks.py`, 16 bits `precision.py`.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from t2m_blender.engine.errors import InputError

from .board import Board
from .config import Optimisation
from .precision import Precision, compile_parts
from .ranks import Ranks
from .run_folder import RunFolder, Stateful

_REPORT_EVERY = 50
_SAVE_SECONDS = 120.0

Loss = Callable[[np.random.Generator], tuple[Tensor, dict[str, float]]]
Validate = Callable[[nn.Module], tuple[float, dict[str, float]]]
Pictures = Callable[[nn.Module], Mapping[str, NDArray[np.uint8]]]


def train(
    network: nn.Module,
    settings: Optimisation,
    folder: Path,
    *,
    made_of: Mapping[str, Any],
    loss: Loss,
    validate: Validate,
    keep: Callable[[nn.Module], None],
    pictures: Pictures | None = None,
) -> None:
    """Trains a network to `settings.steps`, from where the run's folder left off.

    Args:
        network: On its device already.
        settings: Steps, rates, seed, precision.
        folder: Of the run; made if missing.
        made_of: What else decides the result (sizes, hashes of the data); a folder whose run was
            made of something else is refused.
        loss: One sample batch's loss of the network, and figures to report; draws only from the
            generator it is given. Of several processes each draws the same, and takes the loss of
            its own `Ranks.rows` of it.
        validate: Score (lower is better) and figures of the averaged network in eval mode.
        keep: Saves the averaged network as the stage's result; called when the score is best, or
            after every validation (`settings.kept`).
        pictures: Images of what the averaged network does; given, TensorBoard shows them and the
            curves (`folder`/board).

    Raises:
        CheckpointError: The folder holds a run of other settings or data, or a damaged one.
        InputError: The loss is no longer a finite number.
        KeyboardInterrupt: When the user presses Ctrl-C or the system asks to stop (SIGTERM), after
            the step was finished and saved.
    """
    device = next(network.parameters()).device
    ranks = Ranks(device)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    averaged = copy.deepcopy(network).eval()
    precision = Precision(settings, device)
    recipe = json.dumps({"settings": asdict(settings), **made_of}, sort_keys=True)
    parts: dict[str, Stateful] = {
        "network": network,
        "averaged": averaged,
        "optimiser": optimiser,
        "scale": precision,
    }
    run = RunFolder(folder, recipe, parts, writes=ranks.first)
    progress = run.resume() or {"step": 0, "best": math.inf, "sums": {}, "summed": 0}
    step, best = progress["step"], progress["best"]
    sums, summed = progress["sums"], progress["summed"]
    board = Board(folder / "board", step) if pictures and ranks.first else None
    compile_parts(network, settings.compiler)

    bar = tqdm(
        total=settings.steps, initial=step, unit="step", disable=None if ranks.first else True
    )

    def report(figures: Mapping[str, float], remaining: float | None = None) -> None:
        run.log(step, figures)
        if board:
            board.figures(step, figures)
        text = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
        if not bar.disable:
            bar.set_postfix_str(text)
        elif ranks.first:
            ahead = "" if remaining is None else f"  ({remaining / 60:.1f} min left)"
            print(f"step {step}/{settings.steps}  {text}{ahead}", flush=True)

    saved = started = time.monotonic()
    first = step
    shown = closing(board) if board else nullcontext()
    with bar, shown, _stop_between_steps(alone=ranks.count == 1) as asked:
        while step < settings.steps:
            generator = np.random.Generator(np.random.Philox(key=[settings.seed, step]))
            torch.manual_seed(int(generator.integers(2**62)) + ranks.index)
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, settings)
            network.train()
            optimiser.zero_grad(set_to_none=True)
            for _ in range(settings.accumulation):
                with precision.autocast():
                    value, figures = loss(generator)
                precision.backward(value / settings.accumulation)
                for key, figure in {"loss": float(value.detach()), **figures}.items():
                    sums[key] = sums.get(key, 0.0) + figure
                summed += 1
            ranks.average_gradients(network)
            precision.step(optimiser)
            step += 1
            _average(averaged, network, settings.average, step)
            bar.update()

            last = step == settings.steps
            if step % _REPORT_EVERY == 0 or last:
                means = ranks.mean_figures({key: total / summed for key, total in sums.items()})
                sums, summed = {}, 0
                if not math.isfinite(means["loss"]):
                    raise InputError(
                        f"The loss is {means['loss']} at step {step}: set a lower learning_rate "
                        "or a longer warm_up, or precision fp32."
                    )
                pace = (time.monotonic() - started) / (step - first)
                report(means, remaining=pace * (settings.steps - step))
            if step % settings.validate_every == 0 or last:
                with torch.no_grad():
                    score, figures = validate(averaged)
                    if board and pictures:
                        board.pictures(step, pictures(averaged))
                report({f"val_{key}": figure for key, figure in figures.items()})
                better, best = score < best, min(score, best)
                if ranks.first and (better or settings.kept == "last"):
                    keep(averaged)
            stop = ranks.any(asked.is_set())
            due = step % _REPORT_EVERY == 0 and ranks.any(time.monotonic() - saved > _SAVE_SECONDS)
            if due or last or stop:
                sums = ranks.mean_figures(sums)
                run.save({"step": step, "best": best, "sums": sums, "summed": summed})
                saved = time.monotonic()
            if stop and not last:
                if ranks.first:
                    print(f"Stopped after step {step}; the same command goes on from there.")
                raise KeyboardInterrupt


def learning_rate_factor(step: int, settings: Optimisation) -> float:
    """Linear warm-up, then the schedule: a cosine from 1 to 0.02 at the last step, or a drop."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    if settings.schedule == "drop":
        return settings.drop_to if step >= settings.drop_at else 1.0
    progress = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


@contextmanager
def _stop_between_steps(*, alone: bool) -> Iterator[Event]:
    """An event that Ctrl-C or SIGTERM sets instead of breaking into a step.

    Where this process is alone, a second Ctrl-C breaks in; several are told twice, by the terminal
    and by torchrun.
    """
    asked = Event()
    if current_thread() is not main_thread():
        yield asked
        return

    def ask(number: int, frame: object) -> None:
        if alone and asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Moves the averaged weights towards the network's; buffers are copied."""
    decay = min(decay, step / (step + 10.0))  # a young average forgets its random beginning
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1.0 - decay)
    for kept, buffer in zip(averaged.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
