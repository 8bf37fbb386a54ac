# SPDX-License-Identifier: GPL-3.0-or-later
"""What the embedded model writes: the same tokens on every Python, NumPy, runtime and Blender.

    python tests/install/written.py        writes written.json anew, when there is a new model

Nothing but NumPy is needed, and the extension under whatever name it is installed.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
PROMPTS = (
    "a person walks forward", "someone jumps up", "a man sits down", "she dances",
    "kicking with the left leg", "a person walks in a circle clockwise", "he throws a ball",
    "a person waves with the right hand", "the figure crawls", "climbing a ladder",
    "a person walks forward, then sits down", "xyzzy",
)  # fmt: skip
SEEDS = (0, 1)


def written(package: str, runtime: str = "numpy") -> dict[str, Any]:
    """Model, and for each prompt and seed a digest of the tokens, by the extension of that name."""
    generate = import_module(f"{package}.engine.generate")
    model = generate.load_model(runtime=runtime, device="cpu")
    asked = [(prompt, seed) for prompt in PROMPTS for seed in SEEDS]
    made = generate.generate_batch(
        [prompt for prompt, _ in asked],
        model=model,
        seeds=[seed for _, seed in asked],
        seconds=[None] * len(asked),
    )
    names = [f"{prompt}, seed {seed}" for prompt, seed in asked]
    digests = [hashlib.sha256(one.tokens.astype("<i8").tobytes()).hexdigest()[:16] for one in made]
    tokens = dict(zip(names, digests, strict=True))
    return {"model": model.checkpoint.sha256, "tokens": tokens}


def different(package: str, runtime: str = "numpy") -> list[str]:
    """Which of them are not those of the file; all, where it is of another model."""
    known, found = json.loads(FILE.read_text(encoding="utf-8")), written(package, runtime)
    if known["model"] != found["model"]:
        return ["the model: run tests/install/written.py"]
    return [name for name, digest in found["tokens"].items() if known["tokens"][name] != digest]


if __name__ == "__main__":
    FILE.write_text(json.dumps(written("t2m_blender"), indent=1) + "\n", encoding="utf-8")
