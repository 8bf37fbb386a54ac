# SPDX-License-Identifier: GPL-3.0-or-later
"""A dataset that grows by clips made of its own: what is kept of them, and how features face."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import Facing, features_to_joints, motion_to_features
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.dataset import Clip, Dataset, Skipped
from training.data.floor import Array, standing_features
from training.data.new_clips import Material, New

_BONES = 1e-4  # metres by which a bone of a new clip may be off
_TRIES = 4000  # candidates in a row that may not fit


def sources_of(clip: Clip) -> tuple[str, ...]:
    """The trials of which a clip was made: its own source, or those of all its parts."""
    parts = re.split(r" then | over the legs of ", clip.source)
    return tuple(dict.fromkeys(re.sub(r"\[\d+:\d+\].*$", "", part) for part in parts))


@dataclass
class Grown:
    """A dataset that grows."""

    clips: list[Clip]
    features: dict[str, NDArray[np.float32]]
    facing: Facing
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, clip: Clip, joints: Array) -> bool:
        """Adds a clip if it is new and sound."""
        if clip.id in self.features:
            return False
        try:
            array = _checked_features(joints, self.facing)
        except InputError as error:
            self.skipped.append(Skipped(clip.id, f"not made: {error}", expected=True))
            return False
        self.clips.append(replace(clip, frames=len(array)))
        self.features[clip.id] = array
        return True

    def fill(self, candidates: Iterator[New], number: int) -> int:
        """Adds candidates until there are so many new ones, or hardly any more fit."""
        added = failed = 0
        while added < number and failed < _TRIES and (new := next(candidates, None)) is not None:
            good = self.add(new.clip, new.joints)
            added, failed = added + good, 0 if good else failed + 1
        return added

    def joints(self, clip: Clip) -> Array:
        return features_to_joints(self.features[clip.id].astype(np.float64), HUMANML3D)


def facing_of(dataset: Dataset, material: list[Material]) -> Facing:
    """How the dataset's features face: new ones must do the same."""
    column = 0  # of the yaw's velocity

    def error(facing: Facing) -> float:
        found = []
        for m in material[:8]:
            again = motion_to_features(m.joints, dataset.skeleton, uniform=False, facing=facing)
            found.append(again[:, column] - dataset.features[m.clip.id][: len(again), column])
        return float(np.median(np.abs(np.concatenate(found))))

    facings: tuple[Facing, ...] = ("body", "continuous")
    return min(facings, key=error)


def _checked_features(joints: Array, facing: Facing) -> NDArray[np.float32]:
    """Features that give the joints back within 1 mm, with the skeleton's bone lengths.

    Raises:
        InputError: they do not, or are not finite.
    """
    array = standing_features(joints, HUMANML3D, facing=facing)
    back = features_to_joints(array.astype(np.float64), HUMANML3D)
    parents = np.array(HUMANML3D.parents[1:])
    lengths = np.linalg.norm(back[:, 1:] - back[:, parents], axis=-1)
    expected = np.linalg.norm(HUMANML3D.offsets[1:], axis=-1)
    if not np.isfinite(array).all() or np.abs(lengths - expected).max() > _BONES:
        raise InputError("a limb's length is off, or a value is not finite")
    return array
