# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a model between two, of which the second learnt on from the first.

    python -m training blend FIRST.safetensors SECOND.safetensors --share 0.5 -o BETWEEN.safetensors

What a short training adds comes with something forgotten. Between the weights before it and those
after it there is often a model that has most of the one and little of the other (weight-space
ensembling, Wortsman et al., CVPR 2022). Only the GPT is blended: stage 1 and what is changed of the
text encoder must be the same, or tokens and words would mean something else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from t2m_blender.engine.checkpoint import read_checkpoint, write_checkpoint
from t2m_blender.engine.errors import CheckpointError, InputError


def blend_models(
    first: Path, second: Path, output: Path, *, share: float, weights: str = "int8"
) -> None:
    """Writes the model whose GPT has `share` of the second's weights, the rest of the first's.

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
    shared = [name for name in two.tensors if not name.startswith("gpt.")]
    if (
        (one.vqvae, one.gpt, one.text_encoder) != (two.vqvae, two.gpt, two.text_encoder)
        or set(one.tensors) != set(two.tensors)
        or any(not np.array_equal(one.tensors[name], two.tensors[name]) for name in shared)
        or not (np.array_equal(one.mean, two.mean) and np.array_equal(one.std, two.std))
    ):
        raise CheckpointError(
            f"{first} and {second} are not of one stage 1, size and text encoder: blend a model "
            "with one that learnt on from it."
        )
    tensors = {
        name: tensor
        if name in shared
        else (1.0 - share) * one.tensors[name].astype(np.float32)
        + share * tensor.astype(np.float32)
        for name, tensor in two.tensors.items()
    }
    origin = f"{two.origin} {share:g} of it, the rest of sha256 {one.sha256}."
    write_checkpoint(output, replace(two, tensors=tensors, origin=origin), weights=weights)
