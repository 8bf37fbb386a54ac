# SPDX-License-Identifier: GPL-3.0-or-later
"""`prepare cmu` as a whole: what is kept, what is left out and named, and what is on disk."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from cmu_sample import unpack_sample

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import feature_columns, features_to_joints
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from training.data import prepare
from training.data.captions import mirror_caption
from training.data.cmu import Trial
from training.data.cmu_clips import plan_clips, rest
from training.data.cmu_dataset import prepare_cmu
from training.data.cmu_files import Trials, open_trials
from training.data.dataset import Dataset, read_dataset, statistics
from training.data.facts import facing
from training.data.mirror import mirrored_motion
from training.data.sheet import draw_sheet


@pytest.fixture(scope="module")
def source(shared: Path) -> Path:
    return unpack_sample(shared)


@pytest.fixture(scope="module")
def dataset(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    output = tmp_path_factory.mktemp("prepared") / "cmu"
    prepare_cmu(source, output)
    return read_dataset(output)


def test_all_captioned_ids_are_accounted_for(shared: Path) -> None:
    cmu = shared / "data" / "cmu"
    table = json.loads((cmu / "trials.json").read_text())
    pairs = json.loads((cmu / "pairs.json").read_text())
    trials = Trials(cmu, table, _pairs(pairs))
    plan = plan_clips(trials)
    used = [pair for rows in plan.captioned.values() for pair in rows]
    assert len(used) + len(plan.skipped) == len(pairs) == 353
    assert len(plan.held_out) == 77
    assert len(plan.skipped) == 24
    assert all(s.expected for s in plan.skipped)
    for pair in used:
        assert (pair.split == "train") == (pair.trial not in plan.held_out)


def _pairs(rows: list[dict]) -> tuple:  # type: ignore[type-arg]
    from training.data.cmu_files import Pair

    return tuple(
        Pair(
            r["id"],
            r["trial"],
            r["start_frame_20fps"],
            r["end_frame_20fps"],
            r["split"],
            tuple(r["captions"]),
        )
        for r in rows
    )


def test_our_captions_speak_of_known_trials(shared: Path) -> None:
    table = json.loads((shared / "data/cmu/trials.json").read_text())
    ours = json.loads(Path(prepare.__file__).with_name("cmu_descriptions.json").read_text())
    descriptions = {row["description"] for row in table.values()}
    assert set(ours["windows"]) <= set(table)
    assert set(ours["descriptions"]) <= descriptions
    for name, windows in ours["windows"].items():
        seconds = table[name]["frames"] / table[name]["fps"]
        for window in windows:
            assert window["end"] <= seconds + 0.5, (name, window)
            assert window["end"] - window["start"] <= 10.0


def test_held_out_trials_give_nothing_to_training(dataset: Dataset) -> None:
    splits: dict[str, set[str]] = {}
    for clip in dataset.clips:
        splits.setdefault(clip.source, set()).add(clip.split)
    assert "train" not in splits["07_02"]
    assert all(len(s & {"val", "test"}) == 0 or "train" not in s for s in splits.values())
    assert any(s == {"train"} for s in splits.values())


def test_clips_captions_and_mirrored_copies(dataset: Dataset) -> None:
    by_id = {clip.id: clip for clip in dataset.clips}
    assert len(by_id) == len(dataset.clips)
    assert all(clip.frames >= 19 for clip in dataset.clips)
    originals = [clip for clip in dataset.clips if not clip.mirrored]
    for clip in originals:
        copy = by_id["M" + clip.id]
        assert copy.split == clip.split
        assert copy.captions == tuple(mirror_caption(c) for c in clip.captions)
        a = features_to_joints(dataset.features[clip.id].astype(np.float64), HUMANML3D)
        b = features_to_joints(dataset.features[copy.id].astype(np.float64), HUMANML3D)
        np.testing.assert_allclose(aligned(mirrored_motion(a, HUMANML3D)), aligned(b), atol=2e-4)
    turn = by_id["cmu_16_17_0000"]
    assert any("left" in c for c in turn.captions)
    assert by_id["cmu_09_01_gait"].frames == 99
    assert any(clip.caption_origins[:1] == ("humanml3d",) for clip in originals)
    assert all("nsf" in dataset.credit.lower() and clip.licence for clip in dataset.clips)


def aligned(joints: np.ndarray) -> np.ndarray:
    """On its lowest place and facing +z: a mirrored clip's legs change length, and its heading."""
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), -facing(joints, HUMANML3D)[0])
    return quaternion_rotate(turn, joints - [0.0, joints[..., 1].min(), 0.0])


def test_statistics_are_of_the_train_split_and_grouped(dataset: Dataset) -> None:
    frames = np.concatenate([dataset.features[c.id] for c in dataset.split("train")])
    np.testing.assert_allclose(dataset.mean, frames.mean(axis=0), atol=1e-4)
    for columns in feature_columns(HUMANML3D).values():
        std = frames[:, columns].astype(np.float64).std(axis=0).mean()
        np.testing.assert_allclose(dataset.std[columns], std, rtol=1e-4)
    with pytest.raises(InputError, match="no frames"):
        statistics([], HUMANML3D)


def test_people_stand_on_the_floor(dataset: Dataset) -> None:
    for clip in dataset.clips:
        joints = features_to_joints(dataset.features[clip.id].astype(np.float64), HUMANML3D)
        lowest = joints[..., 1].min(axis=1)
        assert -0.06 < lowest.min() < 0.02, clip.id
        standing = lowest[lowest < np.percentile(lowest, 1) + 0.04]
        assert -0.01 < np.median(standing) < 0.02, clip.id


def test_faults_are_named_and_the_rest_is_kept(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    table = {
        name: json.loads((source / "trials.json").read_text())[name]
        for name in ("02_01", "02_04", "13_39", "16_17", "16_23")
    }
    (folder / "trials.json").write_text(json.dumps(table))
    (folder / "pairs.json").write_text((source / "pairs.json").read_text())
    for row in table.values():
        (folder / row["file"]).parent.mkdir(exist_ok=True)
        (folder / row["file"]).write_text((source / "cmu" / row["file"]).read_text())
    for subject in ("02", "16"):
        asf = f"{subject}/{subject}.asf"
        (folder / asf).write_text((source / "cmu" / asf).read_text())
    _edit(folder / "02/02_01.amc", "rtibia", "rshin", 7)
    _edit(folder / "13/13_39.bvh", "Frames:\t352", "Frames:\t0", 1)
    (folder / "16/16_23.amc").unlink()

    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    output = tmp_path / "out"
    arguments = parser.parse_args(["cmu", str(folder), "-o", str(output), "--quiet", "--no-mirror"])
    assert prepare.run(arguments) == 3
    printed = capsys.readouterr().out
    assert "bone 'rshin'" in printed
    assert "13_39.bvh has no frames" in printed
    assert "16_23.amc cannot be read" in printed
    assert {clip.source for clip in read_dataset(output).clips} == {"02_04", "16_17"}

    (folder / "pairs.json").write_text('[{"id": "1"}]')
    assert prepare.run(arguments) == 2
    assert "pairs.json has a row without 'trial'" in capsys.readouterr().err


def _edit(path: Path, old: str, new: str, count: int) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "malformed"),
        ('{"descriptions": {}}', "malformed"),
        ('{"descriptions": {"walk": {"some": ["x"]}}, "windows": {}}', "malformed"),
        (
            '{"descriptions": {}, "windows": {"02_01": [{"start": 2, "end": 1, "captions": []}]}}',
            "malformed",
        ),
    ],
)
def test_a_bad_captions_file_is_refused(
    source: Path, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        prepare_cmu(source, tmp_path / "out", captions=path)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trials\.json is missing"), open_trials(tmp_path):
        pass
    with pytest.raises(InputError, match="no prepared dataset"):
        read_dataset(tmp_path)


def test_the_rest_is_cut_into_windows() -> None:
    assert rest([], 0, 39) == []
    assert rest([], 2, 42) == [(2, 42)]
    assert rest([(50, 100), (90, 120)], 0, 600) == [(0, 50), (120, 280), (280, 440), (440, 600)]


def test_a_sheet_is_drawn(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_sheet(dataset, dataset.clips[:3], tmp_path / "sheet.png", snapshots=4, columns=1)
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"


def test_every_clip_and_every_trial_is_kept_or_named(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real tables, 353 captioned clips and 385 trials, with people who stand so long."""
    cmu = shared / "data" / "cmu"
    table = json.loads((cmu / "trials.json").read_text())
    pairs = json.loads((cmu / "pairs.json").read_text())

    def still(self: Trials, name: str, skeleton: Skeleton) -> Trial:
        count = int((table[name]["frames"] - 1) * 20 / table[name]["fps"] + 1e-6) + 1
        return Trial(np.tile(skeleton.rest_pose, (count, 1, 1)), 0, "ASF/AMC")

    def cheap(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        return np.zeros((len(joints) - 1, 263), np.float32)

    monkeypatch.setattr(Trials, "read", still)
    monkeypatch.setattr("training.data.cmu_dataset.standing_features", cheap)
    for file in ("trials.json", "pairs.json"):
        (tmp_path / file).write_text((cmu / file).read_text())
    first = tmp_path / next(iter(table.values()))["file"]
    first.parent.mkdir()
    first.write_text("")  # the folder is unpacked
    dataset = prepare_cmu(tmp_path, tmp_path / "out", mirror=False)
    kept = {clip.id for clip in dataset.clips}
    skipped = {row.item for row in dataset.skipped}
    ids = {row["id"] for row in pairs}
    assert len(ids) == 353 and len(table) == 385
    assert ids <= kept | skipped and not ids & kept & skipped
    used = {clip.source for clip in dataset.clips}
    assert set(table) <= used | skipped and not used & skipped
    held_out = {row["trial"] for row in pairs if row["split"] != "train"}
    assert len(held_out) == 77
    assert not any(clip.split == "train" and clip.source in held_out for clip in dataset.clips)
    rest_of = {item.split("_", 1)[1].rsplit("_", 1)[0] for item in skipped if item[:3] == "cmu"}
    assert rest_of and rest_of <= held_out
    printed = prepare.report(dataset)
    number = len(ids & kept)
    short = sum(
        row.reason == "shorter than 40 frames" and row.item in ids for row in dataset.skipped
    )
    assert number + short + 24 == 353
    assert f"353 = {number} kept + {short} shorter than 40 frames + 24 train clips" in printed
    assert f"trials: 385 = {len(used)} used + {385 - len(used)} that" in printed
    assert "77 are held out" in printed
    assert "a trial with val or test clips: 24: 000279" in printed
