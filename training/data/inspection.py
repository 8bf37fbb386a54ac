# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a prepared dataset, measured: lengths, words, licences, NaN and outliers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import feature_columns, features_to_joints
from t2m_blender.engine.skeleton import KIT, Skeleton
from training.data.dataset import Clip, Dataset
from training.data.floor import Array
from training.data.grown import sources_of

METRES = {KIT.name: 0.001}  # of one unit of the features, where it is not a metre

# What a person can hardly do, or a floor hardly be.
ROOT_SPEED = 8.0  # metres a second
JOINT_SPEED = 20.0
SUNK = -0.10  # metres: the lowest joint under the floor
FLOATING = 0.20  # the lowest joint of the whole clip over the floor
TALL = 1.6  # the root over the floor
BONE = 0.02  # metres off the dataset's own bone length


@dataclass(frozen=True)
class Finding:
    """Something odd about a clip.

    Attributes:
        clip: its id.
        kind: of oddness; one word or two.
        value: how much, with its unit.
        fault: the numbers are wrong; otherwise only unusual.
    """

    clip: str
    kind: str
    value: str
    fault: bool


@dataclass(frozen=True, eq=False)
class Measured:
    """One clip's numbers, in metres and seconds.

    Attributes:
        root_speed, joint_speed: the fastest moment.
        lowest, highest_root: heights over the floor.
        bones: [J] the length furthest from `median_bones`, of each bone.
        median_bones: [J].
    """

    root_speed: float
    joint_speed: float
    lowest: float
    highest_root: float
    bones: Array
    median_bones: Array


@dataclass(frozen=True, eq=False)
class Inspection:
    """All that the report tells.

    Attributes:
        dataset: with lengths in metres.
        lengths: [clips] seconds.
        speeds: [clips] the root's fastest moment; NaN for clips that hold NaN.
        words: how often each word is in the captions of clips that are not mirrored.
        caption_words: words of each of these captions.
        findings: faults first; what is unusual in a clip is not told again for its mirrored copy.
        shared_sources: trials with clips in several splits.
    """

    dataset: Dataset
    lengths: NDArray[np.float64]
    speeds: NDArray[np.float64]
    words: Counter[str]
    caption_words: tuple[int, ...]
    findings: tuple[Finding, ...]
    shared_sources: tuple[str, ...]

    @property
    def originals(self) -> tuple[Clip, ...]:
        """The clips that are no mirrored copies."""
        return tuple(clip for clip in self.dataset.clips if not clip.mirrored)


def inspect_dataset(dataset: Dataset) -> Inspection:
    """Measures every clip.

    Raises:
        InputError: the dataset has no clips.
    """
    if not dataset.clips:
        raise InputError("The dataset has no clips; prepare it again.")
    dataset = in_metres(dataset)
    measured: dict[str, Measured] = {}
    findings = []
    for clip in dataset.clips:
        array = dataset.features[clip.id]
        bad = np.argwhere(~np.isfinite(array))
        if bad.size:
            value = f"first in frame {bad[0, 0]}, column {bad[0, 1]}"
            findings.append(Finding(clip.id, "NaN", value, fault=True))
        else:
            measured[clip.id] = measure_clip(array, dataset.skeleton)
    findings += _outliers(measured)
    told = {("M" + finding.clip, finding.kind) for finding in findings}
    findings = [f for f in findings if f.fault or (f.clip, f.kind) not in told]
    captions = [text for clip in dataset.clips if not clip.mirrored for text in clip.captions]
    split_words = [re.findall(r"[\w'-]+", text.lower()) for text in captions]
    splits: dict[str, set[str]] = {}
    for clip in dataset.clips:
        for source in sources_of(clip):
            splits.setdefault(source, set()).add(clip.split)
    return Inspection(
        dataset=dataset,
        lengths=np.array([clip.frames / dataset.skeleton.fps for clip in dataset.clips]),
        speeds=np.array(
            [measured[c.id].root_speed if c.id in measured else np.nan for c in dataset.clips]
        ),
        words=Counter(word for words in split_words for word in words),
        caption_words=tuple(len(words) for words in split_words),
        findings=tuple(sorted(findings, key=lambda f: not f.fault)),
        shared_sources=tuple(name for name, found in splits.items() if len(found) > 1),
    )


def in_metres(dataset: Dataset) -> Dataset:
    """The dataset with features in metres (KIT-ML's are in millimetres)."""
    scale = METRES.get(dataset.skeleton.name, 1.0)
    if scale == 1.0:
        return dataset
    columns = feature_columns(dataset.skeleton)
    factors = np.ones(dataset.skeleton.feature_size, dtype=np.float32)
    for name in ("root_velocity", "root_height", "positions", "velocities"):
        factors[columns[name]] = scale
    features = {name: array * factors for name, array in dataset.features.items()}
    return replace(
        dataset, features=features, mean=dataset.mean * factors, std=dataset.std * factors
    )


def measure_clip(features: NDArray[np.float32], skeleton: Skeleton) -> Measured:
    """The numbers of one clip [T, D], without NaN, in metres."""
    joints = features_to_joints(features.astype(np.float64), skeleton)
    steps = np.diff(joints, axis=0) if len(joints) > 1 else np.zeros((1, *joints.shape[1:]))
    speeds = np.linalg.norm(steps, axis=-1) * skeleton.fps
    parents = np.maximum(np.array(skeleton.parents), 0)
    bones = np.linalg.norm(joints - joints[:, parents], axis=-1)
    median = np.median(bones, axis=0)
    furthest = np.abs(bones - median).argmax(axis=0)
    return Measured(
        root_speed=float(speeds[:, 0].max()),
        joint_speed=float(speeds.max()),
        lowest=float(joints[..., 1].min()),
        highest_root=float(joints[:, 0, 1].max()),
        bones=bones[furthest, np.arange(bones.shape[1])],
        median_bones=median,
    )


def _outliers(measured: dict[str, Measured]) -> list[Finding]:
    if not measured:
        return []
    usual = np.median([m.median_bones for m in measured.values()], axis=0)
    found = []
    for name, m in measured.items():
        bone = max(np.abs(m.bones - usual).max(), np.abs(m.median_bones - usual).max())
        tests = (
            ("bone length", bone > BONE, f"{100 * bone:.1f} cm off", True),
            ("root speed", m.root_speed > ROOT_SPEED, f"{m.root_speed:.1f} m/s", False),
            ("joint speed", m.joint_speed > JOINT_SPEED, f"{m.joint_speed:.1f} m/s", False),
            ("below the floor", m.lowest < SUNK, f"{100 * m.lowest:.0f} cm", False),
            ("above the floor", m.lowest > FLOATING, f"{100 * m.lowest:.0f} cm", False),
            ("root height", m.highest_root > TALL, f"{m.highest_root:.2f} m", False),
        )
        found += [Finding(name, kind, value, fault) for kind, odd, value, fault in tests if odd]
    return found
