# SPDX-License-Identifier: GPL-3.0-or-later
"""Past the network's window: long motions, several sentences, continuing and repairing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import small_model

from t2m_blender.engine.errors import Cancelled, InputError
from t2m_blender.engine.generate import (
    Part,
    TextToMotion,
    continue_motion,
    generate,
    generate_batch,
    generate_sequence,
    generate_sequences,
    load_model,
    repair_motion,
)
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.skeleton import KIT


@pytest.fixture(scope="module")
def model() -> TextToMotion:
    return load_model()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TextToMotion:
    """Windows of 12 tokens, three levels."""
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    return load_model(small_model(path, gpt={"levels": 3}, vqvae={"levels": 3}), runtime="numpy")


@pytest.fixture(scope="module")
def clip(parity: Path) -> Motion:
    """A real motion, 170 frames at 20 a second."""
    with np.load(parity / "humanml3d_012314.npz") as data:
        return Motion(data["joints"], 20.0)


def steps(joints: np.ndarray) -> np.ndarray:
    """The longest way of a joint from frame to frame."""
    return np.linalg.norm(np.diff(joints.astype(np.float64), axis=0), axis=-1).max(axis=1)


def changes(joints: np.ndarray) -> np.ndarray:
    """The greatest change of a joint's step from frame to frame."""
    return np.linalg.norm(np.diff(joints.astype(np.float64), n=2, axis=0), axis=-1).max(axis=1)


def test_two_hundred_lengths_are_exact(small: TextToMotion) -> None:
    seconds = np.random.default_rng(0).uniform(1.0, 30.0, 200)
    made = generate_batch(
        ["a person walks"] * 200, model=small, seeds=range(200), seconds=seconds.tolist()
    )
    assert [one.motion.frames for one in made] == [round(20 * length) for length in seconds]
    assert [len(one.tokens) for one in made] == [-(-one.motion.frames // 4) for one in made]


def test_a_long_motion_goes_on_from_itself_alone_and_in_company(small: TextToMotion) -> None:
    parts = [[Part("a", 11.3)], [Part("b", 3.0), Part("c"), Part("d", 7.0)], [Part("e")]]
    together = generate_sequences(parts, model=small, seeds=[1, 2, 3])
    for sequence, seed, one in zip(parts, [1, 2, 3], together, strict=True):
        alone = generate_sequence(sequence, model=small, seed=seed)
        assert np.array_equal(alone.tokens, one.tokens)
    long = generate("a", model=small, seed=1, seconds=40.0)
    first = generate("a", model=small, seed=1, seconds=2.4)
    assert np.array_equal(long.tokens[:12], first.tokens), "it begins as a short one does"
    assert len(np.unique(long.tokens[12:24] == first.tokens)) == 2, "and does not repeat itself"


def test_both_runtimes_write_the_same_long_sequences(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = small_model(tmp_path / "s.safetensors", gpt={"levels": 2}, vqvae={"levels": 2})
    parts = [Part("a person walks", 4.0), Part("he sits"), Part("he waves", 3.3)]
    written = [
        generate_sequence(parts, model=load_model(path, runtime=runtime), seed=4).tokens
        for runtime in ("numpy", "torch")
    ]
    assert np.array_equal(*written)


def test_parts_have_their_lengths_and_meet_smoothly(model: TextToMotion, clip: Motion) -> None:
    usual = np.percentile(changes(clip.joints), 99)
    parts = [
        Part("a person walks forward", 2.5),
        Part("a person sits down", 3.05),
        Part("a person stands up", 2.0),
    ]
    for made in generate_sequences([parts] * 3, model=model, seeds=[1, 2, 3]):
        assert made.motion.frames == 151
        assert made.prompt.startswith("a person walks forward, then a person sits down, then ")
        assert made.parts == tuple(parts)
        for boundary in (50, 111):
            near = made.finished.joints[boundary - 6 : boundary + 6]
            assert changes(near).max() < usual


def test_the_second_sentence_counts(model: TextToMotion) -> None:
    """Who sits down after walking ends lower than who goes on walking."""
    heights = []
    for second in ("a person sits down", "a person walks forward"):
        parts = [Part("a person walks forward", 2.0), Part(second, 4.0)]
        made = generate_sequences([parts] * 4, model=model, seeds=range(4))
        heights.append(np.median([one.motion.joints[60:, 0, 1].min() for one in made]))
    assert heights[0] < heights[1] - 0.05


def test_progress_and_cancel_of_a_long_motion(small: TextToMotion) -> None:
    seen: list[tuple[int, int]] = []
    parts = [Part("a", 6.0), Part("b"), Part("c", 4.0)]
    generate_sequence(parts, model=small, on_progress=lambda *at: seen.append(at))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1
    assert done[-1] <= totals[0]
    count = len(seen)
    with pytest.raises(Cancelled):
        generate_sequence(
            parts,
            model=small,
            on_progress=lambda *at: seen.append(at),
            is_cancelled=lambda: len(seen) >= count + 20,
        )
    assert len(seen) == count + 20


def test_progress_of_a_motion_that_is_not_cut_short_ends_at_its_total(small: TextToMotion) -> None:
    seen: list[tuple[int, int]] = []
    generate("a", model=small, seconds=9.0, on_progress=lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("seconds", [0.05, 3.0, 14.2, None])
def test_a_real_motion_is_continued(
    model: TextToMotion, clip: Motion, seconds: float | None
) -> None:
    made = continue_motion(clip, "a person walks forward", model=model, seed=2, seconds=seconds)
    if seconds is not None:
        assert made.motion.frames == round(20 * seconds)
    for new in (made.motion, made.finished):
        joined = np.concatenate((clip.joints[-6:], new.joints))
        assert steps(joined)[:8].max() < 1.5 * np.percentile(steps(clip.joints), 95)
        assert changes(joined)[:8].max() < np.percentile(changes(clip.joints), 99)


def test_a_motion_at_another_rate_of_another_size_on_a_platform_is_continued(
    model: TextToMotion, clip: Motion
) -> None:
    turn = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    other = Motion((1.3 * clip.joints @ turn.T + [5.0, 3.0, -2.0]).astype(np.float32), 20.0)
    other = other.resampled(256, 30.0)
    made = continue_motion(other, "a person walks forward", model=model, seconds=3.0).motion
    assert made.fps == 20.0
    assert steps(np.concatenate((other.joints[-1:], made.joints)))[0] < 0.12
    parents = list(made.skeleton.parents)[1:]
    bones = [
        np.linalg.norm(j[1:] - j[parents], axis=-1) for j in (other.joints[0], made.joints[30])
    ]
    assert np.allclose(*bones, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_motion_of_few_frames_is_continued(
    model: TextToMotion, clip: Motion, frames: int
) -> None:
    given = Motion(clip.joints[:frames], 20.0)
    made = continue_motion(given, "a person walks forward", model=model, seconds=2.0)
    assert made.motion.frames == made.finished.frames == 40
    assert steps(np.concatenate((given.joints[-1:], made.motion.joints)))[0] < 0.1


@pytest.mark.parametrize(
    ("start", "stop"), [(60, 110), (0, 30), (120, 170), (80, 81), (80, 83), (1, 169), (168, 170)]
)
def test_a_repair_changes_its_range_only_and_has_no_seam(
    model: TextToMotion, clip: Motion, start: int, stop: int
) -> None:
    made = repair_motion(clip, start, stop, "a person walks forward", model=model, seed=1)
    outside = [*range(start), *range(stop, clip.frames)]
    assert made.joints[outside].tobytes() == clip.joints[outside].tobytes()
    assert not np.array_equal(made.joints[start:stop], clip.joints[start:stop])
    fast = 1.5 * steps(clip.joints).max()
    jerky = changes(clip.joints).max()
    assert steps(made.joints[max(start - 3, 0) : stop + 3]).max() < fast
    for seam in (start, stop):
        if 3 < seam < clip.frames - 3:
            assert changes(made.joints[seam - 3 : seam + 3]).max() < jerky
    again = repair_motion(clip, start, stop, "a person walks forward", model=model, seed=1)
    assert np.array_equal(again.joints, made.joints)


def test_a_repair_keeps_contacts_and_the_rate_of_the_motion(
    model: TextToMotion, clip: Motion
) -> None:
    contacts = np.full((clip.frames, 4), 0.3, np.float32)
    given = Motion(clip.joints, 20.0, contacts=contacts).resampled(256, 30.0)
    made = repair_motion(given, 90, 150, "a person walks forward", model=model)
    assert (made.frames, made.fps) == (256, 30.0)
    assert made.contacts is not None
    assert (made.contacts[:90] == np.float32(0.3)).all()
    assert set(np.unique(made.contacts[90:150])) <= {0.0, 1.0}
    assert steps(made.joints[85:155]).max() < 1.5 * steps(given.joints).max()


def test_what_cannot_be_used_is_refused(model: TextToMotion, clip: Motion) -> None:
    for start, stop in ((0, 170), (20, 20), (-1, 5), (160, 171)):
        with pytest.raises(InputError, match="cannot be repaired"):
            repair_motion(clip, start, stop, "walks", model=model)
    with pytest.raises(InputError, match=r"0\.05 to 120"):
        continue_motion(clip, "walks", model=model, seconds=121.0)
    with pytest.raises(InputError, match="empty"):
        continue_motion(clip, " ", model=model)
    other = Motion(np.ones((9, KIT.joint_count, 3), np.float32), 12.5, KIT)
    with pytest.raises(InputError, match="of the same skeleton"):
        continue_motion(other, "walks", model=model)
    for parts, words in (
        ([], "no prompt"),
        ([Part("a", 0.1), Part("b", 3.0)], "too short beside"),
        ([Part("a", 70.0), Part("b", 51.0)], "121 s cannot be made"),
    ):
        with pytest.raises(InputError, match=words):
            generate_sequence(parts, model=model)
