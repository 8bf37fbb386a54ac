# SPDX-License-Identifier: GPL-3.0-or-later
"""The published T2M-GPT files as a model of ours: bit for bit, or refused by their keys' names."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from t2m_blender.engine.checkpoint import read_checkpoint, write_tensors
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.generate import generate, load_model
from t2m_blender.engine.gpt import GPT
from t2m_blender.engine.official import official_gpt_name, official_vqvae_name
from t2m_blender.engine.vqvae import VQVAE
from training.__main__ import main
from training.config import network_config, read_config

Shapes = dict[str, dict[str, list[int]]]


@pytest.fixture(scope="module")
def shapes(parity: Path) -> Shapes:
    table = json.loads((parity / "official_state_dict_shapes.json").read_text())
    return {name.split()[0]: keys for name, keys in table.items()}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A folder for two files of 1 GB; in memory where there is much, as a disk takes a minute."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 6e9 and free_memory() > 12e9:
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            yield Path(folder)
        return
    if free_memory() < 5e9:
        pytest.skip("needs 5 GB of memory")
    yield tmp_path


def free_memory() -> float:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * float(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError):
        return 0.0


def random_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Random tensors of these shapes, cut out of one short random row."""
    row = 0.02 * torch.randn(1_000_003, generator=torch.Generator().manual_seed(0))
    state, start = {}, 0
    for name, shape in shapes.items():
        count = prod(shape)
        start = (start + 7919) % 1_000_003
        repeats = -(-(start + count) // len(row))
        state[name] = row.repeat(repeats)[start : start + count].reshape(shape)
    return state


def statistics(folder: Path, size: int) -> None:
    random = np.random.default_rng(1)
    np.save(folder / "mean.npy", random.normal(size=size).astype(np.float32))
    np.save(folder / "std.npy", random.uniform(0.1, 1.0, size=size).astype(np.float32))


def same_bits(ours: np.ndarray, theirs: torch.Tensor) -> bool:
    return ours.tobytes() == theirs.numpy().tobytes()


def clip_of_512(path: Path) -> None:
    """A text encoder file with CLIP's layout, one layer and features of CLIP's size."""
    random = np.random.default_rng(2)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (0.1 * random.normal(size=(rows, columns))).astype(np.float32)

    tensors = {"word.weight": matrix(512 + 1 + 2, 64), "position": matrix(77, 64)}
    tensors["projection.weight"] = matrix(512, 64)
    sizes = {"qkv": (192, 64), "attention_output": (64, 64), "intermediate": (256, 64)}
    sizes["output"] = (64, 256)
    for part, (rows, columns) in sizes.items():
        tensors[f"layers.0.{part}.weight"] = matrix(rows, columns)
        tensors[f"layers.0.{part}.bias"] = np.zeros(rows, np.float32)
    for norm in ("layers.0.attention_norm", "layers.0.output_norm", "final_norm"):
        tensors[f"{norm}.weight"] = np.ones(64, np.float32)
        tensors[f"{norm}.bias"] = np.zeros(64, np.float32)
    write_tensors(path, tensors, {"network": "clip", "vocabulary": "w a"})


def test_a_full_size_checkpoint_comes_through_bit_for_bit_and_generates(
    shapes: Shapes, room: Path
) -> None:
    vqvae, gpt = random_state(shapes["vqvae_t2m"]), random_state(shapes["gpt_t2m"])
    torch.save({"net": vqvae}, room / "vq.pth")
    torch.save({"trans": gpt}, room / "gpt.pth")
    statistics(room, 263)
    model = room / "official.safetensors"
    assert (
        main(
            [
                "import-official",
                str(room / "vq.pth"),
                str(room / "gpt.pth"),
                "-o",
                str(model),
            ]
        )
        == 0
    )
    (room / "gpt.pth").unlink()

    checkpoint = read_checkpoint(model)
    assert checkpoint.text_encoder == "clip"
    used = set()
    for name, tensor in checkpoint.tensors.items():
        kind, own = name.split(".", 1)
        state = vqvae if kind == "vqvae" else gpt
        theirs = official_vqvae_name(own, 2) if kind == "vqvae" else official_gpt_name(own, 9)
        if theirs in state:
            used.add(theirs)
            assert same_bits(tensor, state[theirs]), name
        else:  # what they do not store
            assert own.startswith("codebook."), name
    unused = (vqvae.keys() | gpt.keys()) - used
    assert {name.split(".")[-1] for name in unused if "attn.mask" not in name} == {"weight"}
    assert [n for n in unused if "mask" not in n] == ["trans_base.pos_embedding.weight"]
    assert checkpoint.mean.tobytes() == np.load(room / "mean.npy").tobytes()
    assert checkpoint.std.tobytes() == np.load(room / "std.npy").tobytes()
    del gpt, vqvae, checkpoint

    clip_of_512(room / "clip.safetensors")  # beside the model
    made = generate("a person walks", model=load_model(model), seed=1, seconds=1.0)
    assert made.motion.joints.shape == (20, 22, 3)
    assert np.isfinite(made.motion.joints).all()
    assert made.tokens.shape == (5, 1)


def test_kit_and_other_sizes(shapes: Shapes, parity: Path, tmp_path: Path) -> None:
    """KIT's network at its full size, with a small GPT of as many codes; and the small pair."""
    torch.save({"net": random_state(shapes["vqvae_kit"])}, tmp_path / "vq.pth")
    small = torch.load(parity / "gpt_small_official.pth", weights_only=True)["trans"]
    wide = random_state({k: list(v.shape) for k, v in small.items()})
    for name in ("trans_base.tok_emb.weight", "trans_head.head.weight"):
        wide[name] = torch.randn(len(wide[name]) + 512 - 64, wide[name].shape[1])
    torch.save({"trans": wide}, tmp_path / "gpt.pth")
    statistics(tmp_path, 251)
    command = ["import-official", "--heads", "4", "-o", str(tmp_path / "kit.safetensors")]
    assert main([*command, str(tmp_path / "vq.pth"), str(tmp_path / "gpt.pth")]) == 0
    checkpoint = read_checkpoint(tmp_path / "kit.safetensors")
    assert checkpoint.skeleton.name == "kit-21"
    assert checkpoint.vqvae["feature_size"] == 251
    small = tmp_path / "small.safetensors"
    command[-1] = str(small)
    files = [str(tmp_path / "vq.pth"), str(tmp_path / "gpt.pth")]
    assert main([*command, *files, "--weights", "int8"]) == 0
    rounded = read_checkpoint(small)
    assert "rounded to int8" in rounded.origin
    assert small.stat().st_size < 0.5 * (tmp_path / "kit.safetensors").stat().st_size
    for name, tensor in checkpoint.tensors.items():
        off = np.abs(rounded.tensors[name] - tensor).max() if tensor.dtype.kind == "f" else 0.0
        assert off <= np.abs(tensor).max() / 250, name


def test_what_does_not_fit_is_named_as_in_the_file(
    parity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statistics(tmp_path, 263)
    published = {
        "net": torch.load(parity / "vqvae_small_official.pth", weights_only=True)["net"],
        "trans": torch.load(parity / "gpt_small_official.pth", weights_only=True)["trans"],
    }
    for key, state in published.items():
        torch.save({key: state}, tmp_path / f"{key}.pth")

    def refused(words: str, *options: str, net: str = "net.pth", trans: str = "trans.pth") -> None:
        output = tmp_path / "model.safetensors"
        files = [str(tmp_path / net), str(tmp_path / trans)]
        command = ["import-official", *files, "-o", str(output), "--heads", "4", *options]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert words in error, error
        assert not output.exists()

    def spoilt(key: str, name: str, tensor: torch.Tensor | None) -> str:
        state = {**published[key], name: tensor}
        torch.save({key: {k: v for k, v in state.items() if v is not None}}, tmp_path / "bad.pth")
        return "bad.pth"

    conv = "vqvae.encoder.model.2.0.weight"
    refused(
        f"{conv} is [32, 32, 5], not [32, 32, 4]", net=spoilt("net", conv, torch.zeros(32, 32, 5))
    )
    late = "vqvae.decoder.model.6.bias"
    refused(f"missing {late}", net=spoilt("net", late, None))
    refused("unknown vqvae.extra", net=spoilt("net", "vqvae.extra", torch.zeros(1)))
    refused(
        "vqvae.quantizer.codebook is [3]",
        net=spoilt("net", "vqvae.quantizer.codebook", torch.zeros(3)),
    )
    query = "trans_head.blocks.1.attn.query.weight"
    refused(f"missing {query}", trans=spoilt("trans", query, None))
    refused(f"{query} is [64, 9], not [64, 64]", trans=spoilt("trans", query, torch.zeros(64, 9)))
    refused("trans_base.tok_emb.weight", "--heads", "5")
    refused("has no 'net' entry", net="trans.pth")
    refused("give the published GPT file", trans="net.pth")
    fewer = published["trans"] | {
        "trans_base.tok_emb.weight": torch.zeros(34, 64),
        "trans_head.head.weight": torch.zeros(33, 64),
    }
    torch.save({"trans": fewer}, tmp_path / "bad.pth")
    refused("writes 32 codes", trans="bad.pth")
    entry, leave = "vqvae.encoder.model.0.weight", "vqvae.decoder.model.6.weight"
    other = published["net"] | {entry: torch.zeros(32, 100, 3), leave: torch.zeros(100, 32, 3)}
    other[late] = torch.zeros(100)
    torch.save({"net": other}, tmp_path / "bad.pth")
    refused("reads 100 features a frame", net="bad.pth")

    refused("name the mean", "--mean", str(tmp_path / "nowhere.npy"))
    np.save(tmp_path / "short.npy", np.ones(100))
    refused("needs 263 numbers", "--std", str(tmp_path / "short.npy"))
    np.save(tmp_path / "zero.npy", np.zeros(263))
    refused("cannot be a std", "--std", str(tmp_path / "zero.npy"))
    refused("no readable .npy", "--mean", str(tmp_path / "net.pth"))


@pytest.mark.parametrize(("name", "frames"), [("humanml3d", "vqvae_t2m"), ("kit", "vqvae_kit")])
def test_the_paper_s_configs_build_networks_of_the_published_shapes(
    shapes: Shapes, name: str, frames: str
) -> None:
    config = read_config(name)
    size = shapes[frames]["vqvae.encoder.model.0.weight"][1]
    with torch.device("meta"):
        vqvae = VQVAE(network_config(VQVAEConfig, config.vqvae_network, feature_size=size))
        sizes = network_config(GPTConfig, config.gpt_network, codebook_size=512, text_size=512)
        gpt = GPT(sizes)
    ours = {official_vqvae_name(k, 2): list(v.shape) for k, v in vqvae.state_dict().items()}
    theirs = shapes[frames]
    stored = {k: v for k, v in ours.items() if k in theirs}
    assert stored == theirs
    assert {k for k in ours if k not in theirs} == {
        *("begun", "vqvae.quantizer.code_sum", "vqvae.quantizer.code_count")
    }
    ours = {official_gpt_name(k, 9): list(v.shape) for k, v in gpt.state_dict().items()}
    ours["trans_base.pos_embed.embed"].insert(1, 1)
    read = {
        k: v
        for k, v in shapes["gpt_t2m"].items()
        if not k.endswith(("attn.mask", "pos_embedding.weight"))
    }
    assert ours == read


@pytest.mark.parametrize("name", ["humanml3d", "kit"])
def test_the_paper_s_settings(name: str) -> None:
    config = read_config(name)
    first, second = config.vqvae, config.gpt
    assert (first.batch_size, first.window, first.steps, first.warm_up) == (256, 64, 300_000, 1000)
    assert (first.learning_rate, first.betas, first.weight_decay) == (2e-4, (0.9, 0.99), 0.0)
    assert (first.schedule, first.drop_at, first.drop_to) == ("drop", 200_000, 0.05)
    assert (first.reconstruction, first.position_weight) == ("smooth_l1", 0.5)
    assert first.commitment_weight == 0.02
    assert config.vqvae_network["quantiser"] == "ema_reset"
    assert config.vqvae_network["codebook_decay"] == 0.99
    assert (second.batch_size, second.steps, second.warm_up) == (128, 300_000, 0)
    assert (second.learning_rate, second.betas, second.weight_decay) == (1e-4, (0.5, 0.9), 1e-6)
    assert (second.schedule, second.drop_at, second.drop_to) == ("drop", 150_000, 0.05)
    assert (second.corruption, second.crop, second.text_dropout) == (0.5, 1 / 3, 0.0)
    assert config.gpt_network["dropout"] == 0.1
    assert config.model.text_encoder == "clip"
    assert first.average == second.average == 0.0
