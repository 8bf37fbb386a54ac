# SPDX-License-Identifier: GPL-3.0-or-later
"""Ours against the paper's way of sampling, and against the floor: 50 tokens of one clip.

    python -m benchmarks.reference -o results [--device cuda]

Random weights of the published size (228 million), and of the embedded model's. The floor is what
any way must pay on this processor: every byte of the weights of blocks and head read once a token,
at the rate of the faster of NumPy's and PyTorch's matrix-vector products of float32. It is that of
the bytes that a file needs: a quarter where layers are int8. All rows of one run take turns, so
that their ratios hold on a busy machine too.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import plain_sampling
from benchmarks.random_model import (
    TOKENS,
    int8_checkpoint,
    loaded,
    random_checkpoint,
    random_request,
)
from benchmarks.report import arguments, interleaved, median, publish, spread
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.generate import load_model, write_tokens


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", help="a row for PyTorch on this device too, such as cuda")
    options = parser.parse_args()
    embedded = load_model(runtime="numpy")
    sizes = {
        "official": (GPTConfig(), VQVAEConfig()),
        "embedded": (embedded.gpt, embedded.vqvae),
    }
    work = {}
    bytes_read: dict[str, float] = {}
    formats = {}
    for size, (gpt, vqvae) in sizes.items():
        checkpoint = random_checkpoint(gpt, vqvae)
        read = [
            tensor
            for name, tensor in checkpoint.tensors.items()
            if name.startswith(("gpt.blocks", "gpt.norm", "gpt.head"))
        ]
        matrices = [tensor for tensor in read if tensor.ndim == 2]
        vectors = sum(tensor.nbytes for tensor in read if tensor.ndim == 1)
        wide = sum(matrix.nbytes for matrix in matrices)
        bytes_read[size] = wide
        weights = {
            name.removeprefix("gpt."): torch.from_numpy(tensor)
            for name, tensor in checkpoint.tensors.items()
            if name.startswith("gpt.")
        }
        plain = plain_sampling.PlainGPT(weights, gpt)
        request = random_request(gpt)
        pooled = torch.from_numpy(request.text.pooled)
        work[f"{size}, the paper's way"] = lambda p=plain, t=pooled: p.sample(t, TOKENS)
        places = [("numpy", "cpu"), ("torch", "cpu")]
        places += [("torch", options.device)] if options.device else []
        narrow = int8_checkpoint(checkpoint)
        sources = [(checkpoint, *place) for place in places] + [(narrow, "torch", "cpu")]
        for source, runtime, device in sources if size == "official" else sources[:-1]:
            model = loaded(source, runtime, device)
            name = f"{size}, ours, {model.runtime.name}"
            if source is narrow:
                assert "int8" in name, "int8 does not pay on this processor"
                formats[name] = (narrow_bytes(matrices) + vectors) / wide
            else:
                formats[name] = (wide + vectors) / wide
            work[name] = lambda r=request, m=model: write_tokens(r, m)
        shared = [torch.from_numpy(matrix) for matrix in matrices]
        work[f"{size}, weights read by NumPy"] = lambda m=matrices: stream(m)
        work[f"{size}, weights read by PyTorch"] = lambda m=shared: stream_by_torch(m)
    seconds = interleaved(work, options.repeats, options.clock)
    rows = []
    for name, taken in seconds.items():
        size = name.split(",")[0]
        plain_time = median(seconds[f"{size}, the paper's way"])
        floor = floor_of(seconds, size) * formats.get(name, 1.0)
        official = median(seconds["official, the paper's way"])
        rows.append(
            (
                name,
                spread(taken),
                f"{plain_time / median(taken):.1f}",
                f"{official / median(taken):.1f}",
                f"{median(taken) / floor:.2f}",
            )
        )
    rate = {size: TOKENS * bytes_read[size] / floor_of(seconds, size) / 1e9 for size in sizes}
    header = (
        "50 tokens, one clip", "median (range)", "times the paper's way, same size",
        "times the paper's way, official size", "times the floor of its bytes",
    )  # fmt: skip
    values = {
        "clock": options.clock,
        "seconds": seconds,
        "bytes_a_token": bytes_read,
        "floor_gigabytes_a_second": rate,
    }
    publish("Against the paper's way and the floor", header, rows, values, options.output)


def floor_of(seconds: dict[str, list[float]], size: str) -> float:
    """Seconds for all matrices in float32."""
    return min(median(seconds[f"{size}, weights read by {who}"]) for who in ("NumPy", "PyTorch"))


def narrow_bytes(matrices: list[np.ndarray]) -> int:
    """Bytes of int8 rows with their scales."""
    return sum(m.size + 4 * len(m) for m in matrices)


@torch.inference_mode()
def stream_by_torch(matrices: list[torch.Tensor]) -> None:
    """As `stream`."""
    vectors = {width: torch.ones(1, width) for width in {m.shape[1] for m in matrices}}
    for _ in range(TOKENS):
        for matrix in matrices:
            torch.nn.functional.linear(vectors[matrix.shape[1]], matrix)


def stream(matrices: list[np.ndarray]) -> None:
    """Read every weight once a token, as matrix-vector products."""
    vectors = {width: np.ones(width, np.float32) for width in {m.shape[1] for m in matrices}}
    for _ in range(TOKENS):
        for matrix in matrices:
            matrix @ vectors[matrix.shape[1]]


if __name__ == "__main__":
    main()
