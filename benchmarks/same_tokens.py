# SPDX-License-Identifier: GPL-3.0-or-later
"""How often NumPy and PyTorch on the CPU write the same tokens for the same prompt and seed.

    python -m benchmarks.same_tokens --clips 1000 -o results

The embedded model, clips of lengths that it chooses; and a model of the published size with random
weights in int8 rows, clips of 50 tokens. In batches of 32.
"""

from __future__ import annotations

import numpy as np

from benchmarks.random_model import int8_checkpoint, loaded, random_checkpoint, random_request
from benchmarks.report import arguments, publish
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.generate import generate_batch, load_model, write_tokens

BATCH = 32
WHO = ("a person", "someone", "a man", "the woman")
WHAT = ("walks forward", "jumps", "sits down", "kicks with the left leg", "dances", "waves", "runs")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--clips", type=int, default=256, help="of the embedded model (256)")
    parser.add_argument("--large", type=int, default=64, help="of the large one (64)")
    options = parser.parse_args()
    same, farthest = embedded(options.clips)
    large = official(options.large)
    header = ("model", "clips", "with the same tokens", "farthest joint among them, metres")
    values = {"clips": options.clips, "same": same, "farthest": farthest,
              "large_clips": options.large, "large_same": large}  # fmt: skip
    rows = [
        ("embedded", options.clips, same, f"{farthest:.2g}"),
        ("published size, int8", options.large, large, ""),
    ]
    publish("The same tokens in both runtimes", header, rows, values, options.output)


def embedded(clips: int) -> tuple[int, float]:
    """How many are the same, and how far the joints of those are apart."""
    models = [load_model(runtime=name, device="cpu") for name in ("numpy", "torch")]
    same, farthest = 0, 0.0
    for start in range(0, clips, BATCH):
        seeds = range(start, min(start + BATCH, clips))
        prompts = [f"{WHO[s % len(WHO)]} {WHAT[s % len(WHAT)]}" for s in seeds]
        made = [
            generate_batch(prompts, model=model, seeds=seeds, seconds=[None] * len(seeds))
            for model in models
        ]
        for one, other in zip(*made, strict=True):
            if np.array_equal(one.tokens, other.tokens):
                same += 1
                off = np.abs(one.motion.joints - other.motion.joints).max()
                farthest = max(farthest, float(off))
    return same, farthest


def official(clips: int) -> int:
    """How many are the same."""
    sizes = GPTConfig(), VQVAEConfig()
    checkpoint = int8_checkpoint(random_checkpoint(*sizes))
    models = [loaded(checkpoint, runtime, "cpu") for runtime in ("numpy", "torch")]
    same = 0
    for start in range(0, clips, BATCH):
        request = random_request(sizes[0], min(BATCH, clips - start), first=start)
        written = [write_tokens(request, model) for model in models]
        same += sum(np.array_equal(*both) for both in zip(*written, strict=True))
    return same


if __name__ == "__main__":
    main()
