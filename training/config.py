# SPDX-License-Identifier: GPL-3.0-or-later
"""Training settings: frozen dataclasses read from TOML (`training/configs/*.toml`).

A file has the tables [vqvae.network], [vqvae.training], [gpt.network], [gpt.training],
[text.training], [model], [evaluator.network] and [evaluator.training].
What a table leaves out keeps its default; a name that does not exist is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from t2m_blender.engine.errors import InputError

T = TypeVar("T")
_STAGES = {
    "vqvae": {"network", "training"},
    "gpt": {"network", "training"},
    "text": {"training"},
    "evaluator": {"network", "training"},
}
_TABLES = {*_STAGES, "model"}

CONFIGS = Path(__file__).resolve().parent / "configs"


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """What all stages share.

    Attributes:
        batch_size: Samples a batch, over all processes together.
        accumulation: Batches whose gradients are added up for one step.
        steps: Steps in all.
        learning_rate: Its peak, reached after `warm_up` steps from zero.
        schedule: After the warm-up, "cosine" falls to 0.02 of the peak at the last step; "drop"
            stays at the peak until step `drop_at`, and goes on at `drop_to` of it (the paper).
        drop_at, drop_to: Of the schedule "drop".
        betas, weight_decay: Of AdamW.
        average: Decay of the exponential average of the weights, which is what is kept; 0 keeps the
            weights themselves.
        precision: "fp32", or autocast to "bf16" or "fp16"; weights and codebooks stay float32.
        compiler: Back end of torch.compile, such as "inductor"; empty for none.
        deterministic: Asks CUDA for exact repetition, at some cost; a CPU always repeats exactly.
        seed: Of everything random; step n of a seed is always the same.
        validate_every: Steps between validations.
        kept: The weights of the validation that was "best", or of the "last" one: a loss may rise
            while what the network makes still gets better.

    Raises:
        InputError: A number out of its range.
    """

    batch_size: int = 128
    accumulation: int = 1
    steps: int = 10000
    learning_rate: float = 2e-4
    warm_up: int = 1000
    schedule: Literal["cosine", "drop"] = "cosine"
    drop_at: int = 0
    drop_to: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    average: float = 0.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compiler: str = ""
    deterministic: bool = False
    seed: int = 0
    validate_every: int = 500
    kept: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulation", "steps", "validate_every"):
            _check(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("warm_up", "seed", "weight_decay", "drop_at"):
            _check(self, name, getattr(self, name) >= 0, "not below 0")
        for name in ("average", "drop_to"):
            _check(self, name, 0.0 <= getattr(self, name) <= 1.0, "within 0 and 1")
        _check(self, "betas", all(0.0 <= beta < 1.0 for beta in self.betas), "within 0 and 1")
        _check(self, "betas", len(self.betas) == 2, "two numbers")
        _check(self, "learning_rate", self.learning_rate > 0.0, "above 0")


@dataclass(frozen=True, kw_only=True)
class VQVAETraining(Optimisation):
    """Stage 1 (T2M-GPT, section 3.1). A loss of weight 0 is not computed.

    Attributes:
        window: Frames a sample.
        reconstruction: Distance between features: "smooth_l1" (the paper's choice), "l1", "l2".
        position_weight: Of the same distance on the position columns alone (the paper's "velocity"
            loss).
        rotation_weight: Share of a rotation column in the distance of features, beside 1 for each
            other column; no motion is made of them (see `engine/features.py`).
        commitment_weight: Of the commitment loss.
        path_weight: Of the root's path and turn over the window (metres, radians), as they add up.
        joint_weight: Of the joints about the root's floor point and heading (metres).
        speed_weight: Of the joints' velocities in space (metres a second).
        fast_weight: How much more than a resting joint's the error of a moving joint's velocity
            counts, for each metre a second of its speed: a punch is over in five frames.
    """

    window: int = 64
    reconstruction: Literal["smooth_l1", "l1", "l2"] = "smooth_l1"
    position_weight: float = 0.5
    rotation_weight: float = 1.0
    commitment_weight: float = 0.02
    path_weight: float = 0.0
    joint_weight: float = 0.0
    speed_weight: float = 0.0
    fast_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "window", self.window >= 1, "at least 1")
        for weight in fields(VQVAETraining):
            if weight.name.endswith("_weight"):
                _check(self, weight.name, getattr(self, weight.name) >= 0.0, "not below 0")


@dataclass(frozen=True, kw_only=True)
class GPTTraining(Optimisation):
    """Stage 2 (T2M-GPT, section 3.2).

    Attributes:
        corruption: Chance that an input token is replaced by a random code (the paper's tau; its
            code's pkeep is 1 - tau); -1 draws a new chance from U[0, 1] for every sample.
        crop: Chance that a sample loses its first or its last token.
        text_dropout: Chance that a sample's text is taken away, for classifier-free guidance.
        people: Share of the samples that are drawn among captions which people wrote of that very
            clip (origin "humanml3d"), each as likely; the others among all clips. 0 where there
            are none.
        distilled: A guidance. Other than 0, nothing is learnt from the clips' own tokens, but what
            the model that training starts from foretells for them with this guidance, so that the
            finished one needs none (guidance distillation, Meng et al., CVPR 2023). For a wording
            of a table's caption that is what it foretells for the caption: most of a clip's tokens
            can be told from those before, so that a wording which is misread cost little so far.
        misread: Share of the samples that are drawn among wordings, each the likelier the further
            what the model that training starts from foretells for a clip's first token is from what
            it foretells there for the caption that is worded.
        end_later: Nats that End is foretold with less in what is distilled. Texts that were not
            learnt are answered too shortly: they are read as a bit of many, and the shortest of
            these ends the clip. See docs/training.md for how it was chosen.
        mean_over: What the cross-entropy is a mean over: all "tokens" of a batch, or its "clips",
            each of which is the mean of its own tokens (the published code).
    """

    betas: tuple[float, float] = (0.5, 0.9)
    weight_decay: float = 1e-6
    corruption: float = 0.5
    crop: float = 1.0 / 3.0
    text_dropout: float = 0.1
    people: float = 0.0
    distilled: float = 0.0
    misread: float = 0.0
    end_later: float = 0.0
    mean_over: Literal["tokens", "clips"] = "tokens"

    def __post_init__(self) -> None:
        super().__post_init__()
        chance = 0.0 <= self.corruption <= 1.0 or self.corruption == -1.0
        _check(self, "corruption", chance, "a chance within 0 and 1, or -1")
        for name in ("crop", "text_dropout", "misread"):
            _check(self, name, 0.0 <= getattr(self, name) <= 1.0, "a chance within 0 and 1")
        _check(self, "people", self.people + self.misread <= 1.0, "with misread at most 1")
        for name in ("distilled", "end_later"):
            _check(self, name, getattr(self, name) >= 0.0, "not below 0")
        of_model = self.distilled > 0.0
        _check(self, "end_later", of_model or self.end_later == 0.0, "0 where distilled is")


@dataclass(frozen=True, kw_only=True)
class TextTraining(Optimisation):
    """The text encoder learns to read wordings as the captions that they word.

    Attributes:
        rank: Of what is added to the encoder's matrices (LoRA, Hu et al., ICLR 2022).
        tokens: Of the beginning of each clip, at which is compared what the GPT foretells; later
            ones can mostly be told from those before.
        people, misread: As of `GPTTraining`.
        plain: Share of the samples that are clips with the caption that their wordings word: what
            it means must stay.
    """

    batch_size: int = 64
    steps: int = 800
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    warm_up: int = 50
    average: float = 0.99
    kept: Literal["best", "last"] = "last"
    rank: int = 16
    tokens: int = 12
    people: float = 0.2
    misread: float = 0.35
    plain: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rank", "tokens"):
            _check(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("people", "misread", "plain"):
            _check(self, name, 0.0 <= getattr(self, name) <= 1.0, "a share within 0 and 1")
        together = self.people + self.misread + self.plain
        _check(self, "people", together <= 1.0, "with misread and plain at most 1")


@dataclass(frozen=True, kw_only=True)
class EvaluatorTraining(Optimisation):
    """Our evaluator (after TMR, section 3.2). The defaults are for about an hour of motion.

    Attributes:
        temperature: Of the similarities; smaller minds the nearest wrong answers more.
        alike: Cosine of two captions from which on neither's motion is a wrong answer to the other.
        shortest_cut: A sample shows at least this share of its clip.
        shift: Size of a random shift of every feature of a sample, in standard deviations.
    """

    batch_size: int = 64
    steps: int = 900
    learning_rate: float = 5e-4
    warm_up: int = 100
    weight_decay: float = 0.05
    average: float = 0.99
    validate_every: int = 50
    temperature: float = 0.1
    alike: float = 0.8
    shortest_cut: float = 0.7
    shift: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "temperature", self.temperature > 0.0, "above 0")
        _check(self, "shift", self.shift >= 0.0, "not below 0")
        for name in ("alike", "shortest_cut"):
            _check(self, name, 0.0 <= getattr(self, name) <= 1.0, "within 0 and 1")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What goes into the finished file beside the weights.

    Attributes:
        text_encoder: Name of the encoder in `t2m_blender/models`.
        weights: How the file keeps matrices: "fp16", or "int8" in half the room.
        guidance, temperature, top_p: Sampling defaults.
    """

    text_encoder: str = "minilm"
    weights: Literal["int8", "fp16"] = "fp16"
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
    text: TextTraining = field(default_factory=TextTraining)
    evaluator_network: dict[str, Any] = field(default_factory=dict)
    evaluator: EvaluatorTraining = field(default_factory=EvaluatorTraining)


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
    for where, names in (("", _TABLES), *_STAGES.items()):
        part = table.get(where, {}) if where else table
        unknown = sorted(set(part) - names)
        if unknown:
            raise InputError(f"{path} has [{where}.{unknown[0]}]; it may have {sorted(names)}.")
    vqvae, gpt, text, evaluator = (table.get(stage, {}) for stage in _STAGES)
    return Config(
        name=path.stem,
        vqvae_network=vqvae.get("network", {}),
        vqvae=_filled(VQVAETraining, vqvae.get("training", {}), f"{path} [vqvae.training]"),
        gpt_network=gpt.get("network", {}),
        gpt=_filled(GPTTraining, gpt.get("training", {}), f"{path} [gpt.training]"),
        text=_filled(TextTraining, text.get("training", {}), f"{path} [text.training]"),
        model=_filled(ModelSettings, table.get("model", {}), f"{path} [model]"),
        evaluator_network=evaluator.get("network", {}),
        evaluator=_filled(
            EvaluatorTraining, evaluator.get("training", {}), f"{path} [evaluator.training]"
        ),
    )


def _filled(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - known)
    if unknown:
        raise InputError(f"{where} has '{unknown[0]}'; it may have {', '.join(sorted(known))}.")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    hints = get_type_hints(kind)
    for entry in fields(kind):  # type: ignore[arg-type]
        if entry.name not in values:
            continue
        value, usual, choices = values[entry.name], entry.default, get_args(hints[entry.name])
        if isinstance(usual, str) and choices and value not in choices:
            raise InputError(
                f"{where} has {entry.name} = {value!r}; it may be {', '.join(choices)}."
            )
        same = isinstance(value, (int, float) if isinstance(usual, float) else type(usual))
        if not same or isinstance(value, bool) != isinstance(usual, bool):
            raise InputError(f"{where} has {entry.name} = {value!r}; it is like {usual!r}.")
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _check(settings: object, name: str, holds: bool, range_: str) -> None:
    if not holds:
        raise InputError(f"{name} = {getattr(settings, name)!r}; it is {range_}.")


def network_config(kind: type[T], table: Mapping[str, Any], **known: Any) -> T:
    """A network's configuration from its TOML table and what the data decides.

    Raises:
        InputError: A name that the network does not have, or sizes that do not fit.
    """
    try:
        return kind(**known, **table)
    except (TypeError, ValueError) as error:
        raise InputError(f"The [network] table of {kind.__name__} is wrong: {error}.") from error
