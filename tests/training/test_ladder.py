# SPDX-License-Identifier: GPL-3.0-or-later
"""`evaluate` from end to end on small sets, and the ladder's own rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluator_sample import CONFIG, COUNTS, write_model, write_set

import training.ladder
import training.ladder_rows
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.skeleton import HUMANML3D, KIT, Skeleton
from training.__main__ import main
from training.data.dataset import Dataset
from training.ladder import FID, Estimate, length_figures, questions_of, separated
from training.paper_results import paper_rows
from training.train_evaluator import train_evaluator


class Set:
    """A dataset with an evaluator of it and two models of random weights."""

    def __init__(self, folder: Path, skeleton: Skeleton) -> None:
        self.folder = folder
        self.data = folder / "set"
        self.dataset: Dataset = write_set(self.data, skeleton)
        self.evaluator = train_evaluator(CONFIG, self.data, folder / "run")
        for name, levels in (("one", 1), ("two", 2)):
            write_model(folder / f"{name}.safetensors", self.dataset, levels=levels)

    def evaluate(self, output: Path, *more: str) -> int:
        """Runs the command."""
        arguments = ["evaluate", str(self.data), "--evaluator", str(self.evaluator)]
        return main([*arguments, "-o", str(output), "--repeats", "2", *more])


@pytest.fixture(scope="module")
def humanml3d(tmp_path_factory: pytest.TempPathFactory) -> Set:
    return Set(tmp_path_factory.mktemp("humanml3d"), HUMANML3D)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Set:
    return Set(tmp_path_factory.mktemp("kit"), KIT)


@pytest.fixture(autouse=True)
def few_motions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.ladder_rows, "MODALITY_TEXTS", 3)
    monkeypatch.setattr(training.ladder_rows, "MODALITY_MOTIONS", 10)
    monkeypatch.setattr(training.ladder, "BOOTSTRAP_DRAWS", 50)


@pytest.mark.parametrize("name", ["humanml3d", "kit"])
def test_the_ladder(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both skeletons: every row and figure, in files that the same seed writes again."""
    given: Set = request.getfixturevalue(name)
    models = [f"{label}={given.folder / file}.safetensors"
              for label, file in (("tau = 0.5", "one"), ("tau = 0", "two"))]  # fmt: skip
    options = [text for model in models for text in ("--model", model)]
    options += ["--show", "test003", "--show", "test010"]
    assert given.evaluate(tmp_path / "a", *options) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "a/ladder.md").read_text() in printed
    assert (tmp_path / "a/pictures.png").read_bytes()[:4] == b"\x89PNG"

    ladder = json.loads((tmp_path / "a/ladder.json").read_text())
    labels = ["real motion", "VQ-VAE of tau = 0.5", "tau = 0.5", "tau = 0"]
    assert list(ladder["rows"]) == labels
    for label, row in ladder["rows"].items():
        assert label in printed
        for figure in row.values():
            assert figure["low"] <= figure["value"] <= figure["high"]
    real, generated = ladder["rows"]["real motion"], ladder["rows"]["tau = 0.5"]
    assert real["FID"]["value"] < 1e-6
    assert generated["FID"]["value"] > 1e-3
    assert real["R-Precision top 3"]["value"] > 3 * 3 / 32
    assert "MModality" in generated
    assert "MModality" not in real
    assert ladder["quality"]["VQ-VAE of tau = 0.5"]["MPJPE, mm"]["value"] > 0.0
    assert ladder["quality"]["tau = 0"]["length error, s"]["value"] > 0.0
    finished = ladder["quality"].get("tau = 0, finished")
    if name == "kit":  # its skeleton has no bone lengths and is never shown
        assert finished is None
    else:
        raw = ladder["quality"]["tau = 0"]
        assert set(finished) == set(ladder["quality"]["real motion"])
        assert all(finished[figure]["value"] != raw[figure]["value"] for figure in finished)
    assert len(ladder["noise_floor"]) == 2
    assert ladder["resampled"]
    assert ladder["captions"] == 2 * COUNTS["test"]
    assert "small set" in printed
    assert "Noise floor" in printed
    assert ladder["published"] == {}
    assert set(ladder["checksums"]) == {p.name for p in given.data.iterdir()}
    assert all(len(value) == 64 for value in ladder["checksums"].values())
    assert {"t2m_blender", "numpy", "torch", "python"} <= set(ladder["versions"])
    assert ladder["sources"]["tau = 0"]["guidance"] == 1.0

    if name == "kit":
        return
    assert given.evaluate(tmp_path / "b", *options) == 0
    for file in ("ladder.md", "ladder.json", "pictures.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert given.evaluate(tmp_path / "c", *options[:2], "--seed", "1") == 0
    other = json.loads((tmp_path / "c/ladder.json").read_text())
    assert other["rows"]["tau = 0.5"]["FID"] != generated["FID"]


def test_large_sets_are_asked_as_published(
    humanml3d: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.ladder, "FEW_CLIPS", 10)
    monkeypatch.setattr(training.ladder, "DIVERSITY_PAIRS", 20)
    questions = questions_of(humanml3d.dataset, "test")
    first, second = questions.asked(0, 5), questions.asked(1, 5)
    assert len(first) == 32
    assert len(set(questions.clip_of[first])) == 32
    assert first.tolist() != second.tolist()
    assert first.tolist() == questions.asked(0, 5).tolist()
    options = ("--model", str(humanml3d.folder / "one.safetensors"))
    assert humanml3d.evaluate(tmp_path, *options) == 0
    ladder = json.loads((tmp_path / "ladder.json").read_text())
    assert not ladder["resampled"]
    assert "As published" in (tmp_path / "ladder.md").read_text()
    assert list(ladder["rows"]) == ["real motion", "VQ-VAE of one", "one"]


def test_mirrored_copies_are_no_further_evidence(tmp_path: Path) -> None:
    dataset = write_set(tmp_path / "set")
    count = len(questions_of(dataset, "test").clips)
    assert count == COUNTS["test"]
    clips = tuple(replace(c, mirrored=c.id == "test000") for c in dataset.clips)
    assert len(questions_of(replace(dataset, clips=clips), "test").clips) == count - 1


def test_orderings_lie_outside_the_intervals() -> None:
    def row(precision: tuple[float, float], fid: tuple[float, float]) -> dict[str, Estimate]:
        return {
            "R-Precision top 3": Estimate(np.mean(precision), 0.0, *precision),
            FID: Estimate(np.mean(fid), 0.0, *fid),
        }

    rows = {
        "real": row((0.6, 0.8), (0.0, 0.0)),
        "a": row((0.5, 0.61), (0.1, 0.2)),
        "b": row((0.3, 0.49), (0.15, 0.3)),
        "c": row((0.1, 0.2), (0.31, 0.4)),
    }
    assert separated(rows) == [
        "R-Precision top 3: real is better than b, c.",
        "R-Precision top 3: a is better than b, c.",
        "R-Precision top 3: b is better than c.",
        "FID: a is better than c.",
        "FID: b is better than c.",
    ]
    assert separated({"real": rows["real"], "a": rows["a"]}) == []


def test_papers_stand_beside_their_own_datasets() -> None:
    rows = paper_rows("humanml3d")
    assert rows["real motion"]["R-Precision top 3"] == 0.797
    assert rows["T2M-GPT, tau = 0.5"][FID] == 0.116
    assert "MModality" not in rows["real motion"]
    assert paper_rows("kit")["T2M-GPT, tau ~ U[0, 1]"]["MModality"] == 1.570
    assert paper_rows("cmu") == {}


def test_bad_input_is_refused_before_any_work(
    humanml3d: Set,
    kit: Set,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.ladder_rows.Asker, "__init__", None)  # no work is begun
    out = tmp_path / "out"

    def error(given: Set, *more: str) -> str:
        assert given.evaluate(out, *more) == 2
        return capsys.readouterr().err

    assert "has 20 captioned clips, fewer than a pool" in error(humanml3d, "--split", "val")
    assert "is for motion of kit-21" in error(
        humanml3d, "--model", str(kit.folder / "one.safetensors")
    )
    arguments = ["evaluate", str(humanml3d.data), "--evaluator", str(kit.evaluator), "-o", str(out)]
    assert main(arguments) == 2
    assert "is for motion of kit-21" in capsys.readouterr().err
    assert "one label" in error(
        humanml3d, *2 * ("--model", str(humanml3d.folder / "one.safetensors"))
    )
    assert "no clip nothing" in error(humanml3d, "--show", "nothing")
    assert "no model file" in error(humanml3d, "--vqvae", str(tmp_path / "no.safetensors"))
    assert "device 'nonsense'" in error(humanml3d, "--device", "nonsense")
    assert "--repeats" in error(humanml3d, "--repeats", "0")
    assert "guidance is -1" in error(
        humanml3d, "--model", str(humanml3d.folder / "one.safetensors"), "--guidance", "-1"
    )
    assert "--glove goes with" in error(humanml3d, "--glove", str(tmp_path))
    finest = ["evaluate", str(humanml3d.data), "--evaluator", "finest.tar", "-o", str(out)]
    assert main(finest) == 2
    assert "--statistics, --glove and --texts" in capsys.readouterr().err
    write_set(tmp_path / "untested", counts={**COUNTS, "test": 0})
    arguments[1] = str(tmp_path / "untested")
    assert main(arguments) == 2
    assert "no clip in its split 'test'" in capsys.readouterr().err
    (tmp_path / "untested/statistics.npz").unlink()
    assert main(arguments) == 2
    assert "statistics.npz" in capsys.readouterr().err
    assert not out.exists()


def test_a_split_without_captions_asks_nothing(tmp_path: Path) -> None:
    dataset = write_set(tmp_path / "set")
    clips = tuple(replace(clip, captions=(), caption_origins=()) for clip in dataset.clips)
    with pytest.raises(InputError, match="no clip with a caption"):
        questions_of(replace(dataset, clips=clips), "test")


def test_lengths_by_hand() -> None:
    """Off by 1, 2 and 1 s; by 50, 50 and 12.5 %; 10 s in all where 14 were wanted."""
    real, made = np.array([2.0, 4.0, 8.0]), np.array([1.0, 2.0, 7.0])
    figures = length_figures(made, real, np.arange(3), seed=0)
    values = {name: round(estimate.value, 6) for name, estimate in figures.items()}
    assert values == {
        "length error, s": round(4.0 / 3.0, 6),
        "length error, median %": 50.0,
        "length, % of real": round(1000.0 / 14.0, 6),
    }
