# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training nearest MODEL DATASET -o OUT`: is the model more than a playback machine.

Every window of two seconds of a motion is compared with every window of the train split, posture by
posture as seen from the body: the distance is the mean over joints and moments, in millimetres, at
the nearest window. Generated motions are put beside real test clips, which nobody has trained on: a
machine that plays back what it has seen would lie far nearer than these. Two seeds of one prompt
are compared with each other in the same way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError, OutputError
from t2m_blender.engine.features import feature_columns, motion_to_features
from t2m_blender.engine.files import new_file
from t2m_blender.engine.generate import generate_batch, load_model
from t2m_blender.engine.skeleton import Skeleton
from training.data.dataset import Dataset, read_dataset

_WINDOW, _EVERY = 40, 4  # frames of a window, and between the moments that are compared
_STRIDE = 4  # frames between windows
_CHUNK = 64  # windows compared at once

Windows = NDArray[np.float32]


def windows_of(features: NDArray[np.floating[Any]], skeleton: Skeleton) -> Windows:
    """Windows [W, M, J - 1, 3] of joints from the root, turned to where the body faces.

    Features [T, D] as in a dataset, not normalised; W is 0 where T is under a window.
    """
    postures = np.asarray(features[:, feature_columns(skeleton)["positions"]], dtype=np.float32)
    postures = postures.reshape(len(features), -1, 3)
    starts = np.arange(0, len(postures) - _WINDOW + 1, _STRIDE)
    moments = np.arange(0, _WINDOW, _EVERY)
    return np.asarray(postures[starts[:, None] + moments])


def nearest_distances(queries: Windows, known: Windows) -> NDArray[np.float32]:
    """[W] The distance of each window to the nearest known one, metres.

    Candidates are the 50 nearest by the sum of squares; among them the mean over joints decides.
    """
    flat = known.reshape(len(known), -1)
    squares = np.einsum("wd,wd->w", flat, flat)
    found = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), _CHUNK):
        part = queries[start : start + _CHUNK]
        rows = part.reshape(len(part), -1)
        gaps = squares[None] - 2.0 * rows @ flat.T
        count = min(50, len(known))
        best = np.argpartition(gaps, count - 1, axis=1)[:, :count]
        near = np.linalg.norm(known[best] - part[:, None], axis=-1).mean(axis=(2, 3))
        found[start : start + _CHUNK] = near.min(axis=1)
    return found


def clip_distances(
    motions: Sequence[NDArray[np.floating[Any]]], known: Windows, skeleton: Skeleton
) -> list[float]:
    """The mean distance over the windows of each motion's features; too short ones are left out."""
    found = []
    for features in motions:
        queries = windows_of(features, skeleton)
        if len(queries):
            found.append(float(nearest_distances(queries, known).mean()))
    return found


def summary_of(distances: Sequence[float]) -> dict[str, float]:
    """Number, and percentiles in millimetres."""
    values = 1000.0 * np.asarray(distances)
    return {"clips": len(values)} | {
        f"p{p}": round(float(np.percentile(values, p)), 1) for p in (1, 10, 50, 90)
    }


def captions_for(dataset: Dataset, number: int) -> list[str]:
    """So many captions of test clips, evenly drawn; again from the first where there are fewer.

    Raises:
        InputError: no test clip has a caption.
    """
    captions = [t for c in dataset.split("test") if not c.mirrored for t in c.captions]
    if not captions:
        raise InputError(f"{dataset.name} has no captioned test clip to ask for.")
    return [captions[(k * len(captions) // number) % len(captions)] for k in range(number)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `nearest`."""
    parser.add_argument("model", help="a model file, or the name of one in the extension")
    parser.add_argument("data", type=Path, help="the dataset that the model was trained on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for nearest.json")
    parser.add_argument("--number", type=int, default=200, help="motions to generate (200)")


def run(args: argparse.Namespace) -> int:
    """Runs `nearest`; returns the exit status."""
    if args.number < 2:
        raise InputError(f"--number is {args.number}; give 2 or more.")
    dataset = read_dataset(args.data)
    skeleton = dataset.skeleton
    trained = [windows_of(dataset.features[c.id], skeleton) for c in dataset.split("train")]
    known = np.concatenate(trained)
    if not len(known):
        raise InputError(f"No train clip of {dataset.name} is as long as two seconds.")
    model = load_model(args.model)
    prompts = captions_for(dataset, args.number)
    generated = []
    for start in range(0, len(prompts), 20):
        part = prompts[start : start + 20]
        made = generate_batch(
            part, model=model, seeds=range(start, start + len(part)), seconds=[None] * len(part)
        )
        generated += [_features(one.motion.joints, skeleton) for one in made]
    pairs = generate_batch(
        prompts[:20] * 2, model=model, seeds=[1] * 20 + [2] * 20, seconds=[4.0] * 40
    ) if len(prompts) >= 20 else []  # fmt: skip
    seeds = [
        float(np.linalg.norm(windows_of(a, skeleton) - windows_of(b, skeleton), axis=-1).mean())
        for a, b in zip(
            [_features(p.motion.joints, skeleton) for p in pairs[:20]],
            [_features(p.motion.joints, skeleton) for p in pairs[20:]],
            strict=True,
        )
    ]
    real = [dataset.features[c.id] for c in dataset.split("test") if not c.mirrored]
    summary: dict[str, Any] = {
        "model": str(args.model),
        "sha256": model.checkpoint.sha256,
        "train windows": len(known),
        "generated": summary_of(clip_distances(generated, known, skeleton)),
        "real test clips": summary_of(clip_distances(real, known, skeleton)),
    }
    if seeds:
        summary["two seeds of one prompt"] = summary_of(seeds)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{args.output} cannot be made ({error.strerror}).") from None
    text = json.dumps(summary, indent=1)
    with new_file(args.output / "nearest.json") as file:
        file.write(text.encode())
    print(text)
    return 0


def _features(joints: NDArray[np.floating[Any]], skeleton: Skeleton) -> NDArray[np.float64]:
    wide = np.asarray(joints, dtype=np.float64)
    return np.asarray(motion_to_features(wide, skeleton, uniform=False, facing="body"))
