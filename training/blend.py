# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a model between two, of which the second learnt on from the first.

    python -m training blend FIRST.safetensors SECOND.safetensors --share 0.5 -o BETWEEN.safetensors

What a short training adds comes with something forgotten. Between the weights before it and those
after it there is often a model that has most of the one and little of the other (weight-space
ensembling, Wortsman et al., CVPR 2022). Blended are the GPT and what is changed of the text
encoder; stage 1 must be the same, or tokens would mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.checkpoint import read_checkpoint, write_checkpoint
from t2m_blender.engine.errors import CheckpointError, InputError


def blend_models(
    first: Path, second: Path, output: Path, *, share: float, weights: str = "int8"
) -> None:
    """Writes the model of which `share` is the second and the rest the first: GPT and reading.

    All else is the second's; the origin says what was blended.

    Raises:
        InputError: The share is not within 0 and 1.
        CheckpointError: A file is missing, damaged or not a model, or the two have other sizes,
            another stage 1 or another text encoder.
        OutputError: The file cannot be written.
    """
    if not 0.0 <= share <= 1.0:
        raise InputError(f"The share is {share:g}; give a number from 0 to 1.")
    one, two = read_checkpoint(first), read_checkpoint(second)
    stage_1 = [name for name in two.tensors if name.startswith("vqvae.")]
    if (
        (one.vqvae, one.gpt, one.text_encoder) != (two.vqvae, two.gpt, two.text_encoder)
        or any(not np.array_equal(one.tensors[name], two.tensors[name]) for name in stage_1)
        or not (np.array_equal(one.mean, two.mean) and np.array_equal(one.std, two.std))
    ):
        raise CheckpointError(
            f"{first} and {second} are not of one stage 1, size and text encoder: blend a model "
            "with one that learnt on from it."
        )
    tensors = {name: two.tensors[name] for name in stage_1}
    for name in two.tensors:
        if name.startswith("gpt."):
            before = one.tensors[name]
            tensors[name] = before + share * (
                two.tensors[name] - before
            )  # exact where both are one
    changes = two.text_changes
    if not _same(one.text_changes, changes):
        changes = _added(((1.0 - share, one.text_changes), (share, changes)))
    tensors |= {f"text.{name}": change for name, change in changes.items()}
    origin = f"{two.origin} {share:g} of it, the rest of sha256 {one.sha256}."
    write_checkpoint(output, replace(two, tensors=tensors, origin=origin), weights=weights)


def _same(one: Mapping[str, NDArray[Any]], two: Mapping[str, NDArray[Any]]) -> bool:
    return set(one) == set(two) and all(np.array_equal(one[name], two[name]) for name in two)


def _added(
    parts: Sequence[tuple[float, Mapping[str, NDArray[Any]]]],
) -> dict[str, NDArray[np.float32]]:
    """So much of each of several low-rank changes, all at once and exactly: their ranks add up."""
    halves: dict[str, list[NDArray[Any]]] = {}
    for weight, changes in parts:
        for name, half in changes.items():
            halves.setdefault(name, []).append(weight * half if name.endswith(".up") else half)
    return {
        name: np.concatenate(own, axis=1 if name.endswith(".up") else 0)
        for name, own in halves.items()
    }
