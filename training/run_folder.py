# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a training run: `state.pt` to go on from, `log.jsonl` of what was reported.

`state.pt` is replaced whole: a process killed at any moment leaves the one before. What was logged
after it is taken out of the log when the run goes on, because those steps are taken again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch

from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.files import new_path

__all__ = ["RunFolder", "Stateful"]


class Stateful(Protocol):
    """Whatever has a state: networks, optimisers, loss scales."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...


class RunFolder:
    """Saves and restores what a run is made of.

    Args:
        path: Made if missing.
        recipe: What decides the result; a folder whose run had another one is refused.
        parts: What has a state, by name.
        writes: Whether this process writes; of several, one does.
    """

    def __init__(
        self, path: Path, recipe: str, parts: Mapping[str, Stateful], *, writes: bool
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.recipe, self.parts, self.writes = path, recipe, parts, writes

    def save(self, progress: Mapping[str, Any]) -> None:
        """Writes all parts and the progress, numbers in plain containers."""
        if not self.writes:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with new_path(self.path / "state.pt") as part:
            torch.save({"recipe": self.recipe, "progress": dict(progress), **state}, part)

    def resume(self) -> dict[str, Any] | None:
        """Restores all parts; returns the progress saved with them, None for a new run.

        Raises:
            CheckpointError: The folder holds a run of other settings or data, or a damaged one.
        """
        state = self._read()
        step = state["progress"]["step"] if state else 0
        if self.writes:
            self._cut_log(step)
            for left_over in self.path.glob(".t2m-*"):  # of a process killed while it wrote
                left_over.unlink(missing_ok=True)
        return state["progress"] if state else None

    def _read(self) -> dict[str, Any] | None:
        file = self.path / "state.pt"
        if not file.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            if state["recipe"] != self.recipe:
                raise CheckpointError(
                    f"{self.path} holds a run of other settings or data; use another folder, or "
                    "delete it to begin again."
                )
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, UnpicklingError) as error:
            raise CheckpointError(
                f"{file} is damaged ({type(error).__name__}); delete the folder to begin again."
            ) from error
        return state

    def _cut_log(self, step: int) -> None:
        file = self.path / "log.jsonl"
        kept = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            try:
                row = json.loads(line)
            except ValueError:
                break  # the line that a killed process was writing
            if row["step"] <= step:
                kept.append(line + "\n")
        with new_path(file) as part:
            part.write_text("".join(kept), encoding="utf-8")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Appends a line."""
        if self.writes:
            line = {"step": step, **{key: round(value, 6) for key, value in figures.items()}}
            with open(self.path / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
