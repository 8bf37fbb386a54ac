# SPDX-License-Identifier: GPL-3.0-or-later
"""The published folders of HumanML3D and KIT-ML: what comes out of them, and what is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from published_sample import TURNING, turning_joints, write_humanml3d, write_kit

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import features_to_joints, motion_to_features
from t2m_blender.engine.skeleton import HUMANML3D
from training.__main__ import main
from training.data.annotations import cut_parts, open_texts, read_captions, read_index, read_splits
from training.data.captions import read_caption
from training.data.dataset import Dataset, read_dataset
from training.data.published import HUMANML3D_EDITION, mend_yaw, prepare_published


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    write_humanml3d(tmp_path / "HumanML3D", shared)
    return tmp_path / "HumanML3D"


def prepare(folder: Path, tmp_path: Path, *options: str, source: str = "humanml3d") -> int:
    output = str(tmp_path / "out")
    return main(["prepare", source, str(folder), "-o", output, "--quiet", *options])


def skipped_of(dataset: Dataset) -> dict[str, tuple[str, bool]]:
    return {row.item: (row.reason, row.expected) for row in dataset.skipped}


def test_a_sound_folder_is_kept_whole(
    folder: Path, tmp_path: Path, parity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(folder, tmp_path) == 0
    printed = capsys.readouterr().out
    assert "the split files name 10 of the 29228 published clips; 10 could be read" in printed
    assert "they agree" in printed
    dataset = read_dataset(tmp_path / "out")
    clips = {clip.id: clip for clip in dataset.clips}
    assert not dataset.skipped
    assert len(clips) == 11
    clip = clips["012314"]
    with np.load(parity / "humanml3d_012314.npz") as file:
        np.testing.assert_array_equal(dataset.features["012314"], file["features"])
    assert (clip.split, clip.frames, clip.mirrored) == ("train", 170, False)
    assert clip.source.startswith("Eyes_Japan_Dataset/yamaoka/tennis-15-first service")
    assert clip.subject == "Eyes_Japan_Dataset yamaoka"
    # three seconds of that set are dropped before index.csv counts
    assert (clip.start_frame, clip.end_frame) == (60 + 149, 60 + 149 + 170)
    assert "non-commercial" in clip.licence
    assert "AMASS" in dataset.credit
    assert all("#" not in caption for clip in dataset.clips for caption in clip.captions)
    # mirrored clips have text files of their own
    assert clips["M012314"].mirrored
    assert all(caption.startswith("mirrored: ") for caption in clips["M012314"].captions)
    assert clips["M012314"].subject == clip.subject


def test_a_caption_about_a_part_is_a_clip(folder: Path, tmp_path: Path) -> None:
    dataset = prepare_published(folder, tmp_path / "out", edition=HUMANML3D_EDITION)
    clips = {clip.id: clip for clip in dataset.clips}
    assert clips["000003a"].captions == ("a man lifts something",)
    assert clips["000003a"].frames == 50
    assert clips["000003a"].split == "val"
    np.testing.assert_array_equal(dataset.features["000003a"], dataset.features["000003"][:50])
    assert "a man lifts something" not in clips["000003"].captions
    assert len(clips["000003"].captions) == 4


def test_parts_are_cut_as_the_published_loader_does() -> None:
    captions = [read_caption(f"a man#a/DET#{a}#{b}") for a, b in ((0, 0), (1.02, 4), (1, 2.9))]
    parts, skipped = cut_parts("1", captions, 100, fps=20.0, shortest=40)
    assert [(p.id, p.start, p.end) for p in parts] == [("1", 0, 100), ("1a", 20, 80)]
    assert [(s.item, s.expected) for s in skipped] == [("1b", True)]
    parts, _ = cut_parts("1", captions[1:2], 100, fps=20.0, shortest=40)
    assert parts[0].captions == ()  # for stage 1 only
    for frames in (39, 200):
        parts, skipped = cut_parts("1", captions, frames, fps=20.0, shortest=40)
        assert not parts
        assert "published loader leaves out" in skipped[0].reason


def test_the_flipped_yaw_is_mended(folder: Path, tmp_path: Path, parity: Path) -> None:
    joints = turning_joints(parity)
    exact = motion_to_features(joints, HUMANML3D)
    published = motion_to_features(joints, HUMANML3D, facing="published").astype(np.float32)
    mended, count = mend_yaw(published, HUMANML3D)
    wrong = np.abs(published[:, 0] - exact[:, 0]) > 1e-3
    assert count == wrong.sum() == 1
    np.testing.assert_allclose(mended[:-1], exact[:-1], atol=1e-5)
    lost = features_to_joints(published.astype(np.float64), HUMANML3D)
    back = features_to_joints(mended.astype(np.float64), HUMANML3D)
    true = features_to_joints(exact, HUMANML3D)
    assert np.linalg.norm(lost - true, axis=-1).max() > 0.05
    assert np.linalg.norm(back - true, axis=-1).max() < 1e-3
    whole, nothing = mend_yaw(exact.astype(np.float32), HUMANML3D)
    assert nothing == 0
    np.testing.assert_array_equal(whole, exact.astype(np.float32))

    dataset = prepare_published(folder, tmp_path / "mended", edition=HUMANML3D_EDITION)
    np.testing.assert_array_equal(dataset.features[TURNING], mended)
    assert any("mended in 2 clips" in note for note in dataset.notes)  # and its mirrored copy
    dataset = prepare_published(folder, tmp_path / "as", edition=HUMANML3D_EDITION, mend=False)
    np.testing.assert_array_equal(dataset.features[TURNING], published)


def test_kit_has_251_features(
    tmp_path: Path, parity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_kit(tmp_path / "KIT-ML", parity)
    assert prepare(tmp_path / "KIT-ML", tmp_path, source="kit") == 0
    assert "statistics not compared" in capsys.readouterr().out
    dataset = read_dataset(tmp_path / "out")
    assert dataset.skeleton.feature_size == 251
    assert {clip.id: clip.frames for clip in dataset.clips} == {"00001": 59, "00002": 40}
    assert "shorter than 24" in skipped_of(dataset)["00003"][0]
    assert all("KIT-ML" in clip.licence for clip in dataset.clips)


def test_faults_are_named_and_the_rest_is_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, texts = folder / "new_joint_vecs", folder / "texts"
    good = np.load(vectors / "012314.npy")
    broken = good.copy()
    broken[7, 11] = np.nan
    files = {
        "007975": broken,
        "000004": broken,
        "000005": good[:0],
        "000006": good[:, :251],
        "000007": good[:39],
        "000008": np.concatenate((good, good[:30])),
        "000011": good,
    }
    for name, array in files.items():
        np.save(vectors / f"{name}.npy", array)
        (texts / f"{name}.txt").write_text("a man walks#a/DET#0.0#0.0\n")
    (vectors / "000009.npy").write_bytes(b"no array")
    (texts / "000022.txt").write_text(
        "a man walks#a/DET#0.0#0.0\na man hops\na man hops#a/DET#1.0\na#b#x#y\n#b#0.0#0.0\n\n"
    )
    (texts / "000002.txt").unlink()
    with (folder / "train.txt").open("a") as file:
        names = [*files, "000009", "000010", "000003"]
        file.write("\n".join(n for n in names if n != "000011") + "\n")
    assert prepare(folder, tmp_path) == 3
    printed = capsys.readouterr().out
    dataset = read_dataset(tmp_path / "out")
    skipped = skipped_of(dataset)
    assert skipped["007975"] == ("holds NaN, as published", True)
    assert skipped["000004"] == ("holds NaN (first in frame 7)", False)
    assert skipped["000005"] == ("has no frames", False)
    assert "[170, 251]" in skipped["000006"][0]
    assert skipped["000007"][0].startswith("shorter than 40 frames")
    assert skipped["000008"][0].startswith("200 or more frames")
    assert "cannot be read" in skipped["000009"][0]
    assert "no features" in skipped["000010"][0]
    assert skipped["000011"] == ("is in no split file", True)
    assert "train.txt and val.txt" in skipped["000003"][0]
    assert "kept without captions" in skipped["000002"][0]
    assert "1 columns" in skipped["000022.txt:2"][0]
    assert "3 columns" in skipped["000022.txt:3"][0]
    assert "no times" in skipped["000022.txt:4"][0]
    assert "no sentence" in skipped["000022.txt:5"][0]
    for item in skipped:
        assert item in printed
    clips = {clip.id: clip for clip in dataset.clips if not clip.mirrored}
    assert set(clips) == {"012314", "000002", "000003", "000003a", TURNING, "000022"}
    assert clips["000022"].captions == ("a man walks",)
    assert clips["000002"].captions == ()
    assert clips["000003"].split == "val"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("new_joint_vecs", "no folder new_joint_vecs"),
        ("val.txt", r"val\.txt is missing"),
        ("texts", "has no captions"),
    ],
)
def test_an_unusable_folder_is_refused(
    folder: Path, tmp_path: Path, missing: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / missing).rename(folder / "elsewhere")
    assert prepare(folder, tmp_path) == 2
    with pytest.raises(InputError, match=message):
        prepare_published(folder, tmp_path / "out", edition=HUMANML3D_EDITION)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    places = {"file/where": "cannot be made", "file": "is a file", "full": "other files"}
    for place, message in places.items():
        # the source is not even looked at
        assert main(["prepare", "kit", "nowhere", "-o", str(tmp_path / place), "--quiet"]) == 2
        assert message in capsys.readouterr().err


def test_statistics_of_other_data_are_told_apart(folder: Path, tmp_path: Path) -> None:
    np.save(folder / "Std.npy", 2.0 * np.load(folder / "Std.npy"))
    dataset = prepare_published(folder, tmp_path / "a", edition=HUMANML3D_EDITION)
    assert "std within 50.0 %" in dataset.notes[-1]
    assert "not the whole" in dataset.notes[-1]
    mean = np.load(folder / "Mean.npy")
    np.save(folder / "Mean.npy", mean + 9.0 * (np.arange(263) == 5))
    dataset = prepare_published(folder, tmp_path / "c", edition=HUMANML3D_EDITION)
    assert "standard deviations (column 5)" in dataset.notes[-1]
    np.save(folder / "Std.npy", np.ones(251))
    dataset = prepare_published(folder, tmp_path / "b", edition=HUMANML3D_EDITION)
    assert "of another dataset" in dataset.notes[-1]


def test_the_real_splits_index_and_captions(shared: Path) -> None:
    real = shared / "data" / "humanml3d"
    splits, faults = read_splits(real)
    assert not faults
    assert len(splits) == HUMANML3D_EDITION.clips
    rows, faults = read_index(real / "index.csv")
    assert not faults
    assert len(rows) == 14_616
    assert sum(row.id not in splits for row in rows) == 2
    lines_of = open_texts(real)
    captions = [read_captions(row.id, lines_of(row.id))[0] for row in rows if lines_of(row.id)]
    assert len(captions) == 12_080
    assert sum(len(c) for c in captions) == 36_048


def test_bad_index(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text("source_path,start_frame,new_name\na,1,b\n")
    with pytest.raises(InputError, match="must have the columns"):
        read_index(path)
    path.write_text(
        "source_path,start_frame,end_frame,new_name\n./pose_data/CMU/1/a.npy,0,9,1.npy\nx,y\n"
    )
    rows, faults = read_index(path)
    assert [row.source for row in rows] == ["CMU/1/a"]
    assert [fault.item for fault in faults] == ["index.csv:3"]
