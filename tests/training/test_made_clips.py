# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips of what is rare: each does what its caption says, on feet that stand, with whole bones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cmu_sample import unpack_sample

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.skeleton import HUMANML3D
from training.__main__ import main
from training.checks.predicates import PREDICATES
from training.checks.seen import Seen
from training.data.augment import Augmentations, augment
from training.data.captions import mirror_caption
from training.data.cmu_dataset import prepare_cmu
from training.data.dataset import Clip, Dataset, read_dataset, write_dataset
from training.data.grown import sources_of
from training.data.legs import standing_feet
from training.data.made_clips import standing
from training.data.merge import merged
from training.data.new_clips import Material
from training.data.wordings import deeds_of

TRIALS = ("07_01", "09_01", "14_30", "14_31", "16_09", "16_15", "16_35", "91_13", "07_02")
WANTED = Augmentations(
    curves=24, backward=6, turns=12, gestures=36, stoops=12, sequences=40, balance=6, wordings=3,
    mirror=True, seed=4,
)  # fmt: skip
# what a caption of what was made says -> the predicate that must hold, its side from the caption
SAID = {
    r"^a person walks forward( slowly| quickly)?$": "walks",
    r"^a person runs forward": "runs",
    r"^a person walks backward": "walks_backward",
    r"^a person (walks|jogs|runs) in a circle": "circles",
    r"^a person turns to the": "turns",
    r"^a person turns around": "turns_around",
    r"^a person waves with the": "waves",
    r"^a person punches with the": "punches",
    r"^a person throws something with the": "throws",
    r"^a person raises both arms": "raises_both_arms",
    r"^a person raises the": "raises_arm",
    r"^a person bends down and picks": "picks_up",
    r"^a person squats down": "squats",
    r", then sits down": "walks_then_sits",
}
SIDED = {"circles", "turns", "waves", "punches", "throws", "raises_arm"}


@pytest.fixture(scope="module")
def dataset(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made") / "cmu"
    return prepare_cmu(unpack_sample(shared, TRIALS), folder, mirror=False)


@pytest.fixture(scope="module")
def grown(dataset: Dataset) -> Dataset:
    return augment(dataset, WANTED)


@pytest.fixture(scope="module")
def made(dataset: Dataset, grown: Dataset) -> list[tuple[Clip, Seen]]:
    return [
        (clip, Seen.of(features_to_joints(grown.features[clip.id].astype(float), HUMANML3D)))
        for clip in grown.clips
        if clip.id not in dataset.features
    ]


def test_only_who_stands_upright_gets_drawn_gestures(dataset: Dataset) -> None:
    material = [
        Material(clip, features_to_joints(dataset.features[clip.id].astype(float), HUMANML3D))
        for clip in dataset.clips
    ]
    found = standing(material)
    assert found
    for one, start, end in found:
        bent = one.joints[start:end].copy()
        root, trunk = bent[:, :1], [*range(12, 22), 3, 6, 9]
        ahead = np.cross(bent[:, 1] - bent[:, 2], (0.0, 1.0, 0.0))[:, None]
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        angle = np.radians(40.0)  # the body from the hips up, forward
        offset = bent[:, trunk] - root
        along = (offset * ahead).sum(-1, keepdims=True)
        turned_ahead = along * np.cos(angle) + offset[..., 1:2] * np.sin(angle)
        turned_up = offset[..., 1:2] * np.cos(angle) - along * np.sin(angle)
        up = np.array((0.0, 1.0, 0.0))
        bent[:, trunk] += (turned_ahead - along) * ahead + (turned_up - offset[..., 1:2]) * up
        assert standing([Material(one.clip, one.joints[start : end + 1])])
        assert not standing([Material(one.clip, bent)])


def test_every_kind_is_made_and_nothing_of_held_out_trials(
    dataset: Dataset, grown: Dataset, made: list[tuple[Clip, Seen]]
) -> None:
    kinds = {clip.id.lstrip("M")[0] for clip, _ in made}
    assert {"C", "R", "T", "G", "D", "Q", "S"} <= kinds
    held_out = {clip.source for clip in dataset.clips if clip.split != "train"}
    assert held_out == {"07_02"}
    assert not any(held_out & set(sources_of(clip)) for clip, _ in made)
    assert grown.split("val") + grown.split("test") == dataset.split("val") + dataset.split("test")


@pytest.mark.parametrize(("pattern", "predicate"), SAID.items(), ids=list(SAID.values()))
def test_it_does_what_is_said(made: list[tuple[Clip, Seen]], pattern: str, predicate: str) -> None:
    passed = []
    for clip, seen in made:
        said = next((t for t, o in zip(clip.captions, clip.caption_origins, strict=True)
                     if not o.startswith("wording") and re.search(pattern, t)), None)  # fmt: skip
        if said is None or (clip.id.lstrip("M")[0] in "SG" and " while " in said):
            continue
        if predicate == "walks_then_sits" and not said.startswith("a person walks"):
            continue
        side = "left" if re.search(r"\bleft\b|counterclockwise", said) else "right"
        judge = PREDICATES[predicate]
        passed.append(judge(seen, side) if predicate in SIDED else judge(seen))
    assert passed and np.mean(passed) >= 0.85


def test_standing_feet_stand(made: list[tuple[Clip, Seen]]) -> None:
    for clip, seen in made:
        if clip.id[0] not in "CTD" or (clip.id[0] == "C" and "bent" not in clip.source):
            continue
        toes = seen.joints[:, [10, 11]]
        slide = np.linalg.norm(np.diff(toes[..., [0, 2]], axis=0), axis=-1) * HUMANML3D.fps
        stands = standing_feet(seen.joints, HUMANML3D)[1:]
        assert slide[stands].mean() < 0.15, clip.id


def test_bones_are_whole_and_nothing_jumps(made: list[tuple[Clip, Seen]]) -> None:
    parents = np.array(HUMANML3D.parents[1:])
    lengths = np.linalg.norm(HUMANML3D.offsets[1:], axis=-1)
    for clip, seen in made:
        bones = np.linalg.norm(seen.joints[:, 1:] - seen.joints[:, parents], axis=-1)
        assert np.abs(bones - lengths).max() < 2e-3, clip.id
        steps = np.linalg.norm(np.diff(seen.joints, axis=0), axis=-1).max() * HUMANML3D.fps
        assert steps < 14.0, clip.id  # metres a second; a throwing hand and a runner's foot do 10


def test_the_same_seed_makes_the_same_clips(dataset: Dataset, grown: Dataset) -> None:
    few = Augmentations(curves=3, gestures=3, turns=2, wordings=3, seed=4)
    first, again = augment(dataset, few), augment(dataset, few)
    assert first.clips == again.clips
    for clip in first.clips:
        np.testing.assert_array_equal(first.features[clip.id], again.features[clip.id])


def test_rare_actions_get_copies(grown: Dataset) -> None:
    count: dict[str, int] = {}
    for clip in grown.clips:
        deeds = next((d for text in clip.captions if (d := deeds_of(text))), ())
        if len(deeds) == 1 and " while " not in deeds[0] and not clip.mirrored:
            name = min(deeds[0], mirror_caption(deeds[0]))
            count[name] = count.get(name, 0) + 1
    assert count["sits down"] >= WANTED.balance
    assert count.pop("remains seated") < WANTED.balance  # or it would be read for "sits down"
    few = {name for name, number in count.items() if number < 3}
    assert all(name.startswith("jogs") for name in few)  # at another speed it may be no jog


def test_datasets_merge_and_keep_their_licences(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = []
    for name, sources in (("one", {"07_01", "16_15"}), ("two", {"91_13", "07_02"})):
        clips = tuple(clip for clip in dataset.clips if clip.source in sources)
        features = {clip.id: dataset.features[clip.id] for clip in clips}
        half = Dataset(
            name, HUMANML3D, clips, features, dataset.mean, dataset.std, f"licence of {name}",
            f"credit of {name}", notes=(f"note of {name}",),
        )  # fmt: skip
        write_dataset(half, tmp_path / name)
        halves.append(half)
    command = ["merge", str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(tmp_path / "both")]
    assert main(command) == 0
    both = read_dataset(tmp_path / "both")
    assert {c.id for c in both.clips} == {c.id for half in halves for c in half.clips}
    assert both.licence == "licence of one licence of two"
    assert both.notes == ("one: note of one", "two: note of two")
    stacked = np.concatenate([both.features[c.id] for c in both.split("train")])
    np.testing.assert_allclose(both.mean, stacked.mean(axis=0), atol=1e-4)
    twice = merged([halves[0], halves[0]])
    assert len(twice.clips) == len(halves[0].clips)
    assert all("another dataset" in s.reason and not s.expected for s in twice.skipped)
    assert main([*command[:2], "-o", str(tmp_path / "both")]) == 2
    assert "two datasets or more" in capsys.readouterr().err


def test_a_trial_in_two_splits_cannot_be_merged(dataset: Dataset) -> None:
    from dataclasses import replace

    first = replace(dataset, clips=tuple(c for c in dataset.clips if c.source == "07_01"))
    leak = tuple(replace(c, id=c.id + "x", split="test") for c in first.clips)
    features = {c.id: dataset.features[c.id[:-1]] for c in leak}
    with pytest.raises(InputError, match="07_01 has clips in train and in val or test"):
        merged([first, replace(dataset, clips=leak, features=features)])
