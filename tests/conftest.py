# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: where the data at hand is, and which embedded model they use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data folder beside the checkout: real clips and the reference implementation's numbers.

    It does not come with a clone: tests that need it skip without it, but in CI they fail.
    T2M_SHARED names another place.
    """
    folder = Path(os.environ.get("T2M_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        reason = f"needs the shared data folder ({folder}); set T2M_SHARED to it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    """Inputs and outputs of the reference implementations."""
    return shared / "data" / "parity"
