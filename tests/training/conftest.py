# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the stages share."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage_sample import write_random_set, write_small_set


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset of three clips; not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "set"
    write_small_set(folder)
    return folder


@pytest.fixture(scope="session")
def random_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose first tokens differ, whatever the embedded model does."""
    folder = tmp_path_factory.mktemp("random") / "set"
    write_random_set(folder)
    return folder
