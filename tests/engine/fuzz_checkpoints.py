# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of broken and malicious model files, each opened; run by test_fuzz_checkpoints.py.

`python fuzz_checkpoints.py FOLDER` prints one JSON object. It is a process of its own, so that its
peak of memory is its own.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import resource
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from t2m_blender.engine import torch_runtime
from t2m_blender.engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.errors import CheckpointError, T2MError
from t2m_blender.engine.generate import generate, load_model
from t2m_blender.engine.gpt import GPT
from t2m_blender.engine.official import read_official_gpt, read_official_vqvae
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.engine.text import TextEncoder
from t2m_blender.engine.vqvae import VQVAE

GIGABYTE = 2**30
ZEROS = bytes(2**24)
INFLATED = 640 * 2**20  # bytes that a zip bomb wants
ODD = (
    None,
    True,
    -1,
    0,
    1,
    3,
    10**3,
    10**9,
    2**63,
    1e30,
    float("nan"),
    "16",
    [],
    [16],
    {},
    {"a": 1},
)
RANDOM = np.random.default_rng(20)


def whole_model(path: Path, weights: str = "fp16") -> bytes:
    """A small model that works, as a file."""
    vqvae = VQVAEConfig(feature_size=263, width=16, code_size=8, codebook_size=16, depth=1)
    gpt = GPTConfig(
        codebook_size=16, token_limit=10, width=16, blocks=2, heads=2, text_size=384, word_limit=4
    )
    torch.manual_seed(0)
    parts = {"vqvae.": VQVAE(vqvae).state_dict(), "gpt.": GPT(gpt).state_dict()}
    checkpoint = Checkpoint(
        vqvae=asdict(vqvae),
        gpt=asdict(gpt),
        tensors={k + n: t.numpy() for k, state in parts.items() for n, t in state.items()},
        mean=np.zeros(263, np.float32),
        std=np.ones(263, np.float32),
        skeleton=HUMANML3D,
        text_encoder="minilm",
        sampling={"guidance": 1.0, "temperature": 1.0, "top_p": 1.0},
        licence="none",
        origin="fuzz",
    )
    write_checkpoint(path, checkpoint, weights=weights)
    return path.read_bytes()


def broken_rows(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """(kind, content) of files whose int8 rows lack fitting scales."""
    length = int.from_bytes(whole[:8], "little")
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    for name in [name for name in header if name.endswith(".scale")]:
        row = header[name]
        count = row["shape"][0]
        less = {"shape": [count - 1], "data_offsets": [row["data_offsets"][0] + 4,
                                                       row["data_offsets"][1]]}  # fmt: skip
        changes = ({"shape": [1, count]}, {"shape": [count, 1]}, {"dtype": "I32"}, less, None)
        for change in changes:
            changed = {key: value for key, value in header.items() if change or key != name}
            if change:
                changed[name] = {**row, **change}
            text = json.dumps(changed).encode()
            yield "scale", len(text).to_bytes(8, "little") + text + body


def broken_models(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """(kind, content) of .safetensors files."""
    length = int.from_bytes(whole[:8], "little")
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]

    def packed(changed: Any, data: bytes = body, said: int | None = None) -> bytes:
        text = json.dumps(changed).encode()
        return (len(text) if said is None else said).to_bytes(8, "little") + text + data

    for end in RANDOM.integers(0, len(whole) - 1, 80):
        yield "truncated", whole[:end]
    for said in (0, 1, 7, length - 1, length + 1, len(whole), 10 * GIGABYTE, 2**63, 2**64 - 1):
        yield "header length", said.to_bytes(8, "little") + whole[8:]
    yield "garbage", b""
    for size in (1, 8, 9, 100, 5000):
        yield "garbage", RANDOM.bytes(size)
    yield "deep", packed({})[:8] + b"[" * 100_000
    yield "deep", (200_000).to_bytes(8, "little") + b"[" * 200_000
    all_of_it = {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}
    metadata = {"__metadata__": header["__metadata__"]}
    yield "repeated", packed({**metadata, **{str(n): all_of_it for n in range(20_000)}})

    names = [name for name in header if name != "__metadata__"]
    for name in names:
        row = header[name]
        numbers = {"shape": [*row["shape"], 2], "data_offsets": [0, len(body) + 8]}
        for key, value in numbers.items() if row["shape"] else ():
            yield "tensor table", packed({**header, name: {**row, key: value}})
        if len(row["shape"]) > 1 and row["shape"][0] != row["shape"][1]:
            yield "wrong shape", packed({**header, name: {**row, "shape": row["shape"][::-1]}})
        if row["shape"]:
            flat = [1, int(np.prod(row["shape"]))]
            yield "wrong shape", packed({**header, name: {**row, "shape": flat}})
        yield "missing", packed({key: value for key, value in header.items() if key != name})
    for place in range(80):
        changed = copy.deepcopy(header)
        row, odd = changed[names[place % len(names)]], ODD[place % len(ODD)]
        row[("dtype", "shape", "data_offsets")[place % 3]] = odd
        yield "tensor table", packed(changed)

    config = json.loads(header["__metadata__"]["config"])
    for part in config:
        for odd in (None, 3, "x", [], {}):
            yield "config", packed(_with_config(header, {**config, part: odd}))
    for part in ("vqvae", "gpt"):
        for name in config[part]:
            for odd in ODD:
                changed = {**config, part: {**config[part], name: odd}}
                yield "config number", packed(_with_config(header, changed))
    for place in RANDOM.integers(8, 8 + length, 150):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(RANDOM.integers(8))
        yield "bit", bytes(flipped)


def _with_config(header: dict[str, Any], config: Any) -> dict[str, Any]:
    metadata = {**header["__metadata__"], "config": json.dumps(config)}
    return {**header, "__metadata__": metadata}


class Bomb:
    """Unpickled as it likes to be, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def broken_official(folder: Path, official: bytes, key: str) -> Iterator[tuple[str, bytes]]:
    """(kind, content) of .pth files."""
    mark = folder / "executed"
    for content in (Bomb(mark), {key: Bomb(mark)}, {key: {"a": Bomb(mark)}}, [Bomb(mark)]):
        yield "pickle bomb", pickle.dumps(content)
        for new in (False, True):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=new)
            yield "pickle bomb", buffer.getvalue()
    yield (
        "pickle bomb",
        b"\x80\x02cbuiltins\nbytearray\nM\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
    )
    yield "pickle bomb", b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    for end in RANDOM.integers(0, len(official) - 1, 30):
        yield "pth truncated", official[:end]
    for place in RANDOM.integers(0, len(official), 30):
        flipped = bytearray(official)
        flipped[place] ^= 0xFF
        yield "pth byte", bytes(flipped)

    content = torch.load(io.BytesIO(official), weights_only=True)
    names = list(content[key])
    for name in RANDOM.choice(names, 20):
        for tensor in (
            torch.zeros(1).expand(10**6, 10**6),
            torch.zeros(0),
            torch.zeros(2, 3, 4, 5),
        ):
            yield "pth shape", _saved({key: {**content[key], name: tensor}})
        yield "pth missing", _saved({key: {k: v for k, v in content[key].items() if k != name}})
    for odd in (None, 3, {}, {key: None}, {key: []}, {key: {1: 2}}, {key: {"a": "b"}}):
        yield "pth content", _saved(odd)

    inflated = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(official)) as source,
        zipfile.ZipFile(inflated, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            with target.open(entry.filename, "w", force_zip64=True) as file:
                file.write(source.read(entry))
                if "/data/" in entry.filename:
                    for _ in range(INFLATED // len(ZEROS)):
                        file.write(ZEROS)
                    break
    yield "zip bomb", inflated.getvalue()


def _saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def main(folder: Path, parity: Path | None) -> dict[str, Any]:
    refused: Counter[str] = Counter()
    opened: Counter[str] = Counter()
    wrong: list[str] = []

    def judge(kind: str, path: Path, open_it: Any) -> None:
        try:
            open_it(path)
            opened[kind] += 1
        except CheckpointError as error:
            refused[kind] += 1
            if len(str(error)) > 1000 or str(error)[-1] not in ".?":
                wrong.append(f"{kind}: no sentence: {str(error)[:300]!r}")
        except Exception as error:  # noqa: BLE001 - what the test is about
            wrong.append(f"{kind}: {type(error).__name__}: {str(error)[:200]}")
            keep = folder / f"wrong{len(wrong)}{path.suffix}"
            keep.write_bytes(path.read_bytes())

    whole = whole_model(folder / "whole.safetensors")

    def open_and_use(path: Path, runtime: str) -> None:
        model = load_model(path, runtime=runtime)
        try:
            generate("a person walks", model=model, seconds=0.5)
        except T2MError as error:
            raise CheckpointError(str(error)) from error

    load_encoder = TextEncoder.load
    TextEncoder.load = staticmethod(cache(load_encoder))  # 23 MB that no case changes
    open_and_use(folder / "whole.safetensors", "numpy")
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = folder / "broken.safetensors"
    for kind, content in broken_models(whole):
        path.write_bytes(content)
        judge(kind, path, lambda path: open_and_use(path, "numpy"))
        if kind in ("config number", "wrong shape", "missing"):  # the rest ends before a runtime
            judge(kind, path, lambda path: open_and_use(path, "torch"))
    torch_runtime.NARROW_FROM = 0  # int8 rows are used as they are
    whole = whole_model(folder / "int8.safetensors", "int8")
    for kind, content in (*broken_rows(whole), *broken_models(whole)):
        if kind in ("scale", "wrong shape", "missing"):
            path.write_bytes(content)
            for runtime in ("numpy", "torch"):
                judge(kind, path, lambda path, runtime=runtime: open_and_use(path, runtime))
    for runtime in ("numpy", "torch"):
        open_and_use(folder / "int8.safetensors", runtime)
    path.write_bytes(_zip_of_zeros())
    judge("zip bomb", path, read_checkpoint)
    if parity is not None:
        readers = {
            "net": read_official_vqvae,
            "trans": lambda path: read_official_gpt(path, heads=4),
        }
        for (key, reader), name in zip(readers.items(), ("vqvae", "gpt"), strict=True):
            official = (parity / f"{name}_small_official.pth").read_bytes()
            for kind, content in broken_official(folder, official, key):
                path = folder / "broken.pth"
                path.write_bytes(content)
                judge(kind, path, reader)
    return {
        "refused": refused,
        "opened": opened,
        "wrong": wrong,
        "executed": (folder / "executed").exists(),
        "grown_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024,
    }


def _zip_of_zeros() -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w", force_zip64=True) as file,
    ):
        for _ in range(INFLATED // len(ZEROS)):
            file.write(ZEROS)
    return buffer.getvalue()


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)))
