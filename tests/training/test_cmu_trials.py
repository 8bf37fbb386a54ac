# SPDX-License-Identifier: GPL-3.0-or-later
"""Trials of all four layouts on the HumanML3D skeleton: upright, right way round, right speed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cmu_sample import TRIALS, unpack_sample

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints, motion_to_features, placed_joints
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.cmu import Trial, read_trial
from training.data.cmu_files import open_trials
from training.data.facts import facing, measure
from training.data.floor import floor_height, standing_features
from training.data.gait import repeated_gait
from training.data.mirror import mirrored_joints
from training.data.sentences import describe

NAMES = HUMANML3D.joint_names


@pytest.fixture(scope="module")
def trials(shared: Path) -> dict[str, Trial]:
    with open_trials(unpack_sample(shared)) as opened:
        return {name: opened.read(name) for name in TRIALS}


def _clip(trial: Trial) -> np.ndarray:
    return placed_joints(trial.joints[trial.first :], HUMANML3D)


def test_all_four_layouts_are_known(trials: dict[str, Trial]) -> None:
    assert {t.layout for t in trials.values()} == {
        "ASF/AMC",
        "cgspeed BVH",
        "Daz-friendly BVH",
        "Chest2 BVH",
    }


@pytest.mark.parametrize("name", TRIALS)
def test_standing_upright_on_uniform_bones(trials: dict[str, Trial], name: str) -> None:
    joints = _clip(trials[name])
    bones = joints[:, 1:] - joints[:, list(HUMANML3D.parents)[1:]]
    np.testing.assert_allclose(
        np.linalg.norm(bones, axis=-1),
        np.broadcast_to(HUMANML3D.bone_lengths[1:], bones.shape[:2]),
        atol=1e-9,
    )
    height = np.median(joints[:, 0, 1]) - floor_height(joints)
    assert 0.80 < height < 1.02
    assert np.median(joints[:, NAMES.index("head"), 1]) > 1.35
    across = joints[0, NAMES.index("left_hip")] - joints[0, NAMES.index("right_hip")]
    assert across[0] > 0.1  # facing +z, the left is +x
    toes = joints[0, [NAMES.index("left_foot"), NAMES.index("right_foot")]]
    ankles = joints[0, [NAMES.index("left_ankle"), NAMES.index("right_ankle")]]
    assert (toes - ankles)[:, 2].max() > 0.1  # the toes of the foot on the floor are before it


@pytest.mark.parametrize("name", TRIALS)
def test_features_give_the_joints_back_and_mirroring_is_exact(
    trials: dict[str, Trial], name: str
) -> None:
    joints = trials[name].joints[trials[name].first :]
    features = motion_to_features(joints, HUMANML3D, uniform=False)
    back = features_to_joints(features.astype(np.float32).astype(np.float64), HUMANML3D)
    assert np.abs(back - placed_joints(joints, HUMANML3D)[:-1]).max() < 1e-3
    twice = mirrored_joints(mirrored_joints(joints, HUMANML3D), HUMANML3D)
    np.testing.assert_allclose(twice, joints, atol=1e-9)
    mirrored = measure(mirrored_joints(joints, HUMANML3D), HUMANML3D)
    assert mirrored.turn == pytest.approx(-measure(joints, HUMANML3D).turn, abs=1e-6)


def test_mirrored_features_twice_are_the_original(trials: dict[str, Trial]) -> None:
    joints = _clip(trials["16_17"])
    once = standing_features(mirrored_joints(joints, HUMANML3D), HUMANML3D)
    shown = features_to_joints(once.astype(np.float64), HUMANML3D)
    again = mirrored_joints(shown, HUMANML3D)
    original = standing_features(joints, HUMANML3D)
    back = features_to_joints(original.astype(np.float64), HUMANML3D)
    np.testing.assert_allclose(again, back, atol=1e-5)  # 1e-6 before features become float32


@pytest.mark.parametrize("name", ["02_04", "13_39", "91_47"])
def test_scale_and_frame_rate_let_the_pelvis_fall_as_things_fall(shared: Path, name: str) -> None:
    with open_trials(unpack_sample(shared)) as opened:
        trial = opened.read(name, replace(HUMANML3D, fps=60.0))
    joints = trial.joints[trial.first :]
    feet = joints[:, [7, 8, 10, 11], 1].min(axis=1) - floor_height(joints)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (feet > 0.07).astype(int), [0]))))
    start, end = max(zip(edges[::2], edges[1::2], strict=True), key=lambda run: run[1] - run[0])
    assert end - start > 12
    fall = -2 * np.polyfit(np.arange(end - start) / 60, joints[start:end, 0, 1], 2)[0]
    assert 9.0 < fall < 10.3


def test_speeds_turns_and_sides(trials: dict[str, Trial]) -> None:
    walk = measure(_clip(trials["02_01"]), HUMANML3D)
    assert 1.0 < walk.speed < 1.4
    assert abs(walk.heading) < 10
    assert measure(_clip(trials["09_01"]), HUMANML3D).speed > 2.9
    backward = measure(_clip(trials["06_06"]), HUMANML3D)
    assert abs(backward.heading) > 160
    assert 70 < measure(_clip(trials["16_17"]), HUMANML3D).turn < 115  # a left turn
    teapot = _clip(trials["29_03"])
    wrists = teapot[160:260, [NAMES.index("left_wrist"), NAMES.index("right_wrist")], 1]
    assert np.median(wrists[:, 0] - wrists[:, 1]) > 0.1  # spout: the left arm
    assert abs(facing(teapot, HUMANML3D)[0]) < 0.3


def test_false_starts_are_dropped(trials: dict[str, Trial]) -> None:
    assert trials["02_01"].first == 0
    for name in ("07_12", "13_39", "16_23"):
        trial = trials[name]
        assert 0 < trial.first <= 2, name
        steps = np.linalg.norm(np.diff(trial.joints[trial.first :], axis=0), axis=-1).max(axis=-1)
        assert steps[:6].max() < 2.5 * np.median(steps) + 0.1, name


def test_a_middle_frame_is_interpolated(shared: Path) -> None:
    folder = unpack_sample(shared)
    text, asf = (folder / "cmu/02" / n for n in ("02_01.amc", "02.asf"))
    odd = read_trial(text.read_text(), name="02_01.amc", fps=50.0, asf=asf.read_text())
    full = read_trial(
        text.read_text(),
        name="02_01.amc",
        fps=50.0,
        asf=asf.read_text(),
        skeleton=replace(HUMANML3D, fps=50.0),
    )
    assert len(odd.joints) == int((len(full.joints) - 1) / 2.5) + 1
    np.testing.assert_allclose(odd.joints[2], full.joints[5], atol=1e-9)
    between = (full.joints[2] + full.joints[3]) / 2
    assert 0 < np.abs(odd.joints[1] - between).max() < 2e-3


def test_facts_become_sentences(trials: dict[str, Trial]) -> None:
    said = {name: describe(_clip(trials[name]), HUMANML3D) for name in TRIALS}
    assert "a person walks forward" in said["02_01"]
    assert "a person runs forward" in said["09_01"]
    assert "a person walks forward and turns left" in said["16_17"]
    mirrored = mirrored_joints(_clip(trials["16_17"]), HUMANML3D)
    assert "a person walks forward and turns right" in describe(mirrored, HUMANML3D)
    assert any("jumps" in s for s in said["13_39"])
    assert any("backward" in s for s in said["06_06"])


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ((), "a person stands still"),
        (("left",), "a person raises the left hand above the head"),
        (("right",), "a person raises the right hand above the head"),
        (("left", "right"), "a person raises both hands above the head"),
    ],
)
def test_the_raised_hand_is_named(raised: tuple[str, ...], sentence: str) -> None:
    pose = HUMANML3D.rest_pose
    for side in ("left", "right"):
        shoulder, elbow, wrist = (
            NAMES.index(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist")
        )
        up = np.array([0.0, 1.0 if side in raised else -1.0, 0.0])
        pose[elbow] = pose[shoulder] + 0.26 * up
        pose[wrist] = pose[elbow] + 0.27 * up
    assert sentence in describe(np.repeat(pose[None], 60, axis=0), HUMANML3D)


def test_a_short_run_goes_on(trials: dict[str, Trial]) -> None:
    run = _clip(trials["09_01"])
    longer = repeated_gait(run, HUMANML3D, frames=100)
    assert longer is not None
    assert longer.shape == (100, 22, 3)
    before, after = measure(run, HUMANML3D), measure(longer, HUMANML3D)
    assert after.speed == pytest.approx(before.speed, rel=0.05)
    jerk = [np.linalg.norm(np.diff(j, n=2, axis=0), axis=-1).max() for j in (run, longer)]
    assert jerk[1] < 1.3 * jerk[0]
    assert repeated_gait(_clip(trials["16_17"]), HUMANML3D, frames=100) is None


def test_bad_trials_are_named(shared: Path) -> None:
    folder = unpack_sample(shared)
    text = (folder / "cmu/02/02_01.amc").read_text()
    asf = (folder / "cmu/02/02.asf").read_text()
    with pytest.raises(InputError, match=r"02_01\.amc: its \.asf"):
        read_trial(text, name="02_01.amc", fps=120)
    with pytest.raises(InputError, match="frame rate"):
        read_trial(text, name="02_01.amc", fps=float("nan"), asf=asf)
    with pytest.raises(InputError, match="less than two"):
        read_trial(text[: text.index("\n5\n") + 1], name="02_01.amc", fps=120, asf=asf)
    bvh = (folder / "cmu/13/13_39.bvh").read_text().replace("lThigh", "leftUpperLeg")
    with pytest.raises(InputError, match="no known CMU layout"):
        read_trial(bvh, name="13_39.bvh", fps=120)
