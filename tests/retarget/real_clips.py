# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty varied real clips, converted once for all tests that put motions onto rigs."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from t2m_blender.engine.features import foot_contacts, placed_joints
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import HUMANML3D
from tests.training.cmu_sample import unpack_sample
from training.data.cmu_files import open_trials

# Trial and seconds from which the clips begin.
_CLIPS = {
    "131_01": (0.0,),  # starts to walk, stops
    "39_10": (0.0,),  # walks
    "03_02": (0.0,),  # walks on uneven ground
    "17_10": (2.0, 12.0),  # boxes
    "35_17": (0.0,),  # runs
    "13_39": (0.0,),  # jumps
    "14_31": (3.0, 9.0),  # sits down on a stool, stands up
    "14_23": (0.0, 5.0),  # climbs three steps
    "14_20": (2.0, 14.0, 30.0),  # jumping jacks, twists to the side, bends over
    "14_26": (4.0, 20.0),  # directs traffic, waves
    "14_37": (0.0,),  # drinks
    "14_06": (2.0, 12.0, 26.0),  # jogs, squats, stretches
}
_FRAMES = 50


@functools.cache
def real_clips(shared: Path) -> tuple[Motion, ...]:
    """Motions of at most 2.5 seconds, with contact channels as HumanML3D has them."""
    clips = []
    with open_trials(unpack_sample(shared, tuple(_CLIPS))) as opened:
        for name, starts in _CLIPS.items():
            trial = opened.read(name)
            for start in starts:
                first = trial.first + round(start * HUMANML3D.fps)
                joints = placed_joints(trial.joints[first : first + _FRAMES + 1], HUMANML3D)
                contacts = foot_contacts(joints, HUMANML3D)
                joints = joints[:-1].astype(np.float32)
                clips.append(Motion(joints, HUMANML3D.fps, HUMANML3D, contacts))
    assert len(clips) == 20 and min(clip.frames for clip in clips) > 20
    return tuple(clips)
