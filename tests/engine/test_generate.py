# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompt to Motion on the embedded model."""

from __future__ import annotations

import numpy as np
import pytest

from t2m_blender.engine import HUMANML3D
from t2m_blender.engine.errors import Cancelled, InputError
from t2m_blender.engine.generate import TextToMotion, generate, generate_batch, load_model


@pytest.fixture(scope="module")
def model() -> TextToMotion:
    return load_model()


def test_a_seed_means_the_same_motion_alone_and_in_a_batch(model: TextToMotion) -> None:
    prompts = ["a person walks forward", "someone jumps up", "a man sits down on a chair"]
    together = generate_batch(prompts, model=model, seeds=[1, 2, 3], seconds=[None, 2.0, None])
    for prompt, seed, seconds, made in zip(
        prompts, [1, 2, 3], [None, 2.0, None], together, strict=True
    ):
        alone = generate(prompt, model=model, seed=seed, seconds=seconds)
        assert np.array_equal(alone.tokens, made.tokens)
        assert np.abs(alone.motion.joints - made.motion.joints).max() < 1e-4
    again = generate(prompts[0], model=model, seed=1)
    assert np.array_equal(
        again.motion.joints, generate(prompts[0], model=model, seed=1).motion.joints
    )
    other = generate(prompts[0], model=model, seed=4)
    assert not np.array_equal(other.tokens[:10], again.tokens[:10])


@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0, 2.35, 9.95, 10.0])
def test_exact_length(model: TextToMotion, seconds: float) -> None:
    made = generate("a person walks forward", model=model, seconds=seconds)
    assert made.motion.frames == round(20 * seconds)
    assert len(made.tokens) == -(-made.motion.frames // 4)


def test_free_length_ends_by_itself(model: TextToMotion) -> None:
    made = generate_batch(
        ["a person walks forward"] * 8, model=model, seeds=range(8), seconds=[None] * 8
    )
    frames = [m.motion.frames for m in made]
    assert min(frames) >= 20
    assert max(frames) <= 200
    assert len(set(frames)) > 1


def test_walking_forward_is_walking_forward(model: TextToMotion) -> None:
    """Hips travel more than a metre the way the figure faces, upright, on alternating feet."""
    made = generate_batch(
        ["a person walks forward"] * 4, model=model, seeds=range(4), seconds=[4.0] * 4
    )
    travels = []
    for one in made:
        joints = one.motion.joints
        assert np.allclose(joints[0, 0, [0, 2]], 0.0, atol=1e-5)
        travels.append(joints[-1, 0, 2])
        assert 0.7 < joints[:, 0, 1].mean() < 1.05
        assert (joints[:, 15, 1] > joints[:, 0, 1] + 0.3).all()
        ahead = np.sign(joints[:, 7, 2] - joints[:, 8, 2])
        assert np.count_nonzero(np.diff(ahead)) >= 2
    assert np.median(travels) > 1.0


def test_bones_have_their_lengths_and_contacts_are_known(model: TextToMotion) -> None:
    motion = generate("a person dances", model=model, seed=5).motion
    parents = list(HUMANML3D.parents[1:])
    lengths = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, parents], axis=-1)
    assert np.abs(lengths - HUMANML3D.bone_lengths[1:]).max() < 1e-4
    assert motion.contacts is not None
    assert motion.contacts.min() >= 0.0
    assert motion.contacts.max() <= 1.0


def test_the_text_matters_and_guidance_strengthens_it(model: TextToMotion) -> None:
    walk = generate("a person walks forward", model=model, seed=1, seconds=4.0)
    sit = generate("a person sits down", model=model, seed=1, seconds=4.0)
    assert not np.array_equal(walk.tokens, sit.tokens)
    free = generate("a person walks forward", model=model, seed=1, seconds=4.0, guidance=0.0)
    other = generate("a person sits down", model=model, seed=1, seconds=4.0, guidance=0.0)
    assert np.array_equal(free.tokens, other.tokens)
    still = generate("a person walks forward", model=model, seed=9, seconds=4.0, temperature=0.0)
    same = generate("a person walks forward", model=model, seed=8, seconds=4.0, temperature=0.0)
    assert np.array_equal(still.tokens, same.tokens)


def test_progress_and_cancel(model: TextToMotion) -> None:
    seen: list[tuple[int, int]] = []
    generate("a person walks", model=model, seconds=2.0, on_progress=lambda *at: seen.append(at))
    assert seen == [(n, 10) for n in range(1, 11)]
    with pytest.raises(Cancelled):
        generate(
            "a person walks",
            model=model,
            seconds=10.0,
            on_progress=lambda *at: seen.append(at),
            is_cancelled=lambda: len(seen) >= 13,
        )
    assert len(seen) == 13


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"prompt": "   "}, "empty"),
        ({"prompt": "walk " * 2000}, "limit"),
        ({"seed": -1}, "seed"),
        ({"seconds": -2.0}, "0.05 to 120"),
        ({"seconds": 120.1}, "0.05 to 120"),
        ({"seconds": float("nan")}, "0.05 to 120"),
        ({"guidance": float("inf")}, "guidance"),
        ({"temperature": -0.1}, "temperature"),
    ],
)
def test_what_cannot_be_used_is_refused(
    model: TextToMotion, asked: dict[str, float | str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        generate(**{"prompt": "a person walks", "model": model, **asked})


def test_unknown_words_warn_and_still_move(model: TextToMotion) -> None:
    made = generate("человек идёт 🙂", model=model, seed=1, seconds=1.0)
    assert any("English" in warning for warning in made.warnings)
    assert generate("a person walks", model=model, seconds=1.0).warnings == ()
