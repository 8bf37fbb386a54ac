# SPDX-License-Identifier: GPL-3.0-or-later
"""Why activations are [C, N]: one layer's product in every order that NumPy could take it.

python -m benchmarks.products -o results
"""

from __future__ import annotations

import numpy as np

from benchmarks.report import arguments, interleaved, median, publish

LAYERS, CALLS = 24, 4  # enough matrices to leave the caches
SIZES = ((256, 768), (1024, 256), (1024, 4096))
COLUMNS = (1, 2, 16, 64)


def main() -> None:
    options = arguments(__doc__).parse_args()
    rows, values = [], {}
    for channels, out in SIZES:
        matrices = [np.ones((out, channels), np.float32) for _ in range(LAYERS)]
        turned = [np.ascontiguousarray(matrix.T) for matrix in matrices]
        for count in COLUMNS:
            x = np.ones((channels, count), np.float32)
            upright = np.ascontiguousarray(x.T)
            work = {
                "W x": lambda m=matrices, x=x: [w @ x for w in m * CALLS],
                "x' W'": lambda m=turned, x=upright: [x @ w for w in m * CALLS],
                "x' (W)'": lambda m=matrices, x=upright: [x @ w.T for w in m * CALLS],
            }
            seconds = interleaved(work, options.repeats, options.clock)
            each = {name: median(taken) / LAYERS / CALLS for name, taken in seconds.items()}
            values[f"{channels} to {out}, {count}"] = each
            cells = (f"{1e6 * one:.0f}" for one in each.values())
            rows.append((f"{channels} to {out}", count, *cells))
    header = ("layer", "vectors", "W x, microseconds", "x' W', W' stored", "x' W', W stored")
    publish("Orders of a product", header, rows, values, options.output)


if __name__ == "__main__":
    main()
