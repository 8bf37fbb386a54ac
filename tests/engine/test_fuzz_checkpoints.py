# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken and malicious model files are refused with a sentence; nothing in them is executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="measures memory as Unix does")
pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]
NEVER_OPENED = (
    *("truncated", "header length", "garbage", "deep", "repeated"),
    *("pickle bomb", "zip bomb", "pth truncated", "pth content"),
)

OFTEN_REFUSED = (
    *("tensor table", "wrong shape", "missing", "scale"),
    *("config number", "bit", "pth shape"),
)


def test_hundreds_of_broken_models_are_refused(tmp_path: Path, parity: Path) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz_checkpoints.py"), tmp_path, parity],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert not found["executed"]
    assert sum(found["refused"].values()) >= 1000
    for kind in NEVER_OPENED:
        assert found["refused"][kind] and kind not in found["opened"]
    for kind in OFTEN_REFUSED:
        assert found["refused"][kind] > 3 * found["opened"].get(kind, 0), kind
    assert found["grown_mb"] < 500
