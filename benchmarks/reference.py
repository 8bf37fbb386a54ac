# SPDX-License-Identifier: GPL-3.0-or-later
"""Ours against the paper's way of sampling, and against the floor: 50 tokens of one clip.

    python benchmarks/reference.py -o results [--device cuda]

Random weights of the published size (228 million), and of the embedded model's. The floor is what
any way must pay on this processor: every weight read once a token, as matrix-vector products and
nothing else. All rows of one run take turns, so that their ratios hold on a busy machine too.
"""

from __future__ import annotations

import numpy as np
import plain_sampling
import torch
from random_model import TOKENS, loaded, random_checkpoint, random_request
from report import arguments, interleaved, median, publish, spread

from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.generate import load_model, write_tokens


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", help="a row for PyTorch on this device too, such as cuda")
    options = parser.parse_args()
    embedded = load_model(runtime="numpy").gpt
    sizes = {
        "official": (GPTConfig(), VQVAEConfig()),
        "embedded": (embedded, VQVAEConfig(width=256, code_size=256)),
    }
    work = {}
    bytes_read = {}
    for size, (gpt, vqvae) in sizes.items():
        checkpoint = random_checkpoint(gpt, vqvae)
        matrices = [
            tensor
            for name, tensor in checkpoint.tensors.items()
            if name.startswith("gpt.blocks") and tensor.ndim == 2
        ]
        bytes_read[size] = sum(matrix.nbytes for matrix in matrices)
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
        for runtime, device in places:
            model = loaded(checkpoint, runtime, device)
            work[f"{size}, ours, {model.runtime.name}"] = lambda r=request, m=model: write_tokens(
                r, m
            )
        work[f"{size}, floor"] = lambda m=matrices: stream(m)
    seconds = interleaved(work, options.repeats, options.clock)
    rows = []
    for name, taken in seconds.items():
        size = name.split(",")[0]
        plain_time = median(seconds[f"{size}, the paper's way"])
        floor = median(seconds[f"{size}, floor"])
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
    rate = {
        size: TOKENS * bytes_read[size] / median(seconds[f"{size}, floor"]) / 1e9 for size in sizes
    }
    header = (
        "50 tokens, one clip", "median (range)", "times the paper's way, same size",
        "times the paper's way, official size", "times the floor's seconds",
    )  # fmt: skip
    values = {
        "clock": options.clock,
        "seconds": seconds,
        "bytes_a_token": bytes_read,
        "floor_gigabytes_a_second": rate,
    }
    publish("Against the paper's way and the floor", header, rows, values, options.output)


def stream(matrices: list[np.ndarray]) -> None:
    """Read every weight once a token, as matrix-vector products."""
    vectors = {width: np.ones(width, np.float32) for width in {m.shape[1] for m in matrices}}
    for _ in range(TOKENS):
        for matrix in matrices:
            matrix @ vectors[matrix.shape[1]]


if __name__ == "__main__":
    main()
