# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches CLIP ViT-B/32 from OpenAI, when asked to, and makes a text encoder file of it.

    python -m training fetch-clip

Nothing else here or in the extension fetches it. `import_clip.py` verifies the checksum before
anything in it is read, and keeps the text half.
"""

from __future__ import annotations

import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.files import unwritable
from t2m_blender.engine.generate import MODELS

from . import import_clip

URL = (
    "https://openaipublic.azureedge.net/clip/models/"
    f"{import_clip.WEIGHTS_SHA256}/{import_clip.WEIGHTS_FILE}"
)
_BLOCK = 1 << 20


def fetch_clip(
    output: Path | None = None, *, url: str | None = None, vocabulary: Path | None = None
) -> Path:
    """Downloads the weights beside `output`, makes the encoder file, and deletes the download.

    Raises:
        CheckpointError: What came is not the published file, or the vocabulary is not here.
        InputError: The download failed.
        OutputError: The folder is missing or cannot be written.
    """
    output = output or MODELS / "clip.safetensors"
    merges = import_clip.read_vocabulary(vocabulary)  # before 338 MB for nothing
    try:
        folder = TemporaryDirectory(dir=output.parent, prefix=".t2m-")
    except OSError as error:
        raise unwritable(output, error) from error
    with folder as beside:
        weights = Path(beside) / import_clip.WEIGHTS_FILE
        _download(url or URL, weights)
        tensors = import_clip.encoder_tensors(import_clip.read_weights(weights))
        import_clip.write_encoder(tensors, merges, output)
    return output


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, path.open("xb") as file:
            size = int(answer.headers.get("Content-Length") or 0) or None
            with tqdm(total=size, unit="B", unit_scale=True, disable=None) as bar:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    bar.update(len(block))
    except (OSError, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{url} could not be fetched ({reason}): try again, or give the file to "
            "'python -m training.import_clip'."
        ) from error
