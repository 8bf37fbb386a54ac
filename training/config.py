# SPDX-License-Identifier: GPL-3.0-or-later
"""Training settings: frozen dataclasses read from TOML (`training/configs/*.toml`).

A file has the tables [vqvae.network], [vqvae.training], [gpt.network], [gpt.training] and [model].
What a table leaves out keeps its default; a name that does not exist is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from t2m_blender.engine.errors import InputError

T = TypeVar("T")
_TABLES = {"vqvae", "gpt", "model"}
_STAGE_TABLES = {"network", "training"}

CONFIGS = Path(__file__).resolve().parent / "configs"


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """What both stages share.

    Attributes:
        batch_size: Samples a step.
        steps: Steps in all; the learning rate's cosine ends there.
        learning_rate: Its peak, reached after `warm_up` steps from zero.
        betas, weight_decay: Of AdamW.
        average: Decay of the exponential average of the weights, which is what is kept; 0 keeps the
            weights themselves.
        seed: Of everything random; step n of a seed is always the same.
        validate_every: Steps between validations; the best weights so far are kept.
    """

    batch_size: int = 128
    steps: int = 10000
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warm_up: int = 1000
    average: float = 0.0
    seed: int = 0
    validate_every: int = 500


@dataclass(frozen=True, kw_only=True)
class VQVAETraining(Optimisation):
    """Stage 1 (T2M-GPT, section 3.1).

    Attributes:
        window: Frames a sample.
        position_weight: Of the smooth-L1 loss on the position columns alone (the paper's "velocity"
            loss).
        commitment_weight: Of the commitment loss.
    """

    window: int = 64
    position_weight: float = 0.5
    commitment_weight: float = 0.02


@dataclass(frozen=True, kw_only=True)
class GPTTraining(Optimisation):
    """Stage 2 (T2M-GPT, section 3.2).

    Attributes:
        corruption: Chance that an input token is replaced by a random code; -1 draws a new chance
            from U[0, 1] for every sample, as in the paper.
        text_dropout: Chance that a sample's text is taken away, for classifier-free guidance.
    """

    betas: tuple[float, float] = (0.5, 0.9)
    weight_decay: float = 1e-6
    corruption: float = 0.5
    text_dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What goes into the finished file beside the weights.

    Attributes:
        text_encoder: Name of the encoder in `t2m_blender/models`.
        guidance, temperature, top_p: Sampling defaults.
    """

    text_encoder: str = "minilm"
    guidance: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole file. The network tables stay plain: `engine` owns their dataclasses."""

    name: str
    vqvae_network: dict[str, Any]
    vqvae: VQVAETraining
    gpt_network: dict[str, Any]
    gpt: GPTTraining
    model: ModelSettings


def read_config(name_or_path: str) -> Config:
    """Reads a config by its name in `training/configs` or by its path.

    Raises:
        InputError: Missing, not TOML, or with an unknown name in it.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = CONFIGS / f"{name_or_path}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.toml")))
        raise InputError(f"There is no config {path}; give a path or one of {known}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    for where, names in (("", _TABLES), ("vqvae", _STAGE_TABLES), ("gpt", _STAGE_TABLES)):
        part = table.get(where, {}) if where else table
        unknown = sorted(set(part) - names)
        if unknown:
            raise InputError(f"{path} has [{where}.{unknown[0]}]; it may have {sorted(names)}.")
    vqvae, gpt = table.get("vqvae", {}), table.get("gpt", {})
    return Config(
        name=path.stem,
        vqvae_network=vqvae.get("network", {}),
        vqvae=_filled(VQVAETraining, vqvae.get("training", {}), f"{path} [vqvae.training]"),
        gpt_network=gpt.get("network", {}),
        gpt=_filled(GPTTraining, gpt.get("training", {}), f"{path} [gpt.training]"),
        model=_filled(ModelSettings, table.get("model", {}), f"{path} [model]"),
    )


def _filled(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - known)
    if unknown:
        raise InputError(f"{where} has '{unknown[0]}'; it may have {', '.join(sorted(known))}.")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    for field in fields(kind):  # type: ignore[arg-type]
        value, usual = values.get(field.name), field.default
        same = isinstance(value, (int, float) if isinstance(usual, float) else type(usual))
        if value is not None and (not same or isinstance(value, bool)):
            raise InputError(f"{where} has {field.name} = {value!r}; it is like {usual!r}.")
    return kind(**values)


def network_config(kind: type[T], table: Mapping[str, Any], **known: Any) -> T:
    """A network's configuration from its TOML table and what the data decides.

    Raises:
        InputError: A name that the network does not have, or sizes that do not fit.
    """
    try:
        return kind(**known, **table)
    except (TypeError, ValueError) as error:
        raise InputError(f"The [network] table of {kind.__name__} is wrong: {error}.") from error
