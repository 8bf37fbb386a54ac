# SPDX-License-Identifier: GPL-3.0-or-later
"""How the time grows with the length asked for: the embedded model, sentence to Motion, one clip.

python -m benchmarks.length -o results [--runtime torch]
"""

from __future__ import annotations

from benchmarks.report import arguments, interleaved, median, publish, spread
from t2m_blender.engine.generate import generate, load_model

SECONDS = (0.2, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
PROMPT = "a person walks forward and waves"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runtime", default="numpy")
    options = parser.parse_args()
    model = load_model(runtime=options.runtime)
    work = {
        f"{asked:g}": lambda asked=asked: generate(PROMPT, model=model, seconds=asked)
        for asked in SECONDS
    }
    seconds = interleaved(work, options.repeats, options.clock)
    whole = median(seconds["10"])
    rows = [
        (name, spread(taken), f"{float(name) / median(taken):.0f}", f"{median(taken) / whole:.2f}")
        for name, taken in seconds.items()
    ]
    header = ("seconds of motion", "median (range)", "motion a second", "share of 10 s")
    values = {"runtime": model.runtime.name, "clock": options.clock, "seconds": seconds}
    publish(f"Length, {model.runtime.name}", header, rows, values, options.output)


if __name__ == "__main__":
    main()
