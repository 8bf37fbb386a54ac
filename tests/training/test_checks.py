# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompt checks: each predicate knows its action among real clips, and which side it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cmu_sample import unpack_sample

from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.skeleton import HUMANML3D
from training.__main__ import main
from training.checks.nearest import clip_distances, nearest_distances, windows_of
from training.checks.predicates import is_plausible, starts_naturally
from training.checks.run import ask, markdown, real_rates, summarised
from training.checks.seen import Seen, swings
from training.checks.suite import KINDS, NONSENSE, Check, read_suite
from training.data.cmu_dataset import prepare_cmu
from training.data.dataset import Dataset

# Trials that hold most of the hand-picked clips, and some of other things.
TRIALS = (
    "02_01", "02_04", "06_06", "06_07", "07_01", "09_01", "14_02", "14_06", "14_20", "14_29",
    "14_30", "14_32", "14_33", "14_37", "16_01", "16_05", "16_15", "16_17", "16_19", "16_35",
    "29_01", "29_22", "49_02", "60_04", "60_06", "91_01", "91_13", "91_17", "91_47", "135_04",
    "135_07", "135_09", "135_11", "35_01", "35_02", "35_28", "39_01", "39_02", "16_31", "16_58",
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_cmu(unpack_sample(shared, TRIALS), tmp_path_factory.mktemp("checks") / "cmu")


@pytest.fixture(scope="module")
def seen(dataset: Dataset) -> dict[str, Seen]:
    return {
        name: Seen.of(features_to_joints(array.astype(np.float64), HUMANML3D))
        for name, array in dataset.features.items()
    }


def real(check: Check, seen: dict[str, Seen]) -> list[Seen]:
    return [seen[name] for name in check.real if name in seen]


def test_every_check_is_whole() -> None:
    suite = read_suite()
    assert len({check.name for check in suite}) == len(suite)
    for check in suite:
        assert len(check.prompts) >= 3 and len(check.paraphrases) >= 3 and check.real
        assert len(check.others) >= 6 and len(check.typed) >= 8
        assert not set(check.prompts) & set(check.paraphrases)
        other = {"left": "right", "right": "left"}.get(check.side)
        asked = [
            text for kind, text in check.asked if kind != "typed"
        ]  # "he stubbed his right toe"
        assert not any(other in text.split() for text in asked)


def test_predicates_know_their_action_among_real_clips(dataset: Dataset) -> None:
    rates = real_rates(dataset, read_suite(), np.copy)
    judged = 0
    for check in read_suite():
        row = rates[check.name]
        if row["picked"]:
            judged += 1
            assert row["picked_pass"] >= 0.9, check.name
            assert row["rebuilt_pass"] == row["picked_pass"], check.name
        assert row["others_pass"] <= 0.25, check.name
    assert judged > 25


def test_what_rebuilding_loses_is_seen(dataset: Dataset) -> None:
    suite = [check for check in read_suite() if check.name in ("walk", "jump", "stand still")]
    rates = real_rates(dataset, suite, lambda features: np.repeat(features[:1], 60, axis=0))
    assert rates["jump"]["rebuilt_pass"] == 0.0 and rates["jump"]["picked_pass"] >= 0.9


def test_a_side_is_not_the_other(seen: dict[str, Seen]) -> None:
    suite = read_suite()
    pairs = [
        (check, other)
        for check in suite
        for other in suite
        if check.predicate == other.predicate and {check.side, other.side} == {"left", "right"}
    ]
    assert len(pairs) > 10
    for check, other in pairs:
        clips = real(check, seen)
        wrong = [other.passes(clip) for clip in clips]
        assert not clips or np.mean(wrong) <= 0.1, check.name


def test_real_clips_are_plausible_and_mostly_begin_upright(
    dataset: Dataset, seen: dict[str, Seen]
) -> None:
    captured = [seen[clip.id] for clip in dataset.clips]
    assert np.mean([is_plausible(clip) for clip in captured]) > 0.97
    walks = [real(c, seen) for c in read_suite() if c.name in ("walk", "sit", "jump")]
    assert all(starts_naturally(clip) for clips in walks for clip in clips)
    broken = captured[0].joints.copy()
    broken[10, 20] += 3.0
    broken[11:, :, 1] -= 2.0
    assert not is_plausible(Seen(broken))


def test_swings_are_counted() -> None:
    assert swings(np.sin(np.linspace(0, 6 * np.pi, 100)), 0.5) == 6
    assert swings(np.linspace(0, 1, 50), 0.2) == 0
    assert swings(0.1 * np.sin(np.linspace(0, 20, 100)), 0.5) == 0


def test_a_model_that_does_as_asked_passes(seen: dict[str, Seen]) -> None:
    """Real clips, handed out by prompt, in place of a model."""
    suite = [c for c in read_suite() if len(real(c, seen)) >= 2]
    by_prompt = {text: real(c, seen) for c in suite for _, text in c.asked}
    anything = next(iter(by_prompt.values()))

    def generate(prompts: Sequence[str], seeds: Sequence[int]) -> list[Seen]:
        clips = [by_prompt.get(prompt, anything) for prompt in prompts]
        return [found[seed % len(found)] for found, seed in zip(clips, seeds, strict=True)]

    summary = summarised(ask(generate, 2, suite), suite)
    for row in summary["checks"]:
        assert all(row[kind] >= 0.5 for kind in KINDS), row["name"]
        assert row["base_rate"] <= 0.35, row["name"]
        assert row["other_side"] is None or row["other_side"] <= 0.1, row["name"]
    assert set(summary["nonsense"]) == set(NONSENSE)
    table = markdown(summary)
    assert all(f"| {check.name} | {100 * check.target:.0f} %" in table for check in suite)


def test_the_command_writes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    arguments = ["check-prompts", "default", "-o", str(output), "--seeds", "1", "--only"]
    assert main([*arguments, "walk", "walk, then sit", "--quiet"]) == 0
    summary = json.loads((output / "checks.json").read_text())
    assert [row["name"] for row in summary["checks"]] == ["walk", "walk, then sit"]
    walk = next(check for check in read_suite() if check.name == "walk")
    assert set(summary["checks"][0]["each"]) == {prompt for _, prompt in walk.asked}
    assert "| walk |" in (output / "checks.md").read_text()
    assert main([*arguments, "walk", "swim"]) == 2
    assert "no check 'swim'" in capsys.readouterr().err


def test_playback_lies_nearer_than_what_was_never_seen(dataset: Dataset) -> None:
    """A clip of the train split is at distance 0; another of the same action is not."""
    parts = {c.id: windows_of(dataset.features[c.id], HUMANML3D) for c in dataset.clips}
    held_back = [c.id for c in dataset.clips if c.source == "91_47"]
    known = np.concatenate([parts[i] for i in parts if i not in held_back])
    played = clip_distances([dataset.features["cmu_16_15_0001"]], known, HUMANML3D)
    unseen = clip_distances([dataset.features[i] for i in held_back], known, HUMANML3D)
    assert max(played) < 1e-3 and min(unseen) > 0.02
    whole = np.linalg.norm(known[None, :200] - parts[held_back[0]][:3, None], axis=-1)
    nearest = nearest_distances(parts[held_back[0]][:3], known[:200])
    np.testing.assert_allclose(nearest, whole.mean(axis=(2, 3)).min(axis=1), rtol=1e-4)
