# SPDX-License-Identifier: GPL-3.0-or-later
"""Planted feet are found, held, and let go, without knees that pop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.banded import solve_over_time
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.feet import (
    ContactSpan,
    contact_spans,
    held_to_spans,
    legs_of,
    lock_feet,
    resampled_spans,
    spans_to_held,
)
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.quality import foot_skate_ratio
from t2m_blender.engine.skeleton import HUMANML3D

FEET = [7, 10, 8, 11]  # left ankle, left ball, right ankle, right ball
PARENTS = list(HUMANML3D.parents)


@pytest.fixture(scope="module")
def clip(parity: Path) -> Motion:
    with np.load(parity / "humanml3d_012314.npz") as data:
        joints = data["joints"]
        return Motion(joints, 20.0, contacts=data["features"][: len(joints), -4:])


@pytest.fixture(scope="module")
def skating(clip: Motion) -> Motion:
    """The clip while everything slides sideways by 12 mm a frame, sunk 4 cm into the floor."""
    slide = np.arange(clip.frames)[:, None, None] * np.array([0.012, 0.0, 0.0])
    joints = clip.joints - np.array([0.0, 0.04, 0.0]) + slide
    return Motion(joints, 20.0, contacts=clip.contacts)


def steps_mm(motion: Motion) -> np.ndarray:
    joints = motion.joints[:, FEET].astype(np.float64)
    return 1000.0 * np.linalg.norm(np.diff(joints, axis=0), axis=-1)


def held_steps(motion: Motion, spans) -> np.ndarray:
    held = spans_to_held(spans, motion.frames)
    return steps_mm(motion)[held[1:] & held[:-1]]


def knees(motion: Motion) -> np.ndarray:
    legs = legs_of(motion.joints.astype(np.float64), HUMANML3D)
    return np.degrees(legs.knee_angles())


def bone_lengths(motion: Motion) -> np.ndarray:
    joints = motion.joints.astype(np.float64)
    return np.linalg.norm((joints - joints[:, PARENTS])[:, 1:], axis=-1)


@pytest.mark.parametrize("name", ["clip", "skating"])
def test_held_feet_stand_still_and_knees_do_not_pop(
    request: pytest.FixtureRequest, name: str
) -> None:
    motion = request.getfixturevalue(name)
    spans = contact_spans(motion)
    held_before = held_steps(motion, spans)
    assert len(held_before) > 100
    locked = lock_feet(motion)
    assert held_steps(locked, spans).max() < 5.0
    if name == "skating":
        assert np.median(held_before) > 10.0
    assert np.abs(np.diff(knees(locked) - knees(motion), axis=0)).max() < 5.0
    assert locked.joints[..., 1].min() > -0.001
    assert np.abs(bone_lengths(locked) / bone_lengths(motion) - 1.0).max() < 0.001
    assert locked.contacts is not None
    assert held_to_spans(locked.contacts > 0.5) == spans


def test_real_motion_is_hardly_changed(clip: Motion) -> None:
    locked = lock_feet(clip)
    moved = 1000.0 * np.linalg.norm(locked.joints - clip.joints, axis=-1)
    assert moved.mean() < 35.0
    upper = [9, 12, 15, 16, 17, 20, 21]  # the upper body moves as one with the pelvis
    change = locked.joints - clip.joints
    assert np.abs(change[:, upper] - change[:, :1]).max() < 1e-5


def test_a_swinging_foot_comes_no_lower_while_the_other_one_stands(clip: Motion) -> None:
    """A figure that floats is let down to the floor; its steps stay as high."""
    floating = replace(clip, joints=clip.joints + np.float32([0.0, 0.03, 0.0]))
    spans = contact_spans(floating)
    locked = lock_feet(floating, spans)
    held = spans_to_held(spans, clip.frames)
    near = np.stack([np.convolve(held[:, c], np.ones(7), "same") > 0 for c in range(4)], axis=1)
    lowered = (floating.joints - locked.joints)[:, FEET, 1]
    assert (~near).sum() > 50
    assert np.percentile(lowered[held], 50) > 0.02
    assert lowered[~near].max() < 0.015


def test_a_foot_that_drags_is_lifted(clip: Motion) -> None:
    """Steps that hardly leave the floor are raised to a captured step's height."""
    low = clip.joints.copy()
    low[:, FEET, 1] = np.minimum(low[:, FEET, 1], [0.1, 0.03, 0.1, 0.03])
    dragging = replace(clip, joints=low)
    lifted = lock_feet(dragging)
    balls = [FEET[1], FEET[3]]
    speed = np.linalg.norm(np.diff(low[:, balls][..., [0, 2]], axis=0), axis=-1) * clip.fps
    swing = speed > 2.0
    assert swing.sum() > 20
    assert np.median(low[1:, balls, 1][swing]) < 0.031
    assert np.median(lifted.joints[1:, balls, 1][swing]) > 0.05
    assert foot_skate_ratio(lifted) < 0.5 * foot_skate_ratio(dragging)


def test_no_contacts_leave_a_motion_above_the_floor_alone(clip: Motion) -> None:
    lifted = Motion(clip.joints + np.array([0.0, 0.05, 0.0]), 20.0)
    locked = lock_feet(lifted, [])
    assert 1000.0 * np.abs(locked.joints - lifted.joints).max() < 1.0
    assert locked.contacts is not None and not locked.contacts.any()


def test_contacts_are_found_without_a_channel_too(clip: Motion) -> None:
    told = spans_to_held(contact_spans(clip), clip.frames)
    found = spans_to_held(contact_spans(Motion(clip.joints, 20.0)), clip.frames)
    assert (told == found).mean() > 0.9


def test_a_foot_that_swings_or_slides_is_not_planted(clip: Motion) -> None:
    assert held_steps(clip, contact_spans(clip)).max() < 30.0
    glide = np.arange(60)[:, None, None] * np.array([0.0, 0.0, 0.03])
    pose = HUMANML3D.rest_pose - [0.0, HUMANML3D.rest_pose[:, 1].min(), 0.0]
    assert contact_spans(Motion(pose + glide, 20.0)) == ()
    standing = contact_spans(Motion(np.repeat(pose[None], 60, axis=0), 20.0))
    assert [(span.start, span.stop) for span in standing] == [(0, 60)] * 4


def test_an_edited_span_holds_where_it_says(clip: Motion) -> None:
    wanted = [ContactSpan("left", "ball", 40, 52), ContactSpan("right", "heel", 60, 66)]
    locked = lock_feet(clip, wanted)
    assert held_steps(locked, wanted).max() < 5.0
    with pytest.raises(InputError, match="left toe"):
        lock_feet(clip, [ContactSpan("left", "toe", 0, 5)])


def test_a_foot_out_of_reach_is_let_go_and_not_stretched(clip: Motion) -> None:
    """One foot held for the whole clip while the person walks away."""
    locked = lock_feet(clip, [ContactSpan("left", "ball", 0, clip.frames)])
    assert np.abs(bone_lengths(locked) / bone_lengths(clip) - 1.0).max() < 0.001
    assert np.isfinite(locked.joints).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_short_motions(clip: Motion, frames: int) -> None:
    short = Motion(clip.joints[:frames], 20.0)
    held = lock_feet(short, [ContactSpan("left", "heel", 0, frames)])
    assert held.frames == frames and np.isfinite(held.joints).all()


def test_spans_at_other_rates() -> None:
    spans = (ContactSpan("left", "heel", 0, 10), ContactSpan("right", "ball", 3, 4))
    assert resampled_spans(spans, 20, 20) == spans
    longer = resampled_spans(spans, 20, 58)
    assert longer[0] == ContactSpan("left", "heel", 0, 28)
    assert longer[1] == replace(spans[1], start=9, stop=10)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7, 40])
def test_the_solver_solves(frames: int) -> None:
    random = np.random.default_rng(3)
    size = 4
    whole = np.zeros((frames * size, frames * size))
    for t in range(frames):
        reach = min(3, frames - t) * size
        rows = random.normal(size=(30, reach))
        whole[t * size : t * size + reach, t * size : t * size + reach] += rows.T @ rows
    blocks = whole.reshape(frames, size, frames, size).transpose(0, 2, 1, 3)
    right = random.normal(size=(frames, size))
    ones, twos = max(frames - 1, 0), max(frames - 2, 0)
    solution = solve_over_time(
        blocks[range(frames), range(frames)],
        blocks[range(ones), range(1, ones + 1)],
        blocks[range(twos), range(2, twos + 2)],
        right,
    )
    assert np.allclose(whole @ solution.ravel(), right.ravel(), atol=1e-9)
