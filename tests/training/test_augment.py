# SPDX-License-Identifier: GPL-3.0-or-later
"""New clips made from real ones: true captions, sound motion, train only, the same for a seed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cmu_sample import unpack_sample

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints, motion_to_features, rigid_joints
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import HUMANML3D, KIT
from training.__main__ import main
from training.data.augment import Augmentations, augment
from training.data.cmu_dataset import prepare_cmu
from training.data.dataset import Clip, Dataset, read_dataset
from training.data.facts import facing, measure
from training.data.grown import facing_of, sources_of
from training.data.joining import joined_motion
from training.data.mirror import mirrored_motion
from training.data.new_clips import Material

TRIALS = (
    "02_01",  # walk
    "02_04",  # jump
    "07_02",  # walk, of the val or test split
    "14_06",  # squats, jumping jacks, runs on the spot
    "14_24",  # directs traffic
    "14_30",  # sits down, gets up
    "14_37",  # drinks; the left hand above the head
    "16_05",  # jumps forward
    "16_15",  # walk
    "16_17",  # walks and turns left
    "16_23",  # walks, veering left
    "16_30",  # walks, turns right
)
EVERYTHING = Augmentations(
    mirror=True, speeds=(0.85, 1.15), compose=12, body_parts=6, facts=True, seed=3
)
PARENTS = np.array(HUMANML3D.parents[1:])
LENGTHS = np.linalg.norm(HUMANML3D.offsets[1:], axis=-1)


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("prepared") / "cmu"
    prepare_cmu(unpack_sample(shared, TRIALS), output, mirror=False)
    return output


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder)


@pytest.fixture(scope="module")
def grown(dataset: Dataset) -> Dataset:
    return augment(dataset, EVERYTHING)


@pytest.fixture(scope="module")
def new(dataset: Dataset, grown: Dataset) -> list[Clip]:
    return [clip for clip in grown.clips if clip.id not in dataset.features]


def joints_of(dataset: Dataset, name: str) -> np.ndarray:
    return features_to_joints(dataset.features[name].astype(np.float64), HUMANML3D)


def steps(joints: np.ndarray) -> np.ndarray:
    """The largest step of any joint from frame to frame, in metres."""
    result: np.ndarray = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=-1)
    return result


def test_every_kind_is_made(new: list[Clip]) -> None:
    kinds = {re.sub(r"^(M?)([SJB]?).*", r"\1\2", clip.id) for clip in new}
    assert {"S", "J", "B", "MS", "MJ", "MB"} <= kinds
    assert sum(clip.id.startswith("J_") for clip in new) == EVERYTHING.compose
    assert all(clip.mirrored == clip.id.startswith("M") for clip in new)


def test_only_the_train_split_grows(dataset: Dataset, grown: Dataset, new: list[Clip]) -> None:
    held_out = {clip.source for clip in dataset.clips if clip.split != "train"}
    assert held_out
    assert all(clip.split == "train" and not held_out & set(sources_of(clip)) for clip in new)
    for clip in dataset.clips:
        np.testing.assert_array_equal(grown.features[clip.id], dataset.features[clip.id])
    for split in ("val", "test"):
        assert grown.split(split) == dataset.split(split)


def test_a_trial_of_two_splits_is_not_augmented(dataset: Dataset) -> None:
    source = next(clip.source for clip in dataset.clips if clip.split != "train")
    leaking = replace(
        dataset,
        clips=tuple(
            replace(clip, source=source) if clip.id == "cmu_16_17_0000" else clip
            for clip in dataset.clips
        ),
    )
    grown = augment(leaking, EVERYTHING)
    made = [clip for clip in grown.clips if clip.id not in dataset.features]
    assert made and not any("16_17" in clip.id for clip in made)


def test_motions_are_sound(grown: Dataset, new: list[Clip]) -> None:
    for clip in new:
        array = grown.features[clip.id]
        assert np.isfinite(array).all()
        assert 39 <= len(array) == clip.frames <= 199 or clip.id[1:] in grown.features
        joints = joints_of(grown, clip.id)
        lengths = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS], axis=-1)
        np.testing.assert_allclose(lengths, np.broadcast_to(LENGTHS, lengths.shape), atol=1e-4)


def test_provenance(dataset: Dataset, grown: Dataset, new: list[Clip]) -> None:
    by_source = {clip.source: clip for clip in dataset.clips}
    trials = set(by_source)
    for clip in new:
        assert set(sources_of(clip)) <= trials
        for source in sources_of(clip):
            assert by_source[source].subject in clip.subject
            assert by_source[source].origin.split(",")[0] in clip.origin
        assert "CMU" in clip.licence
        assert len(clip.captions) == len(clip.caption_origins)
    mit = [c for c in new if "012181" in c.id]  # HumanML3D's captions
    assert mit and all("MIT captions" in clip.licence for clip in mit)
    joined = next(clip for clip in new if clip.id.startswith("J_"))
    assert re.fullmatch(r"\w+\[\d+:\d+\] then \w+\[\d+:\d+\]", joined.source)
    assert grown.notes[-1].startswith("augmented (seed 3): ")


def test_the_seed_decides(dataset: Dataset, grown: Dataset) -> None:
    again = augment(dataset, EVERYTHING)
    assert again.clips == grown.clips
    assert all((again.features[c.id] == grown.features[c.id]).all() for c in grown.clips)
    np.testing.assert_array_equal(again.mean, grown.mean)
    other = augment(dataset, replace(EVERYTHING, seed=4))
    assert {c.id for c in other.clips} != {c.id for c in grown.clips}


def test_switches(dataset: Dataset) -> None:
    for wanted, letters in (
        (Augmentations(speeds=(1.2,)), {"S"}),
        (Augmentations(compose=2), {"J"}),
        (Augmentations(body_parts=2), {"B"}),
        (Augmentations(mirror=True), {"M"}),
        (Augmentations(facts=True), set()),
    ):
        made = [c for c in augment(dataset, wanted).clips if c.id not in dataset.features]
        assert {clip.id[0] for clip in made} == letters


def test_mirrored_twice_is_the_original(dataset: Dataset) -> None:
    for clip in dataset.clips:
        joints = rigid_joints(joints_of(dataset, clip.id), HUMANML3D)
        once = mirrored_motion(joints, HUMANML3D)
        assert np.abs(once - joints).max() > 0.05
        np.testing.assert_allclose(mirrored_motion(once, HUMANML3D), joints, atol=1e-6)


def test_mirrored_clips_swap_their_sides(grown: Dataset, new: list[Clip]) -> None:
    checked = 0
    for clip in new:
        if not clip.mirrored:
            continue
        there = measure(joints_of(grown, clip.id[1:])[: clip.frames], HUMANML3D)
        here = measure(joints_of(grown, clip.id), HUMANML3D)
        assert here.turn == pytest.approx(-there.turn, abs=3.0)
        assert here.left_hand_up == pytest.approx(there.right_hand_up, abs=0.06)
        turns = [c for c in clip.captions if re.search(r"turns? (?:to the )?right\b", c)]
        if abs(here.turn) > 60 and turns and clip.id.startswith(("Mcmu", "MS")):
            assert here.turn < 0, clip.captions
            checked += 1
    assert checked


def test_speed_changes_speed_and_nothing_else(dataset: Dataset, grown: Dataset) -> None:
    before = measure(joints_of(grown, "012181"), HUMANML3D)
    for factor in (0.85, 1.15):
        after = measure(joints_of(grown, f"S{factor:g}_012181"), HUMANML3D)
        assert after.seconds == pytest.approx(before.seconds / factor, abs=0.15)
        assert after.speed == pytest.approx(before.speed * factor, rel=0.03)
        assert after.distance == pytest.approx(before.distance, rel=0.06)
        assert after.steps == pytest.approx(before.steps, abs=1)


def test_pace_words_stay_true(dataset: Dataset) -> None:
    made = augment(dataset, Augmentations(speeds=(0.5, 0.85, 1.6)))
    clips = {clip.id: clip for clip in made.clips}
    walk = clips["S0.5_012181"]
    assert measure(joints_of(made, walk.id), HUMANML3D).speed < 0.75
    assert any("walks slowly" in caption for caption in walk.captions)
    assert not any("normal speed" in caption for caption in walk.captions)
    quick = clips["S1.6_cmu_16_15_0001"]
    assert measure(joints_of(made, quick.id), HUMANML3D).speed > 1.6
    assert "a person walks forward quickly" in quick.captions
    usual = clips["S0.85_012181"]
    assert not any("slowly" in caption for caption in usual.captions)


def test_joined_clips_do_one_thing_then_the_other(grown: Dataset, new: list[Clip]) -> None:
    turned = 0
    for clip in new:
        match = re.fullmatch(r"\S+\[(\d+):(\d+)\] then \S+\[(\d+):(\d+)\]", clip.source)
        if match is None or clip.mirrored:
            continue
        joints = joints_of(grown, clip.id)
        seam = int(match[2]) - int(match[1])
        assert all(", then " in caption for caption in clip.captions)
        for caption in clip.captions:
            first, second = caption.rsplit(", then ", 1)
            for said, part in ((first, joints[: seam - 3]), (second, joints[seam - 3 :])):
                facts = measure(part, HUMANML3D)
                if re.search(r"\b(?:walks|runs|jogs)\b(?! (?:in place|on the spot))", said):
                    assert facts.distance > 0.8, caption
                if re.search(r"\bjumps\b", said):
                    assert facts.jumps, caption
                if re.search(r"\bturns left\b|left turn", said):
                    assert facts.turn > 45, caption
                    turned += 1
    assert turned or not any("left" in c for clip in new for c in clip.captions if "then" in c)


def test_seams_are_as_smooth_as_real_motion(dataset: Dataset, grown: Dataset) -> None:
    def changes(joints: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).max(axis=-1)
        return result

    real = [joints_of(dataset, c.id) for c in dataset.split("train")]
    longest = np.percentile(np.concatenate([steps(j) for j in real]), 99.9)
    sharpest = np.percentile(np.concatenate([changes(j) for j in real]), 99.5)
    cuts = []
    for clip in (c for c in grown.clips if c.id.startswith("J_")):
        match = re.fullmatch(r"(\S+)\[(\d+):(\d+)\] then (\S+)\[(\d+):(\d+)\]", clip.source)
        assert match
        seam = int(match[3]) - int(match[2])
        joints = joints_of(grown, clip.id)
        assert steps(joints[seam - 8 : seam + 3]).max() < longest
        assert changes(joints[seam - 7 : seam + 3]).max() < sharpest
        second = next(c for c in dataset.clips if clip.id.endswith(f"_{c.id}"))
        begun = joints_of(dataset, second.id)[int(match[5]) - second.start_frame :]
        cuts.append(changes(np.concatenate((joints[seam - 8 : seam], begun[:4]))).max())
    assert np.mean(np.array(cuts) > sharpest) > 0.8  # a plain cut would not pass


def test_a_seam_keeps_heading_place_and_floor(dataset: Dataset) -> None:
    walk = joints_of(dataset, "012181")
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), np.asarray(2.0))
    elsewhere = quaternion_rotate(turn, walk) + [5.0, 0.0, -3.0]
    joined = joined_motion(walk, elsewhere, HUMANML3D)
    assert joined is not None
    a, b = joined.seam
    assert b - a == 6
    facts = measure(joined.joints, HUMANML3D)
    assert abs(facts.turn) < 15 and facts.displacement > 0.97 * facts.distance
    yaw = facing(joined.joints, HUMANML3D)
    assert np.abs(np.diff(yaw)).max() < np.radians(10)
    lifted = walk + [0.0, 0.5, 0.0]
    assert joined_motion(walk, lifted, HUMANML3D) is None
    lying = quaternion_rotate(
        quaternion_from_axis_angle(np.array([1.0, 0.0, 0.0]), np.asarray(1.5)), walk
    )
    assert joined_motion(walk, lying, HUMANML3D) is None


def test_legs_and_path_of_one_arms_of_the_other(dataset: Dataset, grown: Dataset) -> None:
    by_trial = {clip.source: clip for clip in dataset.clips}
    made = [c for c in grown.clips if c.id.startswith("B_")]
    assert made
    for clip in made:
        match = re.fullmatch(r"(\S+)\[\d+:\d+\] over the legs of (\S+)\[(\d+):(\d+)\]", clip.source)
        assert match
        lower = next(c for c in dataset.clips if clip.id.endswith("_" + c.id))
        start = int(match[3]) - lower.start_frame
        own = joints_of(dataset, lower.id)[start : start + clip.frames]
        now = joints_of(grown, clip.id)
        legs = [1, 2, 4, 5, 7, 8, 10, 11]
        for a, b in ((0, 7), (0, 8), (0, 4)):
            np.testing.assert_allclose(
                np.linalg.norm(now[:, a] - now[:, b], axis=-1),
                np.linalg.norm(own[:, a] - own[:, b], axis=-1),
                atol=1e-4,
            )
        assert np.ptp(now[:, legs, 1] - own[:, legs, 1]) < 1e-3
        there, here = measure(own, HUMANML3D), measure(now, HUMANML3D)
        assert here.distance == pytest.approx(there.distance, abs=0.02)
        assert here.steps == there.steps
        assert here.upright > 0.8
        assert all(" while " in caption for caption in clip.captions)
        assert by_trial[match[1]].id != lower.id


def test_measured_captions(grown: Dataset) -> None:
    clip = next(clip for clip in grown.clips if clip.id == "012181")
    counted = [c for c, o in zip(clip.captions, clip.caption_origins, strict=True) if o == "facts"]
    facts = measure(joints_of(grown, clip.id), HUMANML3D)
    assert any(c.endswith("meters") for c in counted)
    numbers = {4: "four", 5: "five", 6: "six"}
    assert f"a person walks forward, taking {numbers[facts.steps]} steps" in counted
    jump = measure(joints_of(grown, "007923"), HUMANML3D)
    assert 0.25 < jump.jump_height < 0.6


def test_features_face_as_the_dataset_does(dataset: Dataset) -> None:
    clip = next(clip for clip in dataset.clips if clip.id == "cmu_16_17_0000")
    joints = joints_of(dataset, clip.id)
    material = [Material(clip, joints)]
    assert facing_of(dataset, material) == "body"
    other = motion_to_features(joints, HUMANML3D, uniform=False, facing="continuous")
    published = replace(dataset, features={**dataset.features, clip.id: other.astype(np.float32)})
    back = features_to_joints(other, HUMANML3D)
    assert facing_of(published, [Material(clip, back)]) == "continuous"


def test_bad_input_is_refused(
    dataset: Dataset, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="kit-21"):
        augment(replace(dataset, skeleton=KIT), EVERYTHING)
    empty = replace(dataset, clips=tuple(c for c in dataset.clips if c.split != "train"))
    with pytest.raises(InputError, match="no train clip"):
        augment(empty, EVERYTHING)
    for arguments, message in (
        ([], "Nothing to add"),
        (["--speed", "fast"], "not 'fast'"),
        (["--speed", "3"], "between 0.5 and 2"),
        (["--compose", "-1"], "cannot be negative"),
        (["--mirror", "--seed", "-1"], "cannot be negative"),
    ):
        assert main(["augment", str(folder), "-o", str(tmp_path / "out"), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert main(["augment", str(folder), "-o", str(folder), "--mirror"]) == 2
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("")
    capsys.readouterr()
    # the place is looked at first, the dataset not at all
    assert main(["augment", str(tmp_path / "none"), "-o", str(full), "--mirror"]) == 2
    assert "other files" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_dataset(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert main(["augment", str(folder), "-o", str(output), "--speed", "1.1", "--mirror"]) == 0
    made = read_dataset(output)
    train = len(dataset.split("train"))
    assert train < len(made.clips) - len(dataset.clips) <= 3 * train
    frames = np.concatenate([made.features[c.id] for c in made.split("train")])
    np.testing.assert_allclose(made.mean, frames.mean(axis=0), atol=1e-4)
