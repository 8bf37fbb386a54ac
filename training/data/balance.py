# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of rare actions at slightly other speeds, so that no action drowns in the common ones."""

from __future__ import annotations

import numpy as np

from t2m_blender.engine.skeleton import HUMANML3D
from training.data.captions import mirror_caption
from training.data.dataset import Clip
from training.data.grown import Grown, sources_of
from training.data.new_clips import Material, speed_clips
from training.data.wordings import deeds_of

_SHORTEST = 24  # frames of a clip that is copied
_COPIES = 12  # of one clip
_RESTS = frozenset({"remains seated"})  # as often as "sits down", it would be read for it


def balance(grown: Grown, wanted: int, held_out: set[str], random: np.random.Generator) -> int:
    """Copies at 0.8 to 1.25 of the speed of clips whose action has fewer than `wanted` clips."""
    by_deed: dict[str, list[Clip]] = {}
    for clip in grown.clips:
        if clip.split == "train" and not clip.mirrored and not held_out & set(sources_of(clip)):
            deeds = next((d for text in clip.captions if (d := deeds_of(text))), ())
            if len(deeds) == 1 and " while " not in deeds[0] and deeds[0] not in _RESTS:
                by_deed.setdefault(min(deeds[0], mirror_caption(deeds[0])), []).append(clip)
    added = 0
    for clips in by_deed.values():
        there = len(clips)
        pool = [clip for clip in clips if clip.frames >= _SHORTEST]
        for _ in range(_COPIES):
            for clip in pool:
                if there >= wanted:
                    break
                factor = round(float(np.exp(random.uniform(np.log(0.8), np.log(1.25)))), 3)
                for new in speed_clips([Material(clip, grown.joints(clip))], factor, HUMANML3D):
                    there, added = there + 1, added + grown.add(new.clip, new.joints)
    return added
