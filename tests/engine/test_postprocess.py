# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a motion before it is shown: on a real clip and on the model's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.generate import TextToMotion, generate, load_model
from t2m_blender.engine.joining import placed_on
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.postprocess import finished, hold_feet_within


@pytest.fixture(scope="module")
def clip(parity: Path) -> Motion:
    """A real motion, 170 frames at 20 a second."""
    with np.load(parity / "humanml3d_012314.npz") as data:
        return Motion(data["joints"], 20.0)


@pytest.fixture(scope="module")
def model() -> TextToMotion:
    return load_model()


def bone_lengths(motion: Motion) -> np.ndarray:
    parents = list(motion.skeleton.parents)[1:]
    return np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, parents], axis=-1)


def seam(motion: Motion) -> tuple[float, float]:
    """How far the last pose is from the first, and their speeds (metres, metres a frame), when the
    last is put on the first.
    """
    joints = motion.joints.astype(np.float64)
    again = placed_on(joints, -1, joints[0])
    pose = np.linalg.norm(again[-1] - joints[0], axis=-1).max()
    speed = (joints[1] - joints[0]) - (again[-1] - again[-2])
    return float(pose), float(np.linalg.norm(speed, axis=-1).max())


def changes_of_speed(motion: Motion) -> np.ndarray:
    """By how much the fastest changing joint changes speed from frame to frame."""
    return np.linalg.norm(np.diff(motion.joints, n=2, axis=0), axis=-1).max(axis=1)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.35, 4.0, 12.0])
def test_a_loop_has_no_seam_and_the_length_asked_for(
    model: TextToMotion, clip: Motion, seconds: float
) -> None:
    usual = np.percentile(changes_of_speed(clip), 95)
    steps = np.linalg.norm(np.diff(clip.joints, axis=0), axis=-1).max(axis=1)
    for prompt, seed in (("a person walks forward", 1), ("a person dances", 2)):
        made = generate(prompt, model=model, seed=seed, seconds=seconds, loop=True)
        assert np.array_equal(made.tokens[0], made.tokens[-1])
        for motion in (made.motion, made.finished):
            assert motion.frames == round(20 * seconds)
            pose, speed = seam(motion)
            assert pose < np.median(steps)
            assert speed < usual


def test_a_loop_of_free_length_closes_too(model: TextToMotion) -> None:
    made = generate("a person walks forward", model=model, seed=3, loop=True)
    assert made.seconds is None
    assert made.motion.frames == 4 * (len(made.tokens) - 1) + 1
    assert seam(made.finished)[0] < 0.01


def test_any_motion_can_be_closed(clip: Motion) -> None:
    part = Motion(clip.joints[20:100], 20.0)
    assert seam(part)[0] > 0.1
    loop = finished(part, loop=True, foot_lock=False)
    assert loop.frames == part.frames
    pose, speed = seam(loop)
    assert pose < 1e-4
    assert speed < np.percentile(changes_of_speed(clip), 95)
    middle = slice(30, 50)  # away from the seam it is the same, but for where it stands
    moved = placed_on(loop.joints[middle].astype(np.float64), 0, part.joints[30])
    assert np.abs(moved - part.joints[middle]).max() < 0.1
    assert np.ptp(bone_lengths(loop), axis=0).max() < 1e-4


def test_held_feet_stand_still_and_contacts_say_when(model: TextToMotion) -> None:
    made = generate("a person walks forward", model=model, seed=1, seconds=4.0)
    shown = made.finished
    assert shown.contacts is not None
    assert set(np.unique(shown.contacts)) == {0.0, 1.0}
    feet = list(shown.skeleton.left_feet + shown.skeleton.right_feet)

    def slide(motion: Motion) -> float:
        both = (shown.contacts[1:] * shown.contacts[:-1]) > 0.5
        return float(np.linalg.norm(np.diff(motion.joints[:, feet], axis=0), axis=-1)[both].mean())

    assert slide(shown) < 0.25 * slide(made.motion)
    left = generate("a person walks forward", model=model, seed=1, seconds=4.0, foot_lock=False)
    assert np.array_equal(left.finished.joints, made.motion.joints)


def test_in_place_stays_where_it_begins_and_moves_as_before(clip: Motion) -> None:
    still = finished(clip, foot_lock=False, in_place=True)
    travel, left = (np.ptp(m.joints[:, 0], axis=0)[[0, 2]].max() for m in (clip, still))
    assert left < 0.3 < 1.0 < travel
    assert np.array_equal(still.joints[..., 1], clip.joints[..., 1])
    local = [m.joints - m.joints[:, :1] for m in (clip, still)]
    assert np.abs(local[0] - local[1]).max() < 1e-5


def test_feet_held_within_a_range_change_nothing_outside(clip: Motion) -> None:
    held = hold_feet_within(clip, 40, 100)
    outside = [*range(40), *range(100, clip.frames)]
    assert held.joints[outside].tobytes() == clip.joints[outside].tobytes()
    assert not np.array_equal(held.joints[40:100], clip.joints[40:100])
    jumps = np.abs(np.diff(held.joints, axis=0)).max(axis=(1, 2))
    assert jumps.max() < np.abs(np.diff(clip.joints, axis=0)).max() + 0.02


def test_one_frame_is_left_alone(clip: Motion) -> None:
    one = Motion(clip.joints[:1], 20.0)
    assert finished(one, loop=True, in_place=True) is one
