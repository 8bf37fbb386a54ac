# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `cmu`: every trial of a folder, cut into clips, with mirrored copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from training.data.cmu import CREDIT, LICENCE
from training.data.cmu_clips import Cut, Plan, plan_clips
from training.data.cmu_files import DuplicateTrialError, open_trials
from training.data.dataset import Clip, Dataset, Skipped, statistics, write_dataset
from training.data.floor import Array, standing_features
from training.data.mirror import mirrored_clip, mirrored_motion

Progress = Callable[[int, int], None]


def prepare_cmu(
    source: Path,
    output: Path,
    *,
    captions: Path | None = None,
    mirror: bool = True,
    skeleton: Skeleton = HUMANML3D,
    on_progress: Progress | None = None,
) -> Dataset:
    """Makes the CMU trials of a folder into a dataset and writes it.

    Args:
        source: holds trials.json, pairs.json and the trials: cmu.tar.xz or folders NN/.
        output: the new dataset folder.
        captions: a JSON file of captions for what HumanML3D does not caption; the one that comes
            with this package where None (its form is told in `training.data.cmu_clips`).
        mirror: add mirrored copies.
        skeleton: the target.
        on_progress: called with (trials done, trials in all).

    Returns:
        What was written.

    Raises:
        InputError: the folder is not of this form, or nothing in it can be used.
        OutputError: output cannot be written.
    """
    clips: list[Clip] = []
    features: dict[str, NDArray[np.float32]] = {}
    skipped: list[Skipped] = []
    with open_trials(source) as trials:
        plan: Plan = plan_clips(trials, captions)
        skipped += plan.skipped
        for done, name in enumerate(trials.names):
            if on_progress:
                on_progress(done, len(trials.names))
            try:
                trial = trials.read(name, skeleton)
            except DuplicateTrialError as error:
                skipped.append(Skipped(name, str(error), expected=True))
                continue
            except InputError as error:
                skipped.append(Skipped(name, str(error), expected=False))
                skipped += [
                    Skipped(cut.id, f"its trial {name} cannot be read", expected=False)
                    for cut in plan.captioned.get(name, [])
                ]
                continue
            cuts, short = plan.cuts(name, trial, skeleton)
            skipped += short
            for cut in cuts:
                try:
                    made = _clips(cut, cut.joints(trial, skeleton), name, skeleton, mirror)
                except InputError as error:
                    skipped.append(Skipped(cut.id, str(error), expected=False))
                    continue
                for clip, array in made:
                    clips.append(clip)
                    features[clip.id] = array
    if on_progress:
        on_progress(len(trials.names), len(trials.names))
    mean, std = statistics((features[c.id] for c in clips if c.split == "train"), skeleton)
    dataset = Dataset(
        "cmu", skeleton, tuple(clips), features, mean, std, LICENCE, CREDIT, tuple(skipped)
    )
    write_dataset(dataset, output)
    return dataset


def _clips(
    cut: Cut, joints: Array, trial: str, skeleton: Skeleton, mirror: bool
) -> list[tuple[Clip, NDArray[np.float32]]]:
    """The clip of one cut and its mirrored copy."""
    array = standing_features(joints, skeleton)
    clip = Clip(
        id=cut.id,
        split=cut.split,
        captions=tuple(text for text, _ in cut.captions),
        caption_origins=tuple(origin for _, origin in cut.captions),
        source=trial,
        start_frame=cut.start,
        end_frame=cut.end,
        frames=len(array),
        subject="CMU " + trial.split("_")[0],
        licence="CMU"
        if not any(o == "humanml3d" for _, o in cut.captions)
        else "CMU, MIT captions",
        origin="mocap.cs.cmu.edu" + (", gait repeated" if cut.repeated else ""),
        mirrored=False,
    )
    made = [(clip, array)]
    if mirror:
        copy = standing_features(mirrored_motion(joints, skeleton), skeleton)
        made.append((mirrored_clip(clip), copy))
    return made
