# SPDX-License-Identifier: GPL-3.0-or-later
"""AMASS to the HumanML3D dataset, as HumanML3D's own scripts make it.

The user brings AMASS ("SMPL+H G" files), the SMPL-H body models, and HumanML3D's annotations
(`index.csv`, splits, captions). A row of the index is a clip: so many frames of one trial at 20
fps, some sets without their first seconds. AMASS is z-up; here x is mirrored and y and z change
places, which together is a rotation. A trial whose rate is a multiple of 20 gives exactly the
frames that HumanML3D has; of any other, HumanML3D keeps every int(rate / 20)-th frame and calls it
20 fps, so that the clip plays too slowly: here the same stretch is taken at its true speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints, joints_to_uniform, motion_to_features
from t2m_blender.engine.features import placed_joints as placed
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from training.data.amass_trials import read_joints, read_trial, times_of, to_y_up
from training.data.annotations import (
    Lines,
    Row,
    cut_parts,
    open_texts,
    read_captions,
    read_index,
    read_splits,
    subject_of,
)
from training.data.body_model import BodyModel, body_joints, read_body_models
from training.data.captions import Caption, is_mirrorable, mirror_caption
from training.data.dataset import Clip, Dataset, Skipped, statistics, write_dataset
from training.data.floor import Array
from training.data.mirror import mirrored_joints

Progress = Callable[[int, int], None]

SHORTEST = 40
LICENCE = "AMASS (non-commercial research; amass.is.tue.mpg.de), MIT captions"
HUMANACT12_LICENCE = "HumanAct12 (non-commercial research), MIT captions"
CREDIT = (
    "Mahmood et al., AMASS, ICCV 2019, and the data sets in it; Guo et al., Action2Motion "
    "(HumanAct12), ACM MM 2020; Guo et al., HumanML3D, CVPR 2022."
)


def prepare_amass(
    source: Path,
    output: Path,
    *,
    body_models: Path,
    annotations: Path,
    mirror: bool = True,
    skeleton: Skeleton = HUMANML3D,
    on_progress: Progress | None = None,
) -> Dataset:
    """Makes the trials of an AMASS folder into a dataset and writes it.

    Args:
        source: the folder with AMASS's sets (CMU, KIT, BMLmovi ...), and `humanact12` where wanted.
        output: the new dataset folder.
        body_models: the folder with the SMPL-H models.
        annotations: the folder with index.csv, the split files and the captions.
        mirror: add mirrored copies; their captions are the annotations' own for the mirrored id
            where there are any, else the clip's captions mirrored.
        skeleton: the target.
        on_progress: called with (trials done, trials in all).

    Returns:
        What was written.

    Raises:
        InputError: a folder is not of this form, or nothing in it can be used.
        OutputError: output cannot be written.
    """
    if not source.is_dir():
        raise InputError(f"{source} is no folder; give the one that holds AMASS's sets.")
    models = read_body_models(body_models)
    rows, skipped = read_index(annotations / "index.csv")
    splits, faults = read_splits(annotations)
    lines_of = open_texts(annotations)
    skipped += faults
    trials, left_out = _plan(rows, splits, source)
    skipped += left_out
    clips: list[Clip] = []
    features: dict[str, NDArray[np.float32]] = {}
    for done, (name, wanted) in enumerate(trials.items()):
        if on_progress:
            on_progress(done, len(trials))
        try:
            cut = _cutter(source, name, models)
        except InputError as error:
            skipped.append(Skipped(name, str(error), expected=False))
            skipped += [Skipped(r.id, f"its trial {name} is unusable", False) for r in wanted]
            continue
        for row in wanted:
            try:
                joints, slower = cut(row)
                missing = row.end - row.start - round(len(joints) * slower)
                if missing > 0 and row.collection != "humanact12":
                    reason = f"its trial ends {missing} frames before index.csv says; kept so"
                    skipped.append(Skipped(row.id, reason, expected=True))
                made, faults = _clips(
                    row, splits[row.id], joints, slower, lines_of, mirror, skeleton
                )
            except InputError as error:
                skipped.append(Skipped(row.id, str(error), expected=False))
                continue
            skipped += faults
            for clip, array in made:
                clips.append(clip)
                features[clip.id] = array
    if on_progress:
        on_progress(len(trials), len(trials))
    mean, std = statistics((features[c.id] for c in clips if c.split == "train"), skeleton)
    dataset = Dataset(
        "amass", skeleton, tuple(clips), features, mean, std, LICENCE, CREDIT, tuple(skipped)
    )
    write_dataset(dataset, output)
    return dataset


def _plan(
    rows: list[Row], splits: dict[str, str], source: Path
) -> tuple[dict[str, list[Row]], list[Skipped]]:
    """Trial -> its clips; what is in no split, and the sets that are not there, are named."""
    trials: dict[str, list[Row]] = {}
    absent: dict[str, int] = {}
    skipped = []
    for row in rows:
        if row.id not in splits:
            skipped.append(Skipped(row.id, "is in no split file", expected=True))
        elif not (source / row.collection).is_dir():
            absent[row.collection] = absent.get(row.collection, 0) + 1
        else:
            trials.setdefault(row.source, []).append(row)
    skipped += [
        Skipped(name, f"this set's folder is not there ({count} clips of index.csv)", True)
        for name, count in absent.items()
    ]
    if not trials:
        raise InputError(
            f"{source} has none of the sets of index.csv ({', '.join(sorted(absent)[:4])} ...); "
            "its folders must have their names."
        )
    return trials, skipped


def _cutter(
    source: Path, name: str, models: dict[str, BodyModel]
) -> Callable[[Row], tuple[Array, float]]:
    """A function from a row to its joints [T, 22, 3], y up, and its slowness in HumanML3D."""
    if name.startswith("humanact12/"):
        whole = read_joints(source / f"{name}.npy")
        return lambda row: (whole, 1.0)
    trial = read_trial(source / f"{name}.npz")
    model = models.get(trial.gender)
    if model is None:
        raise InputError(
            f"{Path(name).name}.npz is of gender '{trial.gender}', and the body models are: "
            f"{', '.join(models)}; add the model file of that gender."
        )

    def pose(at: NDArray[np.int64]) -> Array:
        return body_joints(model, trial.poses[at], trial.betas, trial.trans[at])

    def cut(row: Row) -> tuple[Array, float]:
        times, slower = times_of(row, len(trial.poses), trial.fps)
        below = np.floor(times + 1e-9).astype(int)
        above = np.minimum(below + 1, len(trial.poses) - 1)
        share = np.maximum(times - below, 0.0)[:, None, None]
        joints = pose(below)
        if share.any():
            joints = joints + share * (pose(above) - joints)
        return to_y_up(joints), slower

    return cut


def _clips(
    row: Row,
    split: str,
    joints: Array,
    slower: float,
    lines_of: Lines,
    mirror: bool,
    skeleton: Skeleton,
) -> tuple[list[tuple[Clip, NDArray[np.float32]]], list[Skipped]]:
    """The clips of one row and its mirrored copies, with what was left out."""
    captions, skipped = read_captions(row.id, lines_of(row.id))
    made = []
    for mirrored in (False, True)[: 1 + mirror]:
        name = ("M" if mirrored else "") + row.id
        if mirrored:
            captions, faults = _mirrored_captions(row, captions, lines_of)
            skipped += faults
            joints = mirrored_joints(joints, skeleton)
        array = exact_features(joints, skeleton)
        timed = [replace(c, start=c.start / slower, end=c.end / slower) for c in captions]
        parts, left_out = cut_parts(name, timed, len(array), fps=skeleton.fps, shortest=SHORTEST)
        skipped += left_out
        act = row.collection == "humanact12"
        for part in parts:
            clip = Clip(
                id=part.id,
                split=split,
                captions=part.captions,
                caption_origins=("humanml3d",) * len(part.captions),
                source=row.source,
                start_frame=row.first + part.start,
                end_frame=row.first + part.end,
                frames=part.end - part.start,
                subject=subject_of(row.source),
                licence=HUMANACT12_LICENCE if act else LICENCE,
                origin="HumanAct12" if act else f"AMASS {row.collection}",
                mirrored=mirrored,
            )
            made.append((clip, array[part.start : part.end]))
    return made, skipped


def _mirrored_captions(
    row: Row, captions: list[Caption], lines_of: Lines
) -> tuple[list[Caption], list[Skipped]]:
    """The annotations' own captions of the mirrored id, else the clip's, mirrored."""
    lines = lines_of("M" + row.id)
    if lines is not None:
        return read_captions("M" + row.id, lines)
    swapped = [replace(c, text=mirror_caption(c.text)) for c in captions if is_mirrorable(c.text)]
    return swapped, [
        Skipped(f"M{row.id}", f"caption left out, cannot be mirrored: {c.text}", expected=True)
        for c in captions
        if not is_mirrorable(c.text)
    ]


def exact_features(joints: Array, skeleton: Skeleton) -> NDArray[np.float32]:
    """Features [T - 1, D] as HumanML3D makes them, with a yaw that comes back.

    Raises:
        InputError: fewer than two frames, NaN, or the joints do not come back within 1 mm.
    """
    uniform = joints_to_uniform(joints, skeleton)
    features = motion_to_features(uniform, skeleton, uniform=False).astype(np.float32)
    back = features_to_joints(features.astype(np.float64), skeleton)
    error = float(np.linalg.norm(back - placed(uniform, skeleton)[:-1], axis=-1).max())
    if not error < 1e-3:
        raise InputError(f"the features give the joints back only within {1000 * error:.1f} mm")
    return features
