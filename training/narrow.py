# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a smaller file of a model file, without training again.

    python -m training narrow MODEL.safetensors -o SMALLER.safetensors [--weights fp16]

int8 keeps a row of a matrix as whole numbers from -127 to 127 and one float32 scale: half the size
of float16. It is chosen in advance by `weights = "int8"` under [model] of a training config.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from t2m_blender.engine.checkpoint import read_checkpoint, write_checkpoint


def narrow_model(source: Path, output: Path, *, weights: str = "int8") -> None:
    """Writes the model of a file with its matrices as one of `WEIGHTS`; its origin says so.

    Raises:
        CheckpointError: The file is missing, damaged, or not a model.
        OutputError: The file cannot be written.
    """
    model = read_checkpoint(source)
    origin = f"{model.origin} Rounded to {weights} from the file with sha256 {model.sha256}."
    write_checkpoint(output, replace(model, origin=origin), weights=weights)
