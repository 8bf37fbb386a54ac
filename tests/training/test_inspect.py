# SPDX-License-Identifier: GPL-3.0-or-later
"""`inspect`: what it tells of a sound dataset, and what it finds in a spoilt one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.features import feature_columns
from t2m_blender.engine.skeleton import HUMANML3D
from training.__main__ import main
from training.data.dataset import Dataset, read_dataset, write_dataset
from training.data.inspection import in_metres, inspect_dataset
from training.data.inspection_report import summary
from training.data.published import HUMANML3D_EDITION, KIT_EDITION, prepare_published

pytest.importorskip("matplotlib")
from published_sample import write_humanml3d, write_kit


@pytest.fixture(scope="module")
def dataset(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    place = tmp_path_factory.mktemp("inspect")
    write_humanml3d(place / "HumanML3D", shared)
    with (place / "HumanML3D" / "train.txt").open("a") as file:
        file.write("000099\n")
    prepare_published(place / "HumanML3D", place / "data", edition=HUMANML3D_EDITION)
    return read_dataset(place / "data")


def spoilt(dataset: Dataset, name: str, columns: str, change: float, *, rows: slice) -> Dataset:
    """The dataset with `change` added to some of one clip's numbers."""
    array = dataset.features[name].copy()
    array[rows, feature_columns(dataset.skeleton)[columns]] += change
    return replace(dataset, features={**dataset.features, name: array})


def test_a_sound_dataset(dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    write_dataset(dataset, tmp_path / "data")
    report = tmp_path / "report"
    assert main(["inspect", str(tmp_path / "data"), "-o", str(report), "--clips", "3"]) == 0
    printed = capfd.readouterr().out
    text = (report / "report.md").read_text()
    assert text.startswith(printed[:300])
    assert "11 clips, 0.02 hours, humanml3d-22 at 20 fps, 263 features a frame" in text
    assert "| train | 3 | 3 |" in text
    assert "| val (mirrored) | 2 |" in text or "| val (mirrored) | 1 |" in text
    assert "None: no NaN" in text
    assert "AMASS and HumanAct12 (non-commercial research), MIT captions" in text
    assert "Eyes_Japan_Dataset" not in text  # people are counted, not named
    assert "Faulty: has no features in new_joint_vecs: 1: 000099" in text
    # a row of the histogram for each second, which together hold all clips
    bars = re.findall(r"^ *\d+ - +\d+ s +(\d+)", text, re.MULTILINE)
    assert sum(int(number) for number in bars) == 11
    captions = [c for clip in dataset.clips if not clip.mirrored for c in clip.captions]
    assert f"{len(captions)} captions of" in text
    assert "clips are shorter than the 64 frames" in text
    assert "000003a" in text
    for name in ("figures.png", "sheet.png"):
        assert (report / name).read_bytes()[:4] == b"\x89PNG"
        assert f"({name})" in text
    assert not (report / "outliers.png").exists()


@pytest.mark.parametrize(
    ("columns", "change", "rows", "kind", "fault"),
    [
        ("positions", np.nan, slice(7, 8), "NaN", True),
        ("positions", 0.5, slice(7, 8), "bone length", True),
        ("root_velocity", 1.0, slice(7, 8), "root speed", False),
        ("root_height", 2.0, slice(None), "root height", False),
    ],
)
def test_what_is_odd_is_named(
    dataset: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    columns: str,
    change: float,
    rows: slice,
    kind: str,
    fault: bool,
) -> None:
    bad = spoilt(dataset, "000002", columns, change, rows=rows)
    inspection = inspect_dataset(bad)
    found = {(f.clip, f.kind, f.fault) for f in inspection.findings}
    assert ("000002", kind, fault) in found
    assert {clip for clip, _, _ in found} == {"000002"}
    write_dataset(bad, tmp_path / "data")
    arguments = ["inspect", str(tmp_path / "data"), "-o", str(tmp_path / "report")]
    has_fault = any(f for _, _, f in found)
    assert main(arguments) == (3 if has_fault else 0)
    assert kind in capsys.readouterr().out
    # a clip with NaN cannot be drawn; the others are
    assert (tmp_path / "report" / "outliers.png").exists() == (kind != "NaN")


@pytest.mark.parametrize(("lift", "kind"), [(-0.3, "below the floor"), (0.4, "above the floor")])
def test_the_floor_is_checked(dataset: Dataset, lift: float, kind: str) -> None:
    array = dataset.features["000002"].copy()
    columns = feature_columns(HUMANML3D)
    array[:, columns["root_height"]] += lift
    array[:, columns["positions"]][:, 1::3] += lift
    bad = replace(dataset, features={**dataset.features, "000002": array})
    findings = inspect_dataset(bad).findings
    assert [(f.clip, f.kind, f.fault) for f in findings] == [("000002", kind, False)]


def test_a_mirrored_copy_is_not_told_again(dataset: Dataset) -> None:
    features = {name: array.copy() for name, array in dataset.features.items()}
    for name in ("000002", "M000002", "M000003"):
        features[name][7, 2] += 1.0
    findings = inspect_dataset(replace(dataset, features=features)).findings
    assert [f.clip for f in findings if f.kind == "root speed"] == ["000002", "M000003"]


def test_trials_in_more_than_one_split_are_counted(dataset: Dataset) -> None:
    assert inspect_dataset(dataset).shared_sources == ()
    test = next(clip for clip in dataset.clips if clip.split == "test")
    clips = tuple(
        replace(clip, source=f"{clip.source}[0:9] then {test.source}[3:8]")
        if clip.id == "012314"
        else clip
        for clip in dataset.clips
    )
    assert inspect_dataset(replace(dataset, clips=clips)).shared_sources == (test.source,)


def test_kit_is_told_in_metres(tmp_path: Path, parity: Path) -> None:
    write_kit(tmp_path / "KIT-ML", parity)
    kit = prepare_published(tmp_path / "KIT-ML", tmp_path / "data", edition=KIT_EDITION)
    assert 500 < np.median(kit.features["00001"][:, 3]) < 1000
    assert 0.5 < np.median(in_metres(kit).features["00001"][:, 3]) < 1.0
    assert main(["inspect", str(tmp_path / "data"), "-o", str(tmp_path / "report")]) == 0
    assert "kit-21 at 12.5 fps, 251 features" in (tmp_path / "report" / "report.md").read_text()


def test_long_lists_are_cut_on_the_screen_only(dataset: Dataset) -> None:
    clips = tuple(replace(clip, captions=()) for clip in dataset.clips)
    inspection = inspect_dataset(replace(dataset, clips=clips))
    assert "None." in summary(inspection)
    assert "... and 10 more" not in summary(inspection)
    clips = (*clips[:1], *(replace(clip, captions=("a man",)) for clip in clips[1:2]), *clips[2:])
    inspection = inspect_dataset(replace(dataset, clips=clips))
    assert "... and" in summary(inspection, shown=1)
    bare = [clip.id for clip in clips if not clip.mirrored and not clip.captions]
    assert f"{len(bare)} clips have no caption" in summary(inspection)
    assert " ".join(bare) in summary(inspection)
    assert " ".join(bare) not in summary(inspection, shown=1)


def test_what_cannot_be_inspected(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert "no prepared dataset" in capsys.readouterr().err
    write_dataset(dataset, tmp_path / "data")
    (tmp_path / "a").write_text("")
    assert main(["inspect", str(tmp_path / "data"), "-o", str(tmp_path / "a" / "b")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_report_makes_its_folder_and_those_above(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_dataset(dataset, tmp_path / "datasets" / "a")
    report = tmp_path / "reports" / "of" / "a"
    main(["inspect", str(tmp_path / "datasets" / "a"), "-o", str(report), "--clips", "1"])
    assert (report / "report.md").is_file()
