# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's contract: options, refusals, files, batches and exit statuses.

Batches use an untrained model of small size, made here and read through the same loader: what they
test is what becomes of rows, not how they move. Single motions use the embedded model.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from t2m_blender import cli
from t2m_blender.engine.errors import OutputError
from t2m_blender.output import write_output

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "t2m_blender" / "models"


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from t2m_blender.engine.checkpoint import Checkpoint, write_checkpoint
    from t2m_blender.engine.gpt import GPT, GPTConfig
    from t2m_blender.engine.skeleton import HUMANML3D
    from t2m_blender.engine.vqvae import VQVAE, VQVAEConfig

    torch.manual_seed(0)
    vqvae = {"width": 16, "code_size": 16, "codebook_size": 32, "depth": 1}
    gpt = {"codebook_size": 32, "width": 32, "blocks": 1, "heads": 2, "text_size": 384}
    gpt["word_limit"] = 16
    networks = {"vqvae": VQVAE(VQVAEConfig(**vqvae)), "gpt": GPT(GPTConfig(**gpt))}
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    checkpoint = Checkpoint(
        vqvae=vqvae,
        gpt=gpt,
        tensors={
            f"{room}.{name}": tensor.numpy()
            for room, network in networks.items()
            for name, tensor in network.state_dict().items()
        },
        mean=np.zeros(263, np.float32),
        std=np.full(263, 0.1, np.float32),
        skeleton=HUMANML3D,
        text_encoder="minilm",
        sampling={"guidance": 1.0, "temperature": 1.0, "top_p": 1.0},
        licence="GPL-3.0-or-later",
        origin="untrained, for tests",
    )
    write_checkpoint(path, checkpoint)
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    """Run a line that must be refused; returns its one line on standard error."""
    status = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert status == 2
    assert captured.out == ""
    assert len(lines) == 1
    assert lines[0].startswith("t2m: error: ")
    return lines[0]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


BAD_LINES = [
    (["walks"], "name a file"),
    (["-o", "OUT.npz"], "no PROMPT"),
    (["", "-o", "OUT.npz"], "prompt is empty"),
    ([" \n", "-o", "OUT.npz"], "prompt is empty"),
    (["walk " * 2000, "-o", "OUT.npz"], "9,999 characters and the limit is 1,000"),
    (["walks", "-o", "OUT"], "suffix '' is not known: use one of .blend"),
    (["walks", "-o", "OUT.mp4"], "suffix '.mp4' is not known"),
    (["walks", "-o", "missing/OUT.npz"], "missing does not exist: make it first"),
    (["walks", "-o", "/proc/x.npz"], "/proc/x.npz cannot be written"),
    (["walks", "-o", "folder.npz"], "folder.npz is a folder"),
    (["walks", "-o", "OUT.npz", "--seed", "-1"], "seed is -1"),
    (["walks", "-o", "OUT.npz", "--seed", "1.5"], "seed is '1.5': give a whole number"),
    (["walks", "-o", "OUT.npz", "--seed", str(2**63)], f"from 0 to {2**63 - 1}"),
    (["walks", "-o", "OUT.npz", "--seconds", "-2"], "length is -2"),
    (["walks", "-o", "OUT.npz", "--seconds", "0"], "length is 0 s"),
    (["walks", "-o", "OUT.npz", "--seconds", "nan"], "length is 'nan'"),
    (["walks", "-o", "OUT.npz", "--seconds", "inf"], "length is 'inf'"),
    (["walks", "-o", "OUT.npz", "--seconds", "long"], "length is 'long'"),
    (["walks", "-o", "OUT.npz", "--frames", "0"], "number of frames is 0"),
    (["walks", "-o", "OUT.npz", "--frames", "2.5"], "frames is '2.5': give a whole number"),
    (["walks", "-o", "OUT.npz", "--frames", "9", "--seconds", "9"], "give one of them"),
    (["walks", "-o", "OUT.npz", "--guidance", "nan"], "guidance is 'nan'"),
    (["walks", "-o", "OUT.npz", "--temperature", "-1"], "temperature is -1"),
    (["walks", "-o", "OUT.npz", "--runtime", "jax"], "--runtime: invalid choice: 'jax'"),
    (["walks", "-o", "OUT.npz", "--runtime", "numpy", "--device", "cuda"], "NumPy does not run on"),
    (["walks", "-o", "OUT.npz", "--device", "xpu"], "finds no device 'xpu' (only cpu)"),
    (["walks", "-o", "OUT.npz", "--frobnicate"], "unrecognized arguments: --frobnicate"),
    (["walks", "-o", "OUT.npz", "--sec", "3"], "unrecognized arguments: --sec"),
    (["walks", "-o", "OUT.npz", "--seed"], "--seed: expected one argument"),
    (["walks", "-o", "OUT.npz", "--format", "npz"], "--format is for --batch"),
    (["walks", "jumps", "-o", "OUT.npz", "--seconds", "3"], "Of several prompts each has its own"),
    (["walks@2.5", "-o", "OUT.npz", "--seconds", "3"], "both name the length: give one of them"),
    (["walks@0", "-o", "OUT.npz"], "length is 0 s"),
    (["walks@1.2.3", "-o", "OUT.npz"], "length is '1.2.3'"),
    (["@2.5", "-o", "OUT.npz"], "prompt is empty"),
    (["walks@0.1", "jumps@3", "-o", "OUT.npz"], "A part of 0.1 s is too short beside others"),
    (["walks@60", "jumps@61", "-o", "OUT.npz"], "A length of 121 s cannot be made"),
    (["walks@0.2", "-o", "OUT.npz", "--loop"], "ask for 0.5 to 120 seconds"),
    (["walks", "-o", "OUT.npz", "--takes", "0"], "number of takes is 0"),
    (["walks", "-o", "OUT.npz", "--takes", "2", "--seed", str(2**63 - 1)], f"seed is {2**63}"),
    (["walks", "-o", "OUT.npz", "--shard", "1/2"], "--shard is for --batch"),
    (["walks", "-o", "OUT.npz", "--rig", "no.blend:Bob"], "There is no rig no.blend"),
    (["walks", "-o", "OUT.npz", "--rig", "Bob"], "There is no open file with Bob in it"),
    (["walks", "-o", "OUT.npz", "--rig", "here.blend:Bob"], "An .npz file holds no rig"),
    (["--batch", "fine.txt", "-o", "OUT", "--rig", "here.blend"], "An .npz file holds no rig"),
    *(
        (["--batch", "fine.txt", "-o", "OUT", "--shard", shard], "give i/n with i from 1 to n")
        for shard in ("0/2", "3/2", "1", "1/0", "a/b")
    ),
    (["walks", "-o", "OUT.npz", "--model", "nobody"], "no model named 'nobody'"),
    (["walks", "-o", "OUT.npz", "--model", "no.safetensors"], "no model file no.safetensors"),
    (["walks", "-o", "OUT.npz", "--model", "cut.safetensors"], "cut.safetensors is truncated"),
    (["--batch", "no.jsonl", "-o", "OUT"], "no.jsonl cannot be read"),
    (["--batch", "folder.npz", "-o", "OUT"], "of no known kind: use .jsonl, .csv or .txt"),
    (["--batch", "empty.txt", "-o", "OUT"], "empty.txt has no rows"),
    (["--batch", "latin.txt", "-o", "OUT"], "latin.txt is not UTF-8"),
    (["--batch", "headless.csv", "-o", "OUT"], "no column named prompt"),
    (["--batch", "fine.txt"], "name a folder"),
    (["--batch", "fine.txt", "-o", "fine.txt"], "fine.txt is a file"),
    (["--batch", "fine.txt", "-o", "missing/OUT"], "missing does not exist"),
    (["--batch", "fine.txt", "-o", "/proc/x"], "/proc/x cannot be written"),
    (["--batch", "fine.txt", "-o", "OUT", "--format", "npz,mp4"], "'.mp4' is not known"),
    (["--batch", "fine.txt", "-o", "OUT", "--model", "nobody"], "no model named"),
    (["walks", "--batch", "fine.txt", "-o", "OUT"], "do not go together"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "words"), BAD_LINES, ids=lambda value: str(value)[:60])
def test_bad_lines_are_refused_in_one_line(
    argv: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "fine.txt").write_text("walks\n")
    (tmp_path / "here.blend").touch()
    (tmp_path / "latin.txt").write_bytes("marché".encode("latin-1"))
    (tmp_path / "headless.csv").write_text("walks,1\n")
    (tmp_path / "cut.safetensors").write_bytes((MODELS / "minilm.safetensors").read_bytes()[:999])
    before = files_in(tmp_path)
    assert words in refused(capsys, *argv)
    assert files_in(tmp_path) == before


def test_lengths_that_nobody_waits_for_are_refused(
    small_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["walks", "-o", tmp_path / "a.npz", "--model", small_model]
    assert "ask for 0.05 to 120 seconds" in refused(capsys, *line, "--seconds", "120.1")
    assert "ask for 0.05 to 120 seconds" in refused(capsys, *line, "--frames", "2881")
    assert files_in(tmp_path) == []


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "PROMPT" in text
    assert "--takes" in text
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("t2m_blender ")


def test_options_may_stand_before_the_prompt(small_model: str, tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    assert cli.main(["--model", small_model, "--seconds", "1", "-o", str(out), "walks"]) == 0
    assert out.is_file()


@pytest.mark.parametrize(
    ("option", "frames"),
    [("--seconds 3.4", 68), ("--seconds 31.7", 634), ("--frames 48", 40), ("--frames 1", 1)],
)
def test_length_is_exact(small_model: str, tmp_path: Path, option: str, frames: int) -> None:
    out = tmp_path / "a.npz"
    assert cli.main(["walks", "-o", str(out), "--model", small_model, *option.split()]) == 0
    assert np.load(out)["joints"].shape == (frames, 22, 3)


def test_an_existing_file_is_replaced_and_a_linked_one_stays_a_link(
    small_model: str, tmp_path: Path
) -> None:
    (tmp_path / "real.npz").write_bytes(b"old")
    (tmp_path / "link.npz").symlink_to("real.npz")
    line = ["walks", "--model", small_model, "--seconds", "1", "-o", str(tmp_path / "link.npz")]
    assert cli.main(line) == 0
    assert (tmp_path / "link.npz").is_symlink()
    assert np.load(tmp_path / "real.npz")["fps"] == 20
    assert files_in(tmp_path) == ["link.npz", "real.npz"]


def test_quiet_keeps_warnings(
    small_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--model", small_model, "--seconds", "1", "-o", str(tmp_path / "a.npz"), "--quiet"]
    assert cli.main(["walks", *line]) == 0
    assert capsys.readouterr() == ("", "")
    assert cli.main(["a person dances 🕺", *line]) == 0
    assert capsys.readouterr().err.count("warning: The text encoder does not know 🕺") == 1
    assert cli.main(["человек идет", *line]) == 0
    assert "write the prompt in English" in capsys.readouterr().err


# Batches


@pytest.fixture
def batch(small_model: str, tmp_path: Path):
    """Run a batch of the given file content; returns (status, standard error, manifest rows)."""

    def run(name: str, content: str, *options: str) -> tuple[int, str, list[dict]]:
        (tmp_path / name).write_text(content, encoding="utf-8")
        line = ["--batch", str(tmp_path / name), "-o", str(tmp_path / "out")]
        status = cli.main([*line, "--model", small_model, "--seconds", "1", *options])
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
        return status, run.capsys.readouterr().err, manifest["rows"]

    return run


@pytest.fixture(autouse=True)
def _captured(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    if "batch" in request.fixturenames:
        request.getfixturevalue("batch").capsys = capsys


def test_batch_of_lines(batch, tmp_path: Path) -> None:
    status, err, rows = batch("a.txt", "walks\n\n  jumps, then sits \n", "--seed", "5")
    assert status == 0
    assert files_in(tmp_path / "out") == ["0001.npz", "0002.npz", "manifest.json"]
    assert [row["prompt"] for row in rows] == ["walks", "jumps, then sits"]
    assert [row["status"] for row in rows] == ["done", "done"]
    assert {row["seed"] for row in rows} == {5}
    assert {row["seconds"] for row in rows} == {1.0}
    assert {len(row["model_sha256"]) for row in rows} == {64}
    assert "[2/2] 0002: 1.0 s" in err
    assert np.load(tmp_path / "out" / "0002.npz")["prompt"] == "jumps, then sits"


def test_batch_of_csv(batch, tmp_path: Path) -> None:
    text = (
        '\ufeffid, prompt ,seconds,seed\nhop,hops,2,7\n,"walks, slowly",,\nbad,walks, slowly,1,2\n'
    )
    status, err, rows = batch("a.csv", text)
    assert status == 3
    assert "row 3" in err
    assert "more cells than the header" in err
    hop = np.load(tmp_path / "out" / "hop.npz")
    assert (hop["joints"].shape[0], int(hop["seed"])) == (40, 7)
    assert rows[1] | {"prompt": "walks, slowly", "id": "0002", "seconds": 1.0} == rows[1]


def test_bad_rows_are_named_and_the_rest_is_done(batch, tmp_path: Path) -> None:
    lines = [
        '{"prompt": "walks", "id": "../../etc/x y"}',
        '{"prompt": ""}',
        '{"prompt": "walks", "seed": -1}',
        '{"prompt": "walks", "seconds": NaN}',
        '{"prompt": "walks", "seconds": 121}',
        '{"prompt": "walks", "seed": true}',
        '{"prompt": 3}',
        '{"prompt": "walks", "id": "../.."}',
        '{"prompt": "jumps", "id": "_.._etc_X_y"}',
        '{"prompt": "walks", "rig": "a.blend"}',
        '{"prompt": "walks", "sed": 3}',
        '["walks"]',
        "walks",
        '{"prompt": "walks @ 2.5s", "seconds": 3}',
        '{"prompt": "wa\\ud83dlks \\u2028 on", "id": 14}',
        '{"id": "con", "prompt": "sits"}',
    ]
    status, err, rows = batch("a.jsonl", "\n".join(lines))
    assert status == 3
    done = {"_.._etc_x_y.npz", "14.npz", "_con.npz", "manifest.json"}
    assert set(files_in(tmp_path / "out")) == done
    assert files_in(tmp_path) == ["a.jsonl", "out"]
    failed = {row["row"]: row["error"] for row in rows if row["status"] == "failed"}
    assert sorted(failed) == [*range(2, 15)]
    for number, error in failed.items():
        assert f"row {number} (" in err
        assert error in err
    assert "taken by an earlier row" in failed[9]
    assert "There is no rig" in failed[10]
    assert "'sed' is not known" in failed[11]
    assert "both name the length" in failed[14]
    assert rows[14]["prompt"] == "wa lks on"


def test_finished_rows_are_skipped_and_changed_ones_made_again(batch, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch("a.txt", "walks\njumps\n")
    first = {name: (out / name).stat().st_mtime_ns for name in ("0001.npz", "0002.npz")}

    def remade() -> list[str]:
        return [name for name, time in first.items() if (out / name).stat().st_mtime_ns != time]

    status, err, _ = batch("a.txt", "walks\njumps\n")
    assert (status, remade()) == (0, [])
    assert err.count("finished before, skipped") == 2
    status, _, rows = batch("a.txt", "walks\nsits\n")
    assert (status, remade()) == (0, ["0002.npz"])
    assert rows[1]["prompt"] == np.load(out / "0002.npz")["prompt"] == "sits"
    (out / "0001.npz").unlink()
    batch("a.txt", "walks\n")
    assert (out / "0001.npz").is_file()
    status, err, rows = batch("a.txt", "walks\n", "--overwrite")
    assert "finished before" not in err
    assert [row["id"] for row in rows] == ["0001", "0002"]  # 0002 was of an earlier batch


def test_a_file_that_no_manifest_knows_is_left_alone(batch, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "walk.npz").write_bytes(b"precious")
    row = '{"prompt": "walks", "id": "walk"}\n'
    for _ in range(2):
        status, err, rows = batch("a.jsonl", row)
        assert (status, rows[0]["status"], rows[0]["files"]) == (3, "failed", [])
        assert "not from a batch" in err
        assert (tmp_path / "out" / "walk.npz").read_bytes() == b"precious"
    status, _, rows = batch("a.jsonl", row, "--overwrite")
    assert (status, rows[0]["status"], rows[0]["files"]) == (0, "done", ["walk.npz"])
    assert np.load(tmp_path / "out" / "walk.npz")["prompt"] == "walks"
    status, _, rows = batch("a.jsonl", '{"prompt": "sits", "id": "walk"}\n')
    assert status == 0, "it is the batch's own now"


def test_a_row_that_was_never_reached_owns_no_file(
    batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 2's file is the user's; the first run ends at row 1, right after writing its file."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0002.npz").write_bytes(b"precious")

    def write_and_stop(*args: object, **options: object) -> None:
        write_output(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("t2m_blender.batch.write_output", write_and_stop)
        status, _, rows = batch("a.txt", "walks\njumps\n")
    assert (status, [row["status"] for row in rows]) == (130, ["pending", "failed"])
    assert rows[1]["files"] == rows[1]["owned"] == []
    for _ in range(2):
        status, err, rows = batch("a.txt", "walks\njumps\n")
        assert (status, [row["status"] for row in rows]) == (3, ["done", "failed"])
        assert "row 2 (0002)" in err
        assert (tmp_path / "out" / "0002.npz").read_bytes() == b"precious"


def test_another_format_replaces_no_file_of_the_user(
    batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    row = '{"prompt": "walks", "id": "walk"}\n'
    monkeypatch.setattr("t2m_blender.output._blender_export", lambda suffix: StandIn)
    batch("a.jsonl", row)
    (out / "walk.blend").write_bytes(b"precious")
    for _ in range(2):
        status, err, rows = batch("a.jsonl", row, "--format", "npz,blend")
        assert (status, rows[0]["files"]) == (3, ["walk.npz"])
        assert "walk.blend is there already and not from a batch" in err
        assert (out / "walk.blend").read_bytes() == b"precious"
    (out / "walk.blend").rename(tmp_path / "mine.blend")
    status, _, rows = batch("a.jsonl", row, "--format", "npz,blend")
    assert (status, rows[0]["files"]) == (0, ["walk.blend", "walk.npz"])


class StandIn:
    """For the room that writes Blender's formats, which needs bpy."""

    @staticmethod
    def check_format(suffix: str) -> None:
        assert suffix == ".blend"

    @staticmethod
    def write_motion(generated, path: Path, *, frames: int | None, rig: object) -> None:
        path.write_text(generated.prompt)


def test_a_format_left_over_from_another_recipe_is_made_again(
    batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr("t2m_blender.output._blender_export", lambda suffix: StandIn)
    batch("a.txt", "walks\n", "--format", "npz")
    _, _, rows = batch("a.txt", "sits\n", "--format", "blend")
    assert rows[0]["files"] == ["0001.blend"]
    assert np.load(out / "0001.npz")["prompt"] == "walks"
    status, _, rows = batch("a.txt", "sits\n", "--format", "npz")
    assert (status, rows[0]["files"]) == (0, ["0001.blend", "0001.npz"])
    assert np.load(out / "0001.npz")["prompt"] == "sits"


def test_a_file_that_could_not_be_replaced_stays_the_users(
    batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0001.npz").write_bytes(b"precious")

    def fail(generated, path: Path, **options: object) -> None:
        raise OutputError(f"{path} cannot be written: no space.")

    with monkeypatch.context() as patch:
        patch.setattr("t2m_blender.batch.write_output", fail)
        assert batch("a.txt", "walks\n", "--overwrite")[0] == 3
    assert batch("a.txt", "walks\n")[0] == 3
    assert (tmp_path / "out" / "0001.npz").read_bytes() == b"precious"


def test_a_row_of_our_own_that_turned_bad_can_be_mended(batch, tmp_path: Path) -> None:
    rows = ['{"prompt": "walks", "id": "a"}', '{"prompt": "", "id": "a"}']
    assert [batch("a.jsonl", rows[place])[0] for place in (0, 1, 0)] == [0, 3, 0]


def test_a_damaged_manifest_is_not_replaced(
    small_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    manifest = tmp_path / "out" / "manifest.json"
    (tmp_path / "a.txt").write_text("walks\n")
    for text in ("{", "[]", '{"rows": 3}', '{"rows": [{}]}'):
        manifest.write_text(text)
        line = ["--batch", tmp_path / "a.txt", "-o", tmp_path / "out", "--model", small_model]
        assert "manifest.json is damaged" in refused(capsys, *line)
        assert manifest.read_text() == text


def test_a_row_gives_the_motion_of_the_same_line_alone(
    batch, small_model: str, tmp_path: Path
) -> None:
    batch("a.jsonl", '{"prompt": "jumps"}\n{"prompt": "walks", "seed": 3, "seconds": 2}\n')
    alone = tmp_path / "alone.npz"
    line = ["walks", "--seed", "3", "--seconds", "2", "--model", small_model, "-o", str(alone)]
    assert cli.main(line) == 0
    assert (tmp_path / "out" / "0002.npz").read_bytes() == alone.read_bytes()


def test_interrupted_batch_keeps_what_is_finished_and_goes_on(
    small_model: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("walks\n" * 1600)
    out = tmp_path / "out"
    line = ["--batch", str(tmp_path / "a.txt"), "-o", str(out), "--model", small_model]
    running = subprocess.Popen(
        [sys.executable, "-m", "t2m_blender", *line],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # a job in the background hears no Ctrl-C, and neither would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (out / "0003.npz").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    rows = json.loads((out / "manifest.json").read_text())["rows"]
    done = [row for row in rows if row["status"] == "done"]
    assert 2 <= len(done) < 1600
    assert {row["status"] for row in rows} == {"done", "pending"}
    assert not [name for name in files_in(out) if name.startswith(".")]
    (tmp_path / "a.txt").write_text("walks\n" * (len(done) + 2))
    kept = {row["id"]: (out / row["files"][0]).stat().st_mtime_ns for row in done}
    assert cli.main([*line, "--quiet"]) == 0
    assert kept == {id: (out / f"{id}.npz").stat().st_mtime_ns for id in kept}
    assert (out / f"{len(done) + 2:04d}.npz").is_file()


def test_takes_are_files_of_their_own_and_json_tells_of_each(
    small_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--model", small_model, "--seed", "5", "--seconds", "2"]
    out = tmp_path / "walk.npz"
    assert cli.main(["walks", *line, "--takes", "3", "--json", "--quiet", "-o", str(out)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(one["file"]).name for one in told] == [f"walk-{n}.npz" for n in (1, 2, 3)]
    assert [one["seed"] for one in told] == [5, 6, 7]
    assert files_in(tmp_path) == ["walk-1.npz", "walk-2.npz", "walk-3.npz"]
    assert cli.main(["walks", *line[:3], "6", *line[4:], "-o", str(out)]) == 0
    assert out.read_bytes() == (tmp_path / "walk-2.npz").read_bytes()


def test_several_prompts_are_one_motion_of_their_lengths(small_model: str, tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    line = ["walks@2.5", "he sits down @ 1.3s", "waves@0.85", "-o", str(out)]
    assert cli.main([*line, "--model", small_model]) == 0
    made = np.load(out)
    assert len(made["joints"]) == 93
    assert str(made["prompt"]) == "walks, then he sits down, then waves"


def test_loop_in_place_and_feet_as_they_come(small_model: str, tmp_path: Path) -> None:
    def made(*options: str) -> np.ndarray:
        out = tmp_path / "a.npz"
        line = ["walks", "-o", str(out), "--model", small_model, "--seconds", "2.35", *options]
        assert cli.main(line) == 0
        return np.load(out)["joints"]

    plain, loop, still = made(), made("--loop"), made("--loop", "--in-place")
    assert len(plain) == len(loop) == len(still) == 47
    assert not np.array_equal(plain, made("--no-foot-lock"))
    travel = [np.ptp(joints[:, 0, [0, 2]], axis=0).max() for joints in (loop, still)]
    assert travel[1] < 0.3 * travel[0]


def test_rows_of_several_prompts_and_takes(batch, tmp_path: Path) -> None:
    lines = [
        '{"prompt": ["walks@1.5", "sits@2"], "id": "both"}',
        '{"prompt": "walks@3"}',
        '{"prompt": ["walks", "sits"], "seconds": 3}',
        '{"prompt": "walks", "id": "both-2"}',
        '{"prompt": []}',
    ]
    status, err, rows = batch("a.jsonl", "\n".join(lines), "--takes", "2")
    assert status == 3
    named = {row["id"]: row["status"] for row in rows}
    assert [key for key, status in named.items() if status == "done"] == [
        "both-1", "both-2", "0002-1", "0002-2", "both-2-1", "both-2-2",
    ]  # fmt: skip
    assert len(np.load(tmp_path / "out" / "both-2.npz")["joints"]) == 70
    assert len(np.load(tmp_path / "out" / "0002-1.npz")["joints"]) == 60
    assert rows[0]["parts"] == [["walks", 1.5], ["sits", 2.0]]
    assert "each has its own length" in err
    assert batch("b.jsonl", '{"prompt": "a", "id": "x-1"}\n{"prompt": "a", "id": "x-1"}')[0] == 3


def test_shards_share_the_rows_and_a_run_of_all_makes_one_manifest(batch, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = "walks\njumps\nsits\nruns\nhops\n"
    (tmp_path / "out").mkdir()
    (out / "manifest.json").write_text('{"rows": []}')
    batch("a.txt", text, "--shard", "2/3")
    assert files_in(out) == ["0002.npz", "0005.npz", "manifest.2of3.json", "manifest.json"]
    batch("a.txt", text, "--shard", "1/3")
    before = {name: (out / name).stat().st_mtime_ns for name in files_in(out) if "npz" in name}
    assert len(before) == 4
    status, err, rows = batch("a.txt", text)
    assert status == 0
    assert err.count("finished before, skipped") == 4
    assert [row["status"] for row in rows] == ["done"] * 5
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert files_in(out) == [*(f"{n:04d}.npz" for n in range(1, 6)), "manifest.json"]


def test_the_example_of_an_array_of_jobs(small_model: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("walks\njumps\nsits\n")
    job = ROOT / "docs" / "examples" / "farm" / "array.sh"
    line = [str(job), "a.txt", "farm/out", "--model", small_model, "--seconds", "1"]
    for task in ("1", "2"):
        asked = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | asked | {"PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
    made = ["0001.npz", "0002.npz", "0003.npz"]
    assert files_in(tmp_path / "farm" / "out") == [
        *made,
        "manifest.1of2.json",
        "manifest.2of2.json",
    ]


def test_a_hundred_rows_killed_half_way_are_gone_on_with(small_model: str, tmp_path: Path) -> None:
    """No warning at all: the process is killed; three rows are bad."""
    lines = [json.dumps({"prompt": f"a person walks {n} steps"}) for n in range(97)]
    for place, bad in ((10, '{"prompt": ""}'), (50, "{"), (80, '{"prompt": "a", "seed": -1}')):
        lines.insert(place, bad)
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out"
    line = ["--batch", str(tmp_path / "a.jsonl"), "-o", str(out), "--model", small_model]
    line += ["--seconds", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "t2m_blender", *line], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len([*out.glob("0*.npz")]) < 45 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    running.wait()
    rows = json.loads((out / "manifest.json").read_text())["rows"]
    done = {row["id"]: (out / row["files"][0]).stat().st_mtime_ns for row in rows
            if row["status"] == "done"}  # fmt: skip
    assert 20 < len(done) < 97
    assert cli.main([*line, "--quiet"]) == 3
    rows = json.loads((out / "manifest.json").read_text())["rows"]
    failed = [row["row"] for row in rows if row["status"] == "failed"]
    assert failed == [11, 51, 81]
    made = sorted(out.glob("[!.]*.npz"))  # a killed process may leave an unfinished one
    assert [path.stem for path in made] == [f"{n:04d}" for n in range(1, 101) if n not in failed]
    assert {id: (out / f"{id}.npz").stat().st_mtime_ns for id in done} == done
    assert cli.main([*line, "--quiet"]) == 3, "finished rows stay finished, bad ones stay bad"


# The real thing


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "t2m_blender", *argv],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_embedded_model_walks_and_is_repeatable(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.npz" for number in range(3)]
    for file, seed in zip(files, ("1", "1", "2"), strict=True):
        result = run("a person walks forward", "-o", str(file), "--seed", seed)
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert files[0].read_bytes() == files[1].read_bytes()
    first, other = (np.load(file) for file in (files[0], files[2]))
    assert first["tokens"].tolist() != other["tokens"].tolist()
    frames = len(first["joints"])
    assert first["joints"].dtype == np.float32
    assert first["joints"].shape == (frames, 22, 3)
    assert first["contacts"].dtype == np.float32
    assert first["contacts"].shape == (frames, 4)
    assert float(first["fps"]) == 20.0
    assert (str(first["prompt"]), int(first["seed"])) == ("a person walks forward", 1)
    travelled = first["joints"][-1, 0] - first["joints"][0, 0]
    assert np.hypot(travelled[0], travelled[2]) > 1.0
    pose = first["joints"][0]
    across = pose[1] - pose[2] + pose[16] - pose[17]  # hips and shoulders, from right to left
    assert across[0] > 0.9 * np.linalg.norm(across)  # so that the character faces +z


def test_npz_needs_no_bpy_and_blend_says_how_to_get_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['bpy'] = None; from t2m_blender.cli import main; "
    for suffix, status in ((".npz", 0), (".blend", 2)):
        line = ["walks", "-o", str(tmp_path / f"a{suffix}"), "--seconds", "1"]
        result = subprocess.run(
            [sys.executable, "-c", f"{code} sys.exit(main({line!r}))"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == status, result.stderr
    assert "pip install '.[blender]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert files_in(tmp_path) == ["a.npz"]


@pytest.mark.parametrize(
    ("torch", "words"),
    [
        ("sys.modules['torch'] = None", "PyTorch is not installed"),
        ("sys.path.insert(0, 'broken')", "PyTorch is broken"),
    ],
)
def test_without_a_working_torch_it_says_so_and_works(
    tmp_path: Path, torch: str, words: str
) -> None:
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text("raise OSError('libtorch is cut')")
    code = (
        f"import sys; sys.modules['bpy'] = None; sys.path.insert(0, {str(ROOT)!r}); {torch}; "
        "from t2m_blender.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", code, "walks", "-o", "a.npz", "--seconds", "1", *options]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    done = run()
    assert done.returncode == 0, done.stderr
    assert words in done.stderr
    assert (tmp_path / "a.npz").is_file()
    asked = run("--runtime", "torch")
    assert asked.returncode == 2
    assert len(asked.stderr.splitlines()) == 1
    assert "PyTorch is" in asked.stderr and "use the runtime numpy" in asked.stderr
