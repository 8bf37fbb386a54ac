# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime on PyTorch: NumPy's tokens, its buffers, and what happens when memory is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import small_model

torch = pytest.importorskip("torch")

from t2m_blender.engine import int8_linear, torch_runtime
from t2m_blender.engine import sampling as numpy_sampling
from t2m_blender.engine.checkpoint import narrow
from t2m_blender.engine.errors import OutOfMemory
from t2m_blender.engine.generate import TextToMotion, generate, generate_batch, load_model
from t2m_blender.engine.sampling import Sampling
from t2m_blender.engine.torch_runtime import TorchRuntime, draw_tokens
from tests.install.written import different

PROMPTS = ["a person walks forward", "someone jumps up and down", "he sits", "walks"]
SIZES: list[dict[str, dict[str, Any]]] = [
    {},
    {"gpt": {"word_limit": 0}},
    {"gpt": {"levels": 3}, "vqvae": {"levels": 3}},
    {"sampling": {"guidance": 1.0, "top_p": 0.8}, "vqvae": {"quantiser": "plain"}},
    {"sampling": {"temperature": 0.0}, "gpt": {"levels": 2}, "vqvae": {"levels": 2}},
]


def both(path: Path) -> list[TextToMotion]:
    return [load_model(path, runtime=name, device="cpu") for name in ("numpy", "torch")]


WITH_INT8 = pytest.mark.skipif(
    not int8_linear.is_exact(), reason="this processor does not multiply bytes exactly"
)


@pytest.mark.parametrize("weights", ["fp16", pytest.param("int8", marks=WITH_INT8)])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_tokens_and_features_are_those_of_numpy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sizes: dict[str, dict[str, Any]],
    weights: str,
) -> None:
    """Also where int8 rows are multiplied as they are, which large models are."""
    monkeypatch.setattr(torch_runtime, "NARROW_FROM", 0)
    monkeypatch.setattr(torch_runtime, "int8_pays", lambda: True)
    models = both(small_model(tmp_path / "a.safetensors", weights=weights, **sizes))
    assert ("int8" in models[1].runtime.name) == (weights == "int8")
    lengths = [None, 1.1, 2.4, None]
    for seed in range(3):
        made = [
            generate_batch(PROMPTS, model=model, seeds=[seed + 7 * i for i in range(4)],
                           seconds=lengths)
            for model in models
        ]  # fmt: skip
        for one, other in zip(*made, strict=True):
            assert np.array_equal(one.tokens, other.tokens)
            np.testing.assert_allclose(one.motion.joints, other.motion.joints, atol=1e-5)
    features = np.random.default_rng(0).normal(size=(2, 23, 263)).astype(np.float32)
    codes = [model.runtime.encode(features) for model in models]
    assert np.array_equal(*codes)
    decoded = [model.runtime.decode(codes[0]) for model in models]
    np.testing.assert_allclose(*decoded, atol=1e-5)


@WITH_INT8
@pytest.mark.parametrize("batch", [1, 7])
def test_int8_rows_are_as_exact_as_float32(batch: int) -> None:
    """Rows of any size, inputs of any size, one far larger than the others."""
    random = np.random.default_rng(0)
    rows, scale = narrow(random.normal(size=(49, 260)) * 10.0 ** random.integers(-6, 3, (49, 1)))
    bias = random.normal(size=49).astype(np.float32)
    layer = int8_linear.Int8Linear(rows, scale, bias)
    wide = (rows * scale[:, None]).astype(np.float32)
    for size in (1e-12, 1.0, 1e12):
        x = (size * random.normal(size=(batch, 2, 260))).astype(np.float32)
        x[0, 0, 3] *= 1000.0
        x[-1, -1] = 0.0
        exact = x.astype(np.float64) @ wide.T.astype(np.float64)
        bound = 3e-7 * np.abs(x).max(axis=-1, keepdims=True) * np.abs(wide).sum(axis=1)
        with torch.inference_mode():
            found = layer(torch.from_numpy(x)).numpy()
        assert found.shape == (batch, 2, 49)
        assert np.all(np.abs(found - exact - bias) <= bound + 1e-6 * np.abs(bias))
        assert np.array_equal(found[-1, -1], bias)


def test_without_such_products_int8_rows_are_widened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_runtime, "NARROW_FROM", 0)
    monkeypatch.setattr(int8_linear, "Int8Linear", raising)
    int8_linear.int8_pays.cache_clear()
    models = both(small_model(tmp_path / "a.safetensors", weights="int8"))
    int8_linear.int8_pays.cache_clear()
    assert models[1].runtime.name == "PyTorch on the CPU"
    one, other = (generate(PROMPTS[0], model=model, seed=1).tokens for model in models)
    assert np.array_equal(one, other)


def raising(*_: object) -> None:
    raise AttributeError("'_OpNamespace' 'onednn' object has no attribute 'qlinear_prepack'")


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_the_embedded_model_writes_what_it_writes_everywhere(runtime: str) -> None:
    """Other Pythons, NumPys and Blenders are held to the same file by tests/install."""
    assert different("t2m_blender", runtime) == []


def test_the_embedded_model_writes_the_same_in_both() -> None:
    models = [load_model(runtime=name, device="cpu") for name in ("numpy", "torch")]
    for prompts, seconds in ((PROMPTS, [None, 2.0, 1.0, 3.35]), (PROMPTS[:1], [5.0])):
        made = [
            generate_batch(prompts, model=model, seeds=range(len(prompts)), seconds=seconds)
            for model in models
        ]
        for one, other in zip(*made, strict=True):
            assert np.array_equal(one.tokens, other.tokens)
            np.testing.assert_allclose(one.motion.joints, other.motion.joints, atol=1e-3)


def test_buffers_are_used_again_and_released(tmp_path: Path) -> None:
    """A second batch of the same size, one of another size, and one after a release."""
    model = load_model(small_model(tmp_path / "a.safetensors"), runtime="torch", device="cpu")
    alone = [generate(prompt, model=model, seed=3, seconds=2.0).tokens for prompt in PROMPTS]
    steps = model.runtime._steps
    assert len(steps) == 1
    for _ in range(2):
        made = generate_batch(PROMPTS, model=model, seeds=[3] * 4, seconds=[2.0] * 4)
        assert [one.tokens.tolist() for one in made] == [tokens.tolist() for tokens in alone]
        assert list(steps) == [(4, Sampling(guidance=2.0))]
        model.runtime.release()
        assert not steps


@pytest.mark.parametrize("top_p", [1.0, 0.7, 1e-9])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_the_device_draws_as_numpy_does(top_p: float, temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2000, 33)).astype(np.float32) * 4
    logits[::3, 32] = -np.inf
    logits[::5, 7] = logits[::5, 9]  # equally likely
    chances = generator.random(2000)
    chances[:2] = 0.0, np.nextafter(1.0, 0.0)
    rule = Sampling(temperature=temperature, top_p=top_p, guidance=2.0)
    expected = numpy_sampling.draw_tokens(logits, chances, rule)
    drawn = draw_tokens(torch.from_numpy(logits), torch.from_numpy(chances), rule, rule.rounding)
    sure = expected[1]
    assert np.array_equal(drawn[1].numpy(), sure) and sure.mean() > 0.7
    # what is equally likely is not sure where the likeliest is taken
    assert np.array_equal(drawn[0].numpy()[sure], expected[0][sure])
    assert temperature == 0.0 or np.array_equal(drawn[0].numpy(), expected[0])


def test_what_a_graph_would_record_does_not_depend_on_the_text(tmp_path: Path) -> None:
    """CUDA records a step before there is a text, and runs it some times while doing so."""
    model = load_model(small_model(tmp_path / "a.safetensors"), runtime="torch", device="cpu")
    expected = generate(PROMPTS[0], model=model, seed=1).tokens
    assert isinstance(model.runtime, TorchRuntime)
    (step,) = model.runtime._steps.values()
    addresses = [tensor.data_ptr() for tensor in (step.tokens, step.chances, step._cache.keys)]
    with torch.inference_mode():
        step._cache.length.zero_()
        for _ in range(3):
            step.read_and_draw()
    assert np.array_equal(generate(PROMPTS[0], model=model, seed=1).tokens, expected)
    after = [tensor.data_ptr() for tensor in (step.tokens, step.chances, step._cache.keys)]
    assert after == addresses


class Limited:
    """A runtime with room for so many clips at once."""

    name = "a small GPU"

    def __init__(self, runtime: Any, room: int) -> None:
        self.runtime, self.room, self.tried = runtime, room, []
        self.decode = runtime.decode

    def begin(self, text: Any, rule: Sampling) -> Any:
        self.tried.append(len(text.pooled))
        if self.tried[-1] > self.room:
            raise OutOfMemory("CUDA out of memory")
        return self.runtime.begin(text, rule)

    def release(self) -> None:
        self.tried.append("released")


@pytest.mark.parametrize(
    ("room", "device", "tried", "warning"),
    [
        (2, "cpu", [7, "released", 3, "released", 1] + [1] * 6, "with 3 motions at once: 1 from"),
        (3, "cpu", [7, "released", 3, 3, 1], "with 7 motions at once: 3 from now on"),
        (0, "cuda", [7, "released", 3, "released", 1, "released"], "memory of 'cuda' was full"),
    ],
)
def test_full_memory_means_smaller_batches_and_then_the_cpu(
    tmp_path: Path, room: int, device: str, tried: list[object], warning: str
) -> None:
    model = load_model(small_model(tmp_path / "a.safetensors"), device="cpu")
    prompts, seeds, lengths = [*PROMPTS, *PROMPTS[:3]], range(7), [1.0] * 7
    expected = generate_batch(prompts, model=model, seeds=seeds, seconds=lengths)
    limited = Limited(model.runtime, room)
    model.runtime, model.choice = limited, replace(model.choice, device=device)
    made = generate_batch(prompts, model=model, seeds=seeds, seconds=lengths)
    assert limited.tried == tried
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(made, expected, strict=True))
    assert warning in made[0].warnings[-1]
    if device == "cuda":
        assert model.runtime.name == "NumPy on the CPU"
        assert model.choice.reason == "the memory of 'cuda' was full"


def test_when_nothing_fits_it_says_so(tmp_path: Path) -> None:
    model = load_model(small_model(tmp_path / "a.safetensors"), device="cpu")
    model.runtime = Limited(model.runtime, 0)
    with pytest.raises(OutOfMemory, match="close other programs"):
        generate(PROMPTS[0], model=model)


def cpu_full() -> None:
    torch.empty(10**15)


def cuda_full() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def metal_full() -> None:
    raise RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")


@pytest.mark.parametrize("fill", [cpu_full, cuda_full, metal_full])
def test_torchs_errors_for_full_memory_are_known(fill: Callable[[], None]) -> None:
    with pytest.raises(OutOfMemory), torch_runtime._memory_checked():
        fill()


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shapes"), torch_runtime._memory_checked():
        raise RuntimeError("shapes do not match")


def test_a_model_that_a_device_has_no_room_for_goes_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: TorchRuntime, checkpoint: object, device: str) -> None:
        raise OutOfMemory(device)

    monkeypatch.setattr(TorchRuntime, "__init__", full)
    monkeypatch.setattr("t2m_blender.engine.runtime.devices", lambda: ["cuda", "cpu"])
    model = load_model(small_model(tmp_path / "a.safetensors"), device="cuda")
    assert model.runtime.name == "NumPy on the CPU"
    assert model.choice.reason == "the memory of 'cuda' was full"
