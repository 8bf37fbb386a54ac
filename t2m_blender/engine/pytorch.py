# SPDX-License-Identifier: GPL-3.0-or-later
"""What of PyTorch is here: asked without importing it where that is enough."""

from __future__ import annotations

import ast
import os
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np

from .errors import RuntimeMissingError

__all__ = [
    "UNKNOWN", "device_states", "devices", "fastest", "import_torch", "outruns_numpy",
    "torch_state",
]  # fmt: skip

_TRIAL = 4096  # rows and columns: 64 MiB of float32, more than caches hold


@lru_cache(maxsize=1)
def torch_state() -> str:
    """What is known of PyTorch without importing it, which takes seconds: half a sentence."""
    version = _torch_version()
    if version is None:
        return "PyTorch is not installed"
    if "__version__" not in version:
        return "PyTorch is broken"
    builds = [f"{name} {version[name]}" for name in ("cuda", "hip", "xpu") if version.get(name)]
    return f"PyTorch {version['__version__']} is for {builds[0] if builds else 'the CPU'}"


def _torch_version() -> dict[str, str | None] | None:
    """The constants of `torch/version.py`; None without PyTorch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        tree = ast.parse((Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return {}
    found: dict[str, str | None] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            found[target.id] = value.value if isinstance(value.value, str) else None
    return found


def import_torch() -> ModuleType:
    """PyTorch.

    Raises:
        RuntimeMissingError: Absent, or broken: a library of another version, a cut download ...
    """
    # weights in large pages are read faster; PyTorch looks at this once, when it is imported
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise RuntimeMissingError(_broken(error)) from error
        raise RuntimeMissingError(
            "PyTorch is not installed: install torch into this Python, or use the runtime numpy."
        ) from error
    except (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise RuntimeMissingError(_broken(error)) from error
    return torch


def _broken(error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"PyTorch is installed but cannot be imported ({reason}): install it again, or use the "
        "runtime numpy."
    )


def devices() -> list[str]:
    """The devices that PyTorch can use here, the fastest first.

    Raises:
        RuntimeMissingError: PyTorch is absent or broken.
    """
    torch = import_torch()
    available = {
        "cuda": torch.cuda.is_available(),  # ROCm's name too
        "xpu": torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return [*(name for name, here in available.items() if here), "cpu"]


@lru_cache(maxsize=1)
def outruns_numpy() -> bool:
    """Whether PyTorch on this CPU reads large float32 weights faster than NumPy does: a trial of a
    tenth of a second, since it depends on the processor and on which one each library knows.

    Raises:
        RuntimeMissingError: PyTorch is absent or broken.
    """
    torch = import_torch()
    matrix, vector = np.ones((_TRIAL, _TRIAL), np.float32), np.ones(_TRIAL, np.float32)
    weights, row = torch.from_numpy(matrix), torch.from_numpy(vector)[None]
    with torch.inference_mode():
        by_torch = fastest(lambda: torch.nn.functional.linear(row, weights))
    return by_torch < fastest(lambda: matrix @ vector)


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


UNKNOWN = "not looked for yet"


def device_states() -> dict[str, str]:
    """Each device that needs PyTorch -> why it cannot be used here, "" where it can; PyTorch is not
    imported for it, so that more is known after somebody has.
    """
    if not _builds():
        return dict.fromkeys(("cuda", "mps", "xpu"), torch_state())
    torch = sys.modules.get("torch")
    try:
        usable = devices() if torch is not None else []
    except RuntimeMissingError:
        return dict.fromkeys(("cuda", "mps", "xpu"), "PyTorch is broken")
    states = {}
    for name, built in _builds().items():
        if not built:
            states[name] = "only on a Mac" if name == "mps" else "this PyTorch is not built for it"
        elif torch is None:
            states[name] = UNKNOWN
        else:
            states[name] = "" if name in usable else "none is found; is its driver installed?"
    return states


@lru_cache(maxsize=1)
def _builds() -> dict[str, bool]:
    """Which devices the PyTorch that is installed was built for; empty without PyTorch."""
    version = _torch_version()
    if version is None or "__version__" not in version:
        return {}
    return {
        "cuda": bool(version.get("cuda") or version.get("hip")),
        "mps": sys.platform == "darwin",
        "xpu": bool(version.get("xpu")),
    }
