# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `cmu`: every trial of a folder, cut into clips, with mirrored copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from training.data.cmu import CREDIT, LICENCE
from training.data.cmu_clips import LEFT_OUT, SHORTEST, TOO_SHORT, Cut, Plan, plan_clips
from training.data.cmu_files import DuplicateTrialError, Trials, open_trials
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
    with open_trials(source) as trials:
        made = _Made(plan_clips(trials, captions), skeleton, mirror)
        for done, name in enumerate(trials.names):
            if on_progress:
                on_progress(done, len(trials.names))
            made.add(name, trials)
        notes = made.notes(trials)
    if on_progress:
        on_progress(len(trials.names), len(trials.names))
    trained = (made.features[clip.id] for clip in made.clips if clip.split == "train")
    mean, std = statistics(trained, skeleton)
    dataset = Dataset(
        "cmu",
        skeleton,
        tuple(made.clips),
        made.features,
        mean,
        std,
        LICENCE,
        CREDIT,
        tuple(made.skipped),
        notes,
    )
    write_dataset(dataset, output)
    return dataset


class _Made:
    """The clips of the trials while they are gathered, and where every frame went."""

    def __init__(self, plan: Plan, skeleton: Skeleton, mirror: bool) -> None:
        self.plan, self.skeleton, self.mirror = plan, skeleton, mirror
        self.clips: list[Clip] = []
        self.features: dict[str, NDArray[np.float32]] = {}
        self.skipped: list[Skipped] = list(plan.skipped)
        self.frames = {"in clips": 0, "held out with val and test": 0, "in stretches too short": 0}

    def add(self, name: str, trials: Trials) -> None:
        """All clips of one trial; a trial that gives none is named."""
        try:
            trial = trials.read(name, self.skeleton)
        except InputError as error:
            same = isinstance(error, DuplicateTrialError)
            reason = "holds the same motion" if same else "cannot be read"
            self.skipped.append(Skipped(name, str(error), expected=same))
            self.skipped += [
                Skipped(pair.id, f"its trial {name} {reason}", expected=same)
                for pair in self.plan.captioned.get(name, [])
            ]
            return
        cuts, left_out = self.plan.cuts(name, trial, self.skeleton)
        self.skipped += left_out
        used = np.zeros(len(trial.joints), dtype=bool)
        for cut in cuts:
            try:
                joints = cut.joints(trial, self.skeleton)
                made = _clips(cut, joints, name, self.skeleton, self.mirror)
            except InputError as error:
                self.skipped.append(Skipped(cut.id, str(error), expected=False))
                continue
            used[cut.start : cut.end] = True
            for clip, array in made:
                self.clips.append(clip)
                self.features[clip.id] = array
        real = len(used) - trial.first
        if not used.any():
            reason = TOO_SHORT if real < SHORTEST else "nothing of this trial is used"
            self.skipped.append(Skipped(name, reason, expected=True))
        _, held_out, short = self.frames
        self.frames["in clips"] += int(used.sum())
        unused = held_out if name in self.plan.held_out else short
        self.frames[unused] += real - int(used.sum())

    def notes(self, trials: Trials) -> tuple[str, ...]:
        """What became of HumanML3D's clips, of the trials and of their frames, counted."""
        reasons: dict[str, str] = {row.item: row.reason for row in self.skipped}
        ids = Counter(
            "kept" if pair.id in self.features else reasons.get(pair.id, "faulty")
            for pair in trials.pairs
        )
        kept, short, left_out = (ids.pop(key, 0) for key in ("kept", TOO_SHORT, LEFT_OUT))
        used = {clip.source for clip in self.clips}
        hours = {where: n / self.skeleton.fps / 3600 for where, n in self.frames.items()}
        return (
            f"HumanML3D's captioned clips: {len(trials.pairs)} = {kept} kept + {short} "
            f"{TOO_SHORT} + {left_out} train clips of trials held out"
            + (f" + {ids.total()} faulty" if ids else ""),
            f"trials: {len(trials.names)} = {len(used)} used + {len(trials.names) - len(used)} "
            f"that give no clip; {len(self.plan.held_out & set(trials.names))} are held out of "
            "training, because they have clips in val or test",
            f"hours of the trials: {sum(hours.values()):.2f} = "
            + " + ".join(f"{value:.2f} {where}" for where, value in hours.items()),
        )


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
