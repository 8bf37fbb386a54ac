# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input through the door of the CMU source: each fault named, the rest kept, exit status 3.

The other sources' faults are in test_published.py and test_amass.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cmu_sample import unpack_sample

from training.__main__ import main
from training.data.dataset import Dataset, read_dataset

TRIALS = ("02_01", "02_04", "06_06", "13_39", "16_17")


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    """Copies of a few trials, which a test may spoil."""
    source = unpack_sample(shared)
    place = tmp_path / "cmu"
    table = json.loads((source / "trials.json").read_text())
    table = {name: table[name] for name in TRIALS}
    files = {row["file"] for row in table.values()} | {"02/02.asf", "16/16.asf"}
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes((source / "cmu" / file).read_bytes())
    (place / "trials.json").write_text(json.dumps(table))
    pairs = json.loads((source / "pairs.json").read_text())
    pairs = [row for row in pairs if row["trial"] in TRIALS]
    (place / "pairs.json").write_text(json.dumps(pairs))
    return place


def prepare(folder: Path, tmp_path: Path) -> tuple[int, Dataset]:
    output = tmp_path / "out"
    status = main(["prepare", "cmu", str(folder), "-o", str(output), "--quiet", "--no-mirror"])
    return status, read_dataset(output)


def without_line(text: str, pattern: str) -> str:
    """The text without the fifth line of a kind."""
    match = list(re.finditer(pattern, text, re.MULTILINE))[4]
    return text[: match.start()] + text[match.end() :]


def test_each_fault_is_named_and_the_rest_is_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    amc = folder / "02/02_01.amc"
    amc.write_text(without_line(amc.read_text(), r"^rtibia .*\n"))
    empty = folder / "02/02_04.amc"
    empty.write_text(empty.read_text()[: re.search(r"^1\s*$", empty.read_text(), re.M).start()])  # type: ignore[union-attr]
    bvh = folder / json.loads((folder / "trials.json").read_text())["13_39"]["file"]
    head, frames, rows = bvh.read_text().partition("Frame Time:")
    lines = rows.split("\n")
    lines[40] = "nan " + lines[40].split(None, 1)[1]
    bvh.write_text(head + frames + "\n".join(lines))
    rows = json.loads((folder / "pairs.json").read_text())
    short = {**rows[0], "id": "999999", "trial": "06_06", "split": "test"}
    short |= {"start_frame_20fps": 10, "end_frame_20fps": 49}
    (folder / "pairs.json").write_text(json.dumps([*rows, short]))

    status, dataset = prepare(folder, tmp_path)
    printed = capsys.readouterr().out
    skipped = {row.item: row for row in dataset.skipped}
    assert status == 3
    assert "frame 5 has no line for bone 'rtibia'" in skipped["02_01"].reason
    assert skipped["02_04"].reason.endswith("has no frames.")
    assert "frame 40 holds NaN" in skipped["13_39"].reason
    assert not any(skipped[name].expected for name in ("02_01", "02_04", "13_39"))
    assert skipped["999999"].reason == "shorter than 40 frames"
    assert skipped["999999"].expected
    for item in skipped:
        assert item in printed
    assert {clip.source for clip in dataset.clips} == {"06_06", "16_17"}


def test_what_is_only_short_is_no_fault(folder: Path, tmp_path: Path) -> None:
    (folder / "pairs.json").write_text("[]")
    status, dataset = prepare(folder, tmp_path)
    assert status == 0
    assert {clip.source for clip in dataset.clips} == set(TRIALS)


def test_nothing_usable_is_status_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in [*folder.glob("*/*.amc"), *folder.glob("*/*.bvh")]:
        path.write_text("")
    arguments = ["prepare", "cmu", str(folder), "-o", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 2
    assert "no frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_caption_costs_only_itself(folder: Path, tmp_path: Path) -> None:
    rows = json.loads((folder / "pairs.json").read_text())
    row = next(row for row in rows if row["trial"] == "02_01")
    timed = [f"[from 0s - 2.{k:02}s] a person walks" for k in range(12)]
    row["captions"] = ["[from 3s - 1s] a man", "a person walks", *timed]
    (folder / "pairs.json").write_text(json.dumps(rows))
    status, dataset = prepare(folder, tmp_path)
    assert status == 3
    [fault] = [row for row in dataset.skipped if not row.expected]
    assert fault.item == f"{row['id']}, caption 1"
    assert "3.0 s to 1.0 s" in fault.reason
    ids = [clip.id for clip in dataset.clips]
    assert len(set(ids)) == len(ids)
    assert {row["id"], f"{row['id']}a", f"{row['id']}l"} <= set(ids)


@pytest.mark.parametrize("fps", ["fast", None, -120, 0, True, [120]])
def test_a_frame_rate_that_is_no_number(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fps: object
) -> None:
    table = json.loads((folder / "trials.json").read_text())
    table["02_01"]["fps"] = fps
    (folder / "trials.json").write_text(json.dumps(table))
    assert main(["prepare", "cmu", str(folder), "-o", str(tmp_path / "out"), "--quiet"]) == 2
    assert "gives 02_01 the frame rate" in capsys.readouterr().err
