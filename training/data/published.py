# SPDX-License-Identifier: GPL-3.0-or-later
"""The published folders of HumanML3D and KIT-ML as they are: features, captions, splits.

    new_joint_vecs/ID.npy   [T, 263] or [T, 251], made by the published code
    texts/ID.txt            caption#word/POS ...#from#to; ids with M in front are mirrored clips
    train.txt val.txt test.txt, Mean.npy Std.npy, and for HumanML3D index.csv where it is there

Nothing is computed anew but the yaw velocity of the frames where the published code flips its sign
(`mend_yaw`), and the statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import feature_columns
from t2m_blender.engine.skeleton import HUMANML3D, KIT, Skeleton
from training.data.annotations import (
    Row,
    cut_parts,
    open_texts,
    read_captions,
    read_index,
    read_splits,
    subject_of,
)
from training.data.arrays import DAMAGED
from training.data.dataset import Clip, Dataset, Skipped, statistics, write_dataset

Progress = Callable[[int, int], None]

_STATISTICS = ("Mean", "Std")


@dataclass(frozen=True)
class Edition:
    """What differs between the two published datasets.

    Attributes:
        name: of the source.
        skeleton: joints and frame rate.
        shortest: frames under which the published loader leaves a clip out.
        damaged: clips that hold NaN as published.
        clips: how many ids the published split files name; 0 where we do not know.
        licence: of every clip.
        origin: where the folder comes from.
        credit: what to cite.
    """

    name: str
    skeleton: Skeleton
    shortest: int
    damaged: frozenset[str]
    clips: int
    licence: str
    origin: str
    credit: str


HUMANML3D_EDITION = Edition(
    name="humanml3d",
    skeleton=HUMANML3D,
    shortest=40,
    damaged=frozenset({"007975", "M007975"}),
    clips=29228,
    licence="AMASS and HumanAct12 (non-commercial research), MIT captions",
    origin="HumanML3D",
    credit="Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022; "
    "Mahmood et al., AMASS, ICCV 2019; Guo et al., Action2Motion (HumanAct12), ACM MM 2020.",
)
KIT_EDITION = Edition(
    name="kit",
    skeleton=KIT,
    shortest=24,
    damaged=frozenset(),
    clips=0,
    licence="KIT-ML (terms: motion-annotation.humanoids.kit.edu)",
    origin="KIT-ML",
    credit="Plappert et al., The KIT Motion-Language Dataset, Big Data 4(4), 2016, "
    "as processed by Guo et al., CVPR 2022.",
)
EDITIONS = {edition.name: edition for edition in (HUMANML3D_EDITION, KIT_EDITION)}


def prepare_published(
    source: Path,
    output: Path,
    *,
    edition: Edition,
    mend: bool = True,
    on_progress: Progress | None = None,
) -> Dataset:
    """Makes a published folder into a dataset and writes it.

    Args:
        source: the published folder.
        output: the new dataset folder.
        edition: which of the two it is.
        mend: turn the yaw velocity's flipped signs back, so that clips that turn past 180 degrees
            can be played; False keeps every number as published.
        on_progress: called with (clips done, clips in all).

    Returns:
        What was written. Its `notes` compare counts and statistics with the published ones.

    Raises:
        InputError: the folder is not of this form, or nothing in it can be used.
        OutputError: output cannot be written.
    """
    if not (source / "new_joint_vecs").is_dir():
        raise InputError(
            f"{source} has no folder new_joint_vecs; give the published {edition.origin} folder."
        )
    splits, faults = read_splits(source)
    lines_of = open_texts(source)
    index, index_faults = _index(source)
    skipped = faults + index_faults
    clips: list[Clip] = []
    features: dict[str, NDArray[np.float32]] = {}
    whole: list[NDArray[np.float32]] = []
    mended = 0
    for done, (name, split) in enumerate(splits.items()):
        if on_progress:
            on_progress(done, len(splits))
        try:
            array = read_features(source / "new_joint_vecs" / f"{name}.npy", edition.skeleton)
        except InputError as error:
            known = name in edition.damaged and "NaN" in str(error)
            skipped.append(Skipped(name, "holds NaN, as published" if known else str(error), known))
            continue
        whole.append(array)
        if mend:
            array, count = mend_yaw(array, edition.skeleton)
            mended += count > 0
        captions, faults = read_captions(name, lines_of(name))
        parts, left_out = cut_parts(
            name, captions, len(array), fps=edition.skeleton.fps, shortest=edition.shortest
        )
        skipped += faults + left_out
        row = index.get(name.removeprefix("M"))
        for part in parts:
            features[part.id] = array[part.start : part.end]
            clips.append(
                Clip(
                    id=part.id,
                    split=split,
                    captions=part.captions,
                    caption_origins=(edition.name,) * len(part.captions),
                    source=row.source if row else name.removeprefix("M"),
                    start_frame=(row.first if row else 0) + part.start,
                    end_frame=(row.first if row else 0) + part.end,
                    frames=part.end - part.start,
                    subject=subject_of(row.source) if row else "unknown",
                    licence=edition.licence,
                    origin=edition.origin,
                    mirrored=name.startswith("M"),
                )
            )
    if on_progress:
        on_progress(len(splits), len(splits))
    stray = {path.stem for path in (source / "new_joint_vecs").glob("*.npy")} - set(splits)
    skipped += [Skipped(name, "is in no split file", expected=True) for name in sorted(stray)]
    notes = _notes(source, edition, len(splits), whole, mended)
    mean, std = statistics((features[c.id] for c in clips if c.split == "train"), edition.skeleton)
    dataset = Dataset(
        edition.name, edition.skeleton, tuple(clips), features, mean, std,
        edition.licence, edition.credit, tuple(skipped), tuple(notes),
    )  # fmt: skip
    write_dataset(dataset, output)
    return dataset


def read_features(path: Path, skeleton: Skeleton) -> NDArray[np.float32]:
    """One clip's features [T, D].

    Raises:
        InputError: the file is missing or damaged, of another shape, empty, or holds NaN.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError("has no features in new_joint_vecs") from None
    except DAMAGED as error:
        raise InputError(f"its features cannot be read ({error})") from None
    if array.ndim != 2 or array.shape[1] != skeleton.feature_size:
        raise InputError(f"its features are {list(array.shape)}, not [T, {skeleton.feature_size}]")
    if len(array) == 0:
        raise InputError("has no frames")
    if not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise InputError(f"holds NaN (first in frame {frame})")
    return np.asarray(array, dtype=np.float32)


def mend_yaw(features: NDArray[np.float32], skeleton: Skeleton) -> tuple[NDArray[np.float32], int]:
    """Turns the yaw velocity's sign back where the published code flips it.

    Its facing quaternion changes sign when a clip turns past 180 degrees, and one frame's yaw
    velocity with it; from there on the clip walks off in a wrong direction. The true turn between
    two frames is still in the other columns: positions at t plus velocities at t, and positions at
    t + 1 plus the root's velocity, are the same points seen from the two facings.

    Args:
        features: [T, D] as published.
        skeleton: of the features.

    Returns:
        A mended copy, or the same array where nothing was wrong, and the number of frames mended.
    """
    columns = feature_columns(skeleton)
    frames, joints = len(features), skeleton.joint_count
    wide = features.astype(np.float64)
    positions = np.zeros((frames, joints, 3))
    positions[:, 1:] = wide[:, columns["positions"]].reshape(frames, joints - 1, 3)
    moved = positions[:-1] + wide[:-1, columns["velocities"]].reshape(frames - 1, joints, 3)
    seen = positions[1:].copy()
    seen[..., [0, 2]] += wide[:-1, None, columns["root_velocity"]]
    sine = (moved[..., 2] * seen[..., 0] - moved[..., 0] * seen[..., 2]).sum(axis=-1)
    cosine = (moved[..., 0] * seen[..., 0] + moved[..., 2] * seen[..., 2]).sum(axis=-1)
    true = np.append(np.arctan2(sine, cosine) / 2.0, 0.0)  # the last frame's turn is not told
    written = wide[:, 0]
    flipped = (np.abs(true + written) < 0.1 * np.abs(true - written)) & (np.abs(written) > 1e-4)
    flipped[-1] = False
    if not flipped.any():
        return features, 0
    mended = features.copy()
    mended[flipped, 0] *= -1.0
    return mended, int(flipped.sum())


def compare_statistics(
    ours: tuple[NDArray[Any], NDArray[Any]], published: tuple[NDArray[Any], NDArray[Any]]
) -> str:
    """One sentence: how far the mean (in standard deviations) and the std differ at most."""
    scale = np.maximum(published[1], 1e-8)
    shift = np.abs(ours[0] - published[0]) / scale
    stretch = np.abs(ours[1] - published[1]) / scale
    worst = max(float(shift.max()), float(stretch.max()))
    verdict = "they agree" if worst < 0.05 else "this is not the whole of the published data"
    return (
        f"statistics against Mean.npy and Std.npy: mean within {shift.max():.3f} standard "
        f"deviations (column {int(shift.argmax())}), std within {100 * stretch.max():.1f} % "
        f"(column {int(stretch.argmax())}): {verdict}"
    )


def _notes(
    source: Path, edition: Edition, named: int, arrays: list[NDArray[np.float32]], mended: int
) -> list[str]:
    published = f" of the {edition.clips} published" if edition.clips else ""
    notes = [f"the split files name {named}{published} clips; {len(arrays)} could be read"]
    if mended:
        notes.append(f"yaw sign mended in {mended} clips that turn past 180 degrees")
    try:
        both = tuple(np.load(source / f"{name}.npy", allow_pickle=False) for name in _STATISTICS)
    except DAMAGED:
        return [*notes, "Mean.npy and Std.npy are not there or damaged: statistics not compared"]
    if any(array.shape != (edition.skeleton.feature_size,) for array in both):
        shapes = ", ".join(str(list(array.shape)) for array in both)
        return [*notes, f"Mean.npy and Std.npy are of another dataset ({shapes})"]
    if arrays:
        notes.append(compare_statistics(statistics(arrays, edition.skeleton), (both[0], both[1])))
    return notes


def _index(source: Path) -> tuple[dict[str, Row], list[Skipped]]:
    path = source / "index.csv"
    if not path.is_file():
        return {}, []
    rows, faults = read_index(path)
    return {row.id: row for row in rows}, faults
