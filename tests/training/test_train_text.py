# SPDX-License-Identifier: GPL-3.0-or-later
"""The text encoder learns: torch's is NumPy's, a wording comes to be read as its caption, and all
else of the model stays.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stage_sample import (
    CONFIG,
    OF_TEXT,
    apart,
    first_chances,
    goes_on_as_if_not_stopped,
    log,
    with_a_wording,
)

from t2m_blender.engine.checkpoint import read_checkpoint, write_checkpoint
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.generate import MODELS, generate, load_model
from t2m_blender.engine.minilm import MiniLM
from t2m_blender.engine.text import TextEncoder
from training.__main__ import main
from training.config import TextTraining
from training.low_rank import LowRankMiniLM, sentence_ids
from training.train_gpt import train_gpt
from training.train_text import train_text
from training.train_vqvae import train_vqvae

READING = replace(
    CONFIG,
    text=TextTraining(
        batch_size=8, steps=60, learning_rate=3e-3, warm_up=5, average=0.9, validate_every=30,
        rank=4, misread=0.5,
    ),
)  # fmt: skip
PLAIN, WORDING = "a person walks forward", "someone waves the left hand around"
SENTENCES = ["walk", "A person sits down, then (slowly!) stands up 一个人.", "she waves"]


def encoder() -> MiniLM:
    loaded = TextEncoder.load(MODELS / "minilm.safetensors")
    assert isinstance(loaded, MiniLM)
    return loaded


@pytest.mark.parametrize("changed", [False, True])
@torch.no_grad()
def test_the_network_that_learns_is_the_one_that_reads(changed: bool) -> None:
    torch.manual_seed(0)
    limit = 8  # the second sentence has more
    network = LowRankMiniLM(encoder(), 3)
    plain = encoder().encode(SENTENCES, limit)
    if changed:
        for parameter in network.parameters():
            parameter.normal_(std=0.05)
    reads = encoder()
    reads.weights.change(network.changes())
    wanted = reads.encode(SENTENCES, limit)
    found = network([sentence_ids(reads, sentence, limit) for sentence in SENTENCES])
    assert np.array_equal(found.known.numpy(), wanted.mask)
    assert np.allclose(found.pooled.numpy(), wanted.pooled, atol=1e-6)
    assert np.allclose(found.words.numpy(), wanted.tokens, atol=2e-5)
    assert np.allclose(plain.tokens, wanted.tokens, atol=1e-5) != changed


@pytest.fixture(scope="module")
def worded(random_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_a_wording(random_set, tmp_path_factory.mktemp("worded") / "set")


@pytest.fixture(scope="module")
def model(random_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has never seen the wording."""
    folder = tmp_path_factory.mktemp("model")
    file = train_vqvae(CONFIG, random_set, folder / "vqvae")
    return train_gpt(replace(CONFIG, gpt=OF_TEXT), random_set, file, folder / "gpt")


@pytest.fixture(scope="module")
def read(model: Path, worded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_text(READING, worded, model, tmp_path_factory.mktemp("read") / "run")


def test_a_wording_is_read_as_its_caption_and_all_else_stays(model: Path, read: Path) -> None:
    others = ["someone waves the left hand", "a dog"]
    wanted, kept = (first_chances(model, prompts) for prompts in ([PLAIN], [PLAIN, others[0]]))
    before, after = (first_chances(path, [WORDING]) for path in (model, read))
    assert apart(before, wanted) > 0.1
    assert apart(after, wanted) < 0.2 * apart(before, wanted)
    assert apart(first_chances(read, [PLAIN, others[0]]), kept) < 0.05 * apart(before, wanted)
    old, new = (read_checkpoint(path) for path in (model, read))
    assert {name.split(".")[0] for name in set(new.tensors) - set(old.tensors)} == {"text"}
    assert all(np.array_equal(old.tensors[name], new.tensors[name]) for name in old.tensors)
    assert old.sha256 in new.origin
    losses = [row["loss"] for row in log(read.parent) if "loss" in row]
    assert np.isfinite(losses).all()
    assert generate(WORDING, model=load_model(read), seconds=2.35).motion.frames == 47


def test_it_goes_on_where_it_was_stopped(
    model: Path, worded: Path, read: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path) -> bytes:
        return train_text(READING, worded, model, folder).read_bytes()

    goes_on_as_if_not_stopped(run, tmp_path, read.read_bytes(), monkeypatch)


def test_it_learns_on_and_the_gpt_learns_on_from_it(
    model: Path, worded: Path, read: Path, tmp_path: Path
) -> None:
    short = replace(READING, text=replace(READING.text, steps=1, learning_rate=1e-9))
    on = read_checkpoint(train_text(short, worded, read, tmp_path / "on"))
    for name, change in read_checkpoint(read).text_changes.items():
        assert np.allclose(on.text_changes[name], change, atol=1e-6), name
    with pytest.raises(CheckpointError, match="changes of another rank than tiny"):
        train_text(
            replace(short, text=replace(short.text, rank=2)), worded, read, tmp_path / "rank"
        )
    config = replace(CONFIG, gpt=replace(OF_TEXT, steps=1, learning_rate=1e-9))
    taught = train_gpt(config, worded, read, tmp_path / "gpt", start_from=read)
    assert np.allclose(first_chances(taught, [WORDING]), first_chances(read, [WORDING]), atol=0.01)


@pytest.mark.parametrize("firsts", [(0, 1), (1, 0), (1, 1)])
def test_what_is_blended_reads_in_between(
    model: Path, read: Path, tmp_path: Path, firsts: tuple[int, int]
) -> None:
    """Of a model with changes and one without, and of one with itself: share by share, exactly."""
    pair = [(model, read)[which] for which in firsts]
    between = tmp_path / "between.safetensors"
    assert main(["blend", *map(str, pair), "--share", "0.25", "-o", str(between)]) == 0
    weights = []
    for file in (*pair, between):
        reader = load_model(file).text_encoder
        weights.append(reader.weights["layers.3.intermediate.weight"])
    one, two, made = weights
    assert np.allclose(made, 0.75 * one + 0.25 * two, atol=2e-4)  # float16 in the files
    assert (np.abs(made - one).max() > 2e-3) == (firsts != (1, 1))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("layers.0.qkv.up", (5, 4)),
        ("layers.0.qkv.down", (4, 5)),
        ("layers.0.qkv.down", (3, 384)),
        ("layers.0.qkv.down", ()),
        ("layers.9.qkv.down", (4, 384)),
        ("position.up", (4,)),
    ],
)
def test_a_file_whose_changes_do_not_fit_is_named(
    read: Path, tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    good = read_checkpoint(read)
    tensors = {**good.tensors, f"text.{name}": np.zeros(shape, np.float32)}
    bad = tmp_path / "bad.safetensors"
    write_checkpoint(bad, replace(good, tensors=tensors))
    with pytest.raises(CheckpointError, match=r"bad\.safetensors does not fit its own"):
        load_model(bad)


def test_a_model_of_another_encoder_is_refused(
    model: Path, worded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.train_text

    class Other(TextEncoder):
        load = staticmethod(lambda path: object())  # type: ignore[assignment]

    monkeypatch.setattr(training.train_text, "TextEncoder", Other)
    with pytest.raises(InputError, match="which does not learn"):
        train_text(READING, worded, model, tmp_path / "run")


def test_the_command_takes_a_config(
    model: Path, worded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "short.toml"
    config.write_text("[text.training]\nsteps = 2\nbatch_size = 4\nrank = 2\n", encoding="utf-8")
    command = ["train-text", str(worded), "--start-from", str(model), "--config", str(config)]
    assert main([*command, "-o", str(tmp_path / "run")]) == 0
    made = Path(capsys.readouterr().out.splitlines()[-1])
    assert read_checkpoint(made).text_changes["layers.5.output.down"].shape == (2, 1536)
    config.write_text("[text.network]\nrank = 2\n", encoding="utf-8")
    assert main([*command, "-o", str(tmp_path / "run")]) == 2
    assert "[text.network]" in capsys.readouterr().err
