# SPDX-License-Identifier: GPL-3.0-or-later
"""A model file, its text encoder and a runtime for them: all that generating needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten

from .arbiter import Arbiter
from .checkpoint import Checkpoint, read_checkpoint
from .configs import GPTConfig, VQVAEConfig
from .errors import CheckpointError, OutOfMemory
from .runtime import Choice, Runtime, choose_runtime, load_runtime
from .text import TextEncoder

__all__ = ["DEFAULT_MODEL", "MODELS", "TextToMotion", "find_text_encoder", "load_model"]

MODELS = Path(__file__).resolve().parents[1] / "models"
DEFAULT_MODEL = "default"
_LONGEST_REASON = 300  # characters of torch's list of what does not fit
MOST_AT_ONCE = 64  # clips; more side by side are no faster, and memory stays flat


@dataclass(eq=False)
class TextToMotion:
    """A loaded model, ready to generate.

    Attributes:
        name, checkpoint, text_encoder: What it is.
        gpt, vqvae: Sizes of its networks.
        runtime: Computes them; `choice` says which one that is, and why.
        at_once: Clips written side by side; fewer after memory was full.
    """

    name: str
    checkpoint: Checkpoint
    text_encoder: TextEncoder
    gpt: GPTConfig
    vqvae: VQVAEConfig
    choice: Choice
    runtime: Runtime
    at_once: int = field(default=MOST_AT_ONCE, init=False)

    @property
    def frames_per_token(self) -> int:
        return self.vqvae.frames_per_token

    @cached_property
    def arbiter(self) -> Arbiter:
        """Decides where a token is not sure."""
        return Arbiter(self.checkpoint.tensors, self.gpt)

    def use(self, choice: Choice) -> None:
        """Compute with another runtime from now on.

        Raises:
            CheckpointError: The tensors do not fit the configuration.
            OutOfMemory: They do not fit into memory.
        """
        self.choice, self.runtime = _computing(self.checkpoint, self.gpt, choice, self.name)
        self.at_once = MOST_AT_ONCE


def load_model(
    name_or_path: str | Path = DEFAULT_MODEL, *, runtime: str = "auto", device: str = "auto"
) -> TextToMotion:
    """Loads an embedded model by name, or a model file by its path.

    Args:
        name_or_path: Its text encoder is looked for beside it, then among the embedded ones.
        runtime, device: See `choose_runtime`.

    Raises:
        CheckpointError: No such model, or a damaged one.
        InputError, RuntimeMissingError: This machine lacks the runtime or device asked for.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = MODELS / f"{name_or_path}.safetensors"
        if not path.is_file():
            known = sorted(p.stem for p in MODELS.glob("*.safetensors") if p.stem != "minilm")
            raise CheckpointError(
                f"There is no model named '{name_or_path}'; use {' or '.join(known) or 'a path'}, "
                "or the path of a .safetensors file."
            )
    checkpoint = read_checkpoint(path)
    try:
        gpt, vqvae = GPTConfig(**checkpoint.gpt), VQVAEConfig(**checkpoint.vqvae)
    except (TypeError, ValueError) as error:
        raise _misfit(path, error) from error
    text_encoder = find_text_encoder(checkpoint.text_encoder, path.parent)
    try:
        text_encoder.weights.change(checkpoint.text_changes)
    except (KeyError, ValueError) as error:
        raise _misfit(path, error) from error
    if text_encoder.feature_size != gpt.text_size:
        raise CheckpointError(
            f"{path} reads text features of {gpt.text_size} numbers, but the encoder "
            f"'{checkpoint.text_encoder}' makes {text_encoder.feature_size}."
        )
    wanted = choose_runtime(gpt, int8=checkpoint.has_int8, runtime=runtime, device=device)
    choice, networks = _computing(checkpoint, gpt, wanted, path)
    return TextToMotion(path.stem, checkpoint, text_encoder, gpt, vqvae, choice, networks)


def find_text_encoder(name: str, folder: Path) -> TextEncoder:
    """The encoder NAME.safetensors of a folder, or else the embedded one.

    Raises:
        CheckpointError: Neither has it, or it is damaged.
    """
    own, embedded = (place / f"{name}.safetensors" for place in (folder, MODELS))
    if not own.is_file() and not embedded.is_file():
        raise CheckpointError(
            f"The text encoder '{name}' is missing: put {own.name} into {folder} "
            "(python -m training.import_clip makes clip.safetensors)."
        )
    return TextEncoder.load(own if own.is_file() else embedded)


def _computing(
    checkpoint: Checkpoint, gpt: GPTConfig, choice: Choice, path: str | Path
) -> tuple[Choice, Runtime]:
    """The runtime of a choice; where its device has no room for the model, that of the CPU."""
    try:
        try:
            return choice, load_runtime(choice, checkpoint)
        except OutOfMemory:
            if choice.device == "cpu":
                raise
            reason = f"the memory of '{choice.device}' was full"
            on_cpu = choose_runtime(gpt, int8=checkpoint.has_int8, device="cpu")
            choice = replace(on_cpu, reason=reason)
            return choice, load_runtime(choice, checkpoint)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise _misfit(path, error) from error


def _misfit(path: str | Path, error: Exception) -> CheckpointError:
    reason = (str(error).splitlines() or [type(error).__name__])[-1]
    reason = shorten(reason, _LONGEST_REASON, placeholder=" ...")
    return CheckpointError(f"{path} does not fit its own configuration: {reason.rstrip('.')}.")
