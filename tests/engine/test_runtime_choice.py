# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runtime a machine is given, and what is said of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from small_models import small_model

from t2m_blender.engine import pytorch
from t2m_blender.engine.checkpoint import read_tensors, write_tensors
from t2m_blender.engine.configs import GPTConfig
from t2m_blender.engine.errors import CheckpointError, InputError, RuntimeMissingError
from t2m_blender.engine.generate import (
    MODELS,
    Request,
    encode_prompts,
    generate,
    load_model,
    sampling_of,
    tokens_to_features,
    write_tokens,
)
from t2m_blender.engine.runtime import choose_runtime
from t2m_blender.engine.skeleton import KIT

SMALL = GPTConfig(width=256, blocks=6, heads=8)
OFFICIAL = GPTConfig()


@pytest.fixture(autouse=True)
def _fresh_state() -> None:
    pytorch.torch_state.cache_clear()


def give_torch(monkeypatch: pytest.MonkeyPatch, devices: list[str], cuda: str | None) -> None:
    """A machine whose PyTorch has these devices."""
    version = {"__version__": "9.9", "cuda": cuda}
    monkeypatch.setattr(pytorch, "_torch_version", lambda: version)
    monkeypatch.setattr("t2m_blender.engine.runtime.devices", lambda: devices)


def test_a_small_model_computes_with_numpy_whatever_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_torch(monkeypatch, ["cuda", "cpu"], "12.8")
    choice = choose_runtime(SMALL)
    assert (choice.runtime, choice.device) == ("numpy", "cpu")
    assert choice.reason == "the fastest for a model of this size; PyTorch 9.9 is for cuda 12.8"


@pytest.mark.parametrize("devices", [["cuda", "cpu"], ["mps", "cpu"]])
def test_a_large_model_computes_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, devices: list[str]
) -> None:
    give_torch(monkeypatch, devices, None)
    choice = choose_runtime(OFFICIAL)
    assert (choice.runtime, choice.device) == ("torch", devices[0])
    assert choice.reason == "the fastest for a model of this size"
    assert choose_runtime(OFFICIAL, device="cpu").device == "cpu"


@pytest.mark.parametrize(
    ("int8", "pays", "outruns", "runtime", "reason"),
    [
        (True, True, False, "torch", "the fastest for a large model of int8 rows"),
        (True, False, False, "numpy", "a trial found it faster than PyTorch here"),
        (False, True, False, "numpy", "a trial found it faster than PyTorch here"),
        (False, True, True, "torch", "a trial found it faster than NumPy here"),
    ],
)
def test_a_large_model_on_a_cpu_is_given_what_a_trial_finds(
    monkeypatch: pytest.MonkeyPatch,
    int8: bool,
    pays: bool,
    outruns: bool,
    runtime: str,
    reason: str,
) -> None:
    give_torch(monkeypatch, ["cpu"], None)
    monkeypatch.setattr("t2m_blender.engine.runtime.int8_pays", lambda: pays)
    monkeypatch.setattr("t2m_blender.engine.runtime.outruns_numpy", lambda: outruns)
    choice = choose_runtime(OFFICIAL, int8=int8)
    assert (choice.runtime, choice.device, choice.reason) == (runtime, "cpu", reason)


def test_the_trial_says_which_library_was_faster() -> None:
    pytest.importorskip("torch")
    pytorch.outruns_numpy.cache_clear()
    assert pytorch.outruns_numpy() in (True, False)
    assert pytorch.fastest(lambda: sum(range(10))) < pytorch.fastest(lambda: sum(range(10**6)))


def test_what_is_asked_for_is_given_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give_torch(monkeypatch, ["mps", "cpu"], None)
    assert choose_runtime(SMALL, runtime="torch").device == "mps"
    assert choose_runtime(SMALL, runtime="torch", device="cpu").device == "cpu"
    assert choose_runtime(SMALL, device="mps").runtime == "torch"
    assert choose_runtime(OFFICIAL, runtime="numpy").device == "cpu"
    with pytest.raises(InputError, match=r"no device 'cuda' \(only mps, cpu\)"):
        choose_runtime(SMALL, device="cuda")
    with pytest.raises(InputError, match="NumPy does not run on 'mps'"):
        choose_runtime(SMALL, runtime="numpy", device="mps")
    with pytest.raises(InputError, match="runtime is 'jax': use auto, numpy, torch"):
        choose_runtime(SMALL, runtime="jax")


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert pytorch.torch_state() == "PyTorch is not installed"
    assert choose_runtime(OFFICIAL).runtime == "numpy"
    assert "PyTorch is not installed" in choose_runtime(OFFICIAL).reason
    with pytest.raises(RuntimeMissingError, match=r"not installed.*use the runtime numpy"):
        choose_runtime(SMALL, runtime="torch")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise OSError('libtorch.so is cut')", "libtorch.so is cut"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("raise RuntimeError", "RuntimeError"),
    ],
)
def test_a_broken_torch_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text(code)
    (folder / "version.py").write_text("__version__ = '9.9'\ncuda = '12.8'")
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert pytorch.torch_state() == "PyTorch 9.9 is for cuda 12.8"
    choice = choose_runtime(OFFICIAL)
    assert choice.runtime == "numpy"
    assert "cannot be imported" in choice.reason and words in choice.reason
    with pytest.raises(RuntimeMissingError, match="install it again"):
        choose_runtime(SMALL, runtime="torch")
    assert choose_runtime(SMALL).runtime == "numpy"
    assert "torch" not in sys.modules


def test_the_state_of_torch_is_asked_without_importing_it() -> None:
    before = "torch" in sys.modules
    assert pytorch.torch_state().startswith("PyTorch")
    assert ("torch" in sys.modules) == before


def test_a_skeleton_that_no_figure_can_show_is_written_all_the_same(tmp_path: Path) -> None:
    model = load_model(small_model(tmp_path / "kit.safetensors", skeleton=KIT))
    request = Request(
        text=encode_prompts(["he walks", "she runs"], model),
        seeds=[1, 2],
        frames=[16, None],
        sampling=sampling_of(model, temperature=0.5),
    )
    first, second = write_tokens(request, model)
    assert first.shape == (4, 1)
    assert tokens_to_features(second, model).shape == (4 * len(second), KIT.feature_size)
    with pytest.raises(CheckpointError, match="not yet be shown on a figure"):
        generate("he walks", model=model)


def test_a_text_encoder_is_found_beside_the_model(tmp_path: Path) -> None:
    path = small_model(tmp_path / "a.safetensors")
    stored, metadata = read_tensors(path)
    config = json.loads(metadata["config"]) | {"text_encoder": "mine"}
    write_tensors(tmp_path / "b.safetensors", stored, metadata | {"config": json.dumps(config)})
    with pytest.raises(CheckpointError, match=r"put mine\.safetensors into"):
        load_model(tmp_path / "b.safetensors")
    (tmp_path / "mine.safetensors").symlink_to(MODELS / "minilm.safetensors")
    assert load_model(tmp_path / "b.safetensors").text_encoder.feature_size == 384
