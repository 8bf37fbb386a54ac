# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips a second when 1 to 64 are made side by side: the embedded model, sentence to Motion.

Each is 10 seconds long.

    python -m benchmarks.batches -o results [--runtime torch --device cuda]
"""

from __future__ import annotations

from benchmarks.report import arguments, interleaved, median, publish, spread
from t2m_blender.engine.generate import TextToMotion, generate_batch, load_model

BATCHES = (1, 2, 4, 8, 16, 32, 64)
PROMPTS = (
    "a person walks forward and waves",
    "someone jumps up and down",
    "a man sits down on a chair and stands up again",
    "the person kicks with the left leg",
)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runtime", default="numpy")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    model = load_model(runtime=options.runtime, device=options.device)
    work = {str(clips): lambda clips=clips: make(model, clips) for clips in BATCHES}
    seconds = interleaved(work, options.repeats, options.clock)
    alone = median(seconds["1"])
    rows = [
        (
            name,
            spread(taken),
            f"{int(name) / median(taken):.1f}",
            f"{int(name) * alone / median(taken):.1f}",
        )
        for name, taken in seconds.items()
    ]
    header = ("clips at once", "median (range)", "clips a second", "times one at a time")
    values = {"runtime": model.runtime.name, "clock": options.clock, "seconds": seconds}
    publish(
        f"Batches, {model.runtime.name}",
        header,
        rows,
        values,
        options.output,
        variant=options.runtime,
    )


def make(model: TextToMotion, clips: int) -> None:
    prompts = [PROMPTS[index % len(PROMPTS)] for index in range(clips)]
    generate_batch(prompts, model=model, seeds=range(clips), seconds=[10.0] * clips)


if __name__ == "__main__":
    main()
