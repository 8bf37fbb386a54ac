# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that fall on a token's edge: every runtime writes what double precision says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import small_model

from t2m_blender.engine import writing
from t2m_blender.engine.arbiter import Arbiter
from t2m_blender.engine.generate import (
    Request,
    TextToMotion,
    encode_prompts,
    load_model,
    sampling_of,
    write_tokens,
)
from t2m_blender.engine.layers import gelu
from t2m_blender.engine.sampling import Sampling
from t2m_blender.engine.text import TextFeatures

torch = pytest.importorskip("torch")

from t2m_blender.engine.gpt import TextCondition
from t2m_blender.engine.torch_runtime import load_networks

PROMPT = "a person dances"
SIZES: list[dict[str, Any]] = [
    {},
    {"gpt": {"word_limit": 0}, "sampling": {"guidance": 1.0}},
    {"gpt": {"levels": 3}, "vqvae": {"levels": 3}},
    {"sampling": {"temperature": 0.0}, "gpt": {"levels": 2}, "vqvae": {"levels": 2}},
]


def exact_totals(
    model: TextToMotion,
    text: TextFeatures,
    written: np.ndarray,
    sampling: Sampling,
    *,
    may_end: bool,
) -> np.ndarray:
    """Cumulative chances of the next first level [K] or [K + 1], by PyTorch in float64."""
    network = load_networks(model.checkpoint)[0].double()
    both = text.followed_by_nothing()
    words = model.gpt.word_limit
    condition = TextCondition(
        torch.from_numpy(both.pooled).double(),
        torch.from_numpy(both.tokens[:, :words]).double(),
        torch.from_numpy(both.mask[:, :words]),
    )
    with torch.inference_mode():
        tokens = torch.from_numpy(written)[None].repeat(2, 1, 1)
        logits = network.head(network.read(tokens, condition))[:, -1].numpy()
    guided = logits[1] + sampling.guidance * (logits[0] - logits[1])
    guided = guided if may_end else guided[:-1]
    weights = np.exp((guided - guided.max()) / (sampling.temperature or 1.0))
    return np.cumsum(weights) / weights.sum()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_it_draws_what_the_network_says_in_double_precision(
    tmp_path: Path, sizes: dict[str, Any]
) -> None:
    model = load_model(small_model(tmp_path / "a.safetensors", **sizes), runtime="numpy")
    sampling, text = sampling_of(model), encode_prompts([PROMPT], model)
    random = np.random.default_rng(0)
    written = random.integers(0, model.gpt.codebook_size, (7, model.gpt.levels))
    for length in (0, 1, 7):
        totals = exact_totals(model, text, written[:length], sampling, may_end=True)
        for chance in random.random(5):
            chances = np.array([chance, *random.random(model.gpt.levels - 1)])
            token = model.arbiter.draw(
                text, written[:length], chances, may_end=True, sampling=sampling
            )
            likeliest = int(np.argmax(np.diff(totals, prepend=0.0)))
            expected = int(np.sum(totals <= chance)) if sampling.temperature else likeliest
            assert token.shape == (model.gpt.levels,)
            assert token[0] == expected


def test_end_is_drawn_only_where_it_may_be(tmp_path: Path) -> None:
    model = load_model(small_model(tmp_path / "a.safetensors"), runtime="numpy")
    text, sampling = encode_prompts([PROMPT], model), Sampling(guidance=2.0)
    nothing, last = np.zeros((0, 1), np.int64), np.array([np.nextafter(1.0, 0.0)])
    ends = [
        model.arbiter.draw(text, nothing, last, may_end=may, sampling=sampling)[0] == model.gpt.end
        for may in (True, False)
    ]
    assert ends == [True, False]


def test_numbers_on_an_edge_give_the_same_tokens_in_both_runtimes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The embedded model, with every first level of a clip drawn at an edge, within float32's
    rounding of it on either side.
    """
    models = [load_model(runtime=name, device="cpu") for name in ("numpy", "torch")]
    sampling, text = sampling_of(models[0]), encode_prompts([PROMPT], models[0])
    stream = np.full((16, models[0].gpt.levels), 0.37)
    written = np.zeros((0, models[0].gpt.levels), np.int64)
    edges = 0
    for place in range(16):
        totals = exact_totals(models[0], text, written, sampling, may_end=False)
        apart = np.minimum(np.diff(totals[:-1]), np.diff(totals[1:]))  # from its neighbours
        edge = totals[1 + int(np.argmax(apart))]
        if apart.max() > 0.01:  # else one token is nearly certain
            edges += 1
            off = 0.1 * sampling.rounding / sampling.temperature * edge * (1.0 - edge)
            stream[place, 0] = edge + (off if place % 2 else -off)
        token = models[0].arbiter.draw(
            text, written, stream[place], may_end=False, sampling=sampling
        )
        assert token[0] == np.sum(totals <= stream[place, 0])
        written = np.concatenate((written, token[None]))
    assert edges >= 4
    asked: list[int] = []
    decide = Arbiter.draw

    def counted(*args: Any, **kwargs: Any) -> Any:
        asked.append(1)
        return decide(*args, **kwargs)

    monkeypatch.setattr(Arbiter, "draw", counted)
    monkeypatch.setattr(writing, "token_stream", lambda *_: stream)
    for model in models:
        asked.clear()
        request = Request(text=text, seeds=[0], frames=[64], sampling=sampling)
        (found,) = write_tokens(request, model)
        assert np.array_equal(found, written)
        assert len(asked) > edges / 2


def test_gelu_in_double_precision() -> None:
    values = np.concatenate((np.linspace(-9.0, 9.0, 20001), [-1e9, 1e9, np.inf, np.nan]))
    found = gelu(values.copy())
    exact = [0.5 * x * math.erfc(-x / math.sqrt(2.0)) for x in values[:-4]]
    np.testing.assert_allclose(found[:-4], exact, rtol=0.0, atol=1e-11)
    assert found[-4:-1] == pytest.approx([0.0, 1e9, np.inf], abs=1e-11) and np.isnan(found[-1])
