# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests inside Blender's own Python module: run them on the wheels of 4.2, 4.5 and 5.0."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from t2m_blender.engine.motion import Motion

if TYPE_CHECKING:
    from t2m_blender.engine.generate import GeneratedMotion

try:
    import bpy
except ModuleNotFoundError:  # the tests here skip themselves
    bpy = None

_exit_status = [0]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    _exit_status[0] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process before Blender's own end, which can crash or hang on the wheel."""
    if bpy is None:
        return
    coverage = config.pluginmanager.get_plugin("_cov")
    if coverage is not None and coverage.cov_controller is not None:
        coverage.cov_controller.finish()
    config.get_terminal_writer().flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_status[0])


@pytest.fixture(scope="session")
def clip(parity: Path) -> Motion:
    """A real motion, 170 frames at 20 a second."""
    with np.load(parity / "humanml3d_012314.npz") as data:
        return Motion(data["joints"], 20.0)


@pytest.fixture
def scene() -> bpy.types.Scene:
    """Blender's factory file (cube, camera, light), nothing selected."""
    bpy.ops.wm.read_factory_settings()
    for object in bpy.context.selected_objects:
        object.select_set(False)
    bpy.context.view_layer.objects.active = None
    return bpy.context.scene


@pytest.fixture
def generated(clip: Motion) -> Callable[..., GeneratedMotion]:
    """What `generate` returns, with the real motion in it."""
    from t2m_blender.engine.generate import GeneratedMotion

    def make(prompt: str = "a person walks", seed: int = 0, **changes: object) -> GeneratedMotion:
        values = {
            "motion": clip,
            "tokens": np.arange(43),
            "prompt": prompt,
            "seed": seed,
            "seconds": None,
            "guidance": 1.5,
            "temperature": 1.0,
            "model_name": "default",
            "model_sha256": "ab" * 32,
            "warnings": (),
        }
        return GeneratedMotion(**(values | changes))

    return make


@pytest.fixture
def add_on() -> Iterator[None]:
    """The add-on registered for the length of a test."""
    import t2m_blender

    t2m_blender.register()
    yield
    t2m_blender.unregister()
