# SPDX-License-Identifier: GPL-3.0-or-later
"""How often NumPy and PyTorch on the CPU write the same tokens for the same prompt and seed.

    python benchmarks/same_tokens.py --clips 1000 -o results

The embedded model; clips in batches of 32, of lengths that the model chooses.
"""

from __future__ import annotations

import numpy as np
from report import arguments, publish

from t2m_blender.engine.generate import generate_batch, load_model

BATCH = 32
WHO = ("a person", "someone", "a man", "the woman")
WHAT = ("walks forward", "jumps", "sits down", "kicks with the left leg", "dances", "waves", "runs")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--clips", type=int, default=256)
    options = parser.parse_args()
    models = [load_model(runtime=name, device="cpu") for name in ("numpy", "torch")]
    same, farthest = 0, 0.0
    for start in range(0, options.clips, BATCH):
        seeds = range(start, min(start + BATCH, options.clips))
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
    header = ("clips", "with the same tokens", "farthest joint among them, metres")
    values = {"clips": options.clips, "same": same, "farthest": farthest}
    rows = [(options.clips, same, f"{farthest:.2g}")]
    publish("The same tokens in both runtimes", header, rows, values, options.output)


if __name__ == "__main__":
    main()
