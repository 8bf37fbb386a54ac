# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompt check, the tokeniser, and the text encoder against its published weights."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.checkpoint import read_tensors, write_tensors
from t2m_blender.engine.errors import CheckpointError, InputError
from t2m_blender.engine.minilm import MiniLM
from t2m_blender.engine.text import PROMPT_LIMIT, TextEncoder, check_prompt
from training import import_minilm

EMBEDDED = Path(__file__).parents[2] / "t2m_blender" / "models" / "minilm.safetensors"
KICKS = ["kicks with the left leg", "kicks with the right leg"]

# Ids of the original `tokenizer.json`, run once by the package tokenizers 0.23.3.
TOKENISED = [
    ("Ünïcödé CAFÉ naïve", "27260 7668 15743"),
    (
        "don't stop—go… “quoted” (x)",
        "2123 1005 1056 2644 1517 2175 1529 1523 9339 1524 1006 1060 1007",
    ),
    ("一个人walks前进", "1740 100 1756 7365 1776 100"),
    ("человек идет", "1202 15290 29436 19259 15290 23925 1188 29742 15290 22919"),
    ("a\u200bb\xadc\tx\n y", "5925 1060 1061"),
    ("🕺 dances 👩\u200d👩\u200d👧", "100 11278 100"),
    ("İstanbul ǅ ß ﬁ", "9960 100 1096 1984"),
    ("x" * 101 + " yyy", "100 1061 2100 2100"),
    ("$5.00+3=8 ^~`|<>", "1002 1019 1012 4002 1009 1017 1027 1022 1034 1066 1036 1064 1026 1028"),
    ("텍스트", "1467 30009 30020 29997 30017 30003 30017"),
    ("カタカナひらがな", "1700 30235 30226 30241 30199 30211 30177 30193"),
    ("\ufffd a\x00b\x07c", "5925"),
    ("a\u3000b\u2028c\xa0d", "1037 1038 1039 1040"),
    (
        "it's 2-3 m.p.h. @home #tag",
        "2009 1005 1055 1016 1011 1017 1049 1012 1052 1012 1044 1012 1030 2188 1001 6415",
    ),
    ("éä", "19413"),
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load(EMBEDDED)


@pytest.fixture(scope="module")
def original() -> dict[str, np.ndarray]:
    try:
        folder = import_minilm.original_folder()
    except CheckpointError as error:
        pytest.skip(str(error))
    return import_minilm.read_original(folder)[0]


@pytest.fixture(scope="module")
def captions(shared: Path) -> list[str]:
    clips = json.loads((shared / "data" / "humanml3d" / "captions.json").read_text("utf-8"))
    unique = sorted({caption for clip in clips.values() for caption in clip["captions"]})
    return unique[:: len(unique) // 500][:500]


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "\u200b\u200d", "\u0301"])
def test_check_prompt_refuses_a_prompt_without_words(prompt: str) -> None:
    with pytest.raises(InputError, match="prompt is empty"):
        check_prompt(prompt)


def test_check_prompt_names_the_limit() -> None:
    assert len(check_prompt("w" * PROMPT_LIMIT)) == PROMPT_LIMIT
    with pytest.raises(InputError, match="10,001 characters and the limit is 1,000"):
        check_prompt("walk\n" * 2000 + "x" + "\0" * 3)


def test_check_prompt_gives_one_clean_line() -> None:
    assert check_prompt("  a person\x00\twalks\r\n\u2028forward \x1b ") == "a person walks forward"
    assert check_prompt("bad \udcff byte") == "bad byte"
    assert check_prompt("🕺") == "🕺"


@pytest.mark.parametrize(("prompt", "ids"), TOKENISED)
def test_tokenise_as_the_original(encoder: TextEncoder, prompt: str, ids: str) -> None:
    assert encoder.tokenise(prompt) == [int(number) for number in ids.split()]


def test_network_is_exact_on_the_original_weights(
    original: dict[str, np.ndarray], encoder: TextEncoder, captions: list[str]
) -> None:
    pytest.importorskip("torch")
    _, metadata = read_tensors(EMBEDDED)
    full = MiniLM(import_minilm.encoder_tensors(original), metadata["vocabulary"])
    prompts = [*KICKS, "walks", *captions[::25]]
    features = full.encode(prompts, 32)
    reference = reference_encoder(original)
    for row, prompt in enumerate(prompts):
        ids = encoder.tokenise(prompt)[:32]
        pooled, tokens = reference([101, *ids, 102])
        np.testing.assert_allclose(features.pooled[row], pooled, atol=2e-6)
        np.testing.assert_allclose(features.tokens[row, : len(ids)], tokens, atol=2e-5)
        assert features.mask[row].sum() == len(ids)
        assert not features.tokens[row, len(ids) :].any()
    assert features.pooled[0] @ features.pooled[1] == pytest.approx(0.98, abs=0.002)


def reference_encoder(
    original: dict[str, np.ndarray],
) -> Callable[[list[int]], tuple[np.ndarray, np.ndarray]]:
    """The published weights in torch's own transformer layers: ids -> (pooled, tokens)."""
    import torch
    from torch import nn

    weights = {name: torch.from_numpy(array.copy()) for name, array in original.items()}
    norm = [weights[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")]
    blocks = nn.Sequential()
    for layer in range(6):
        block = nn.TransformerEncoderLayer(
            384, 12, 1536, dropout=0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        block.load_state_dict(layer_weights(weights, f"encoder.layer.{layer}."))
        blocks.append(block)

    @torch.no_grad()
    def run(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        hidden = weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + weights["embeddings.token_type_embeddings.weight"][0]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(ids)]
        hidden = nn.functional.layer_norm(hidden, (384,), *norm, eps=1e-12)
        hidden = blocks(hidden[None])[0]
        return nn.functional.normalize(hidden.mean(0), dim=0).numpy(), hidden[1:-1].numpy()

    return run


def layer_weights(weights: dict, prefix: str) -> dict:
    import torch

    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    state = {}
    for kind in ("weight", "bias"):
        parts = [
            weights[f"{prefix}attention.self.{part}.{kind}"] for part in ("query", "key", "value")
        ]
        state[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
        state |= {
            f"{ours}.{kind}": weights[f"{prefix}{name}.{kind}"] for ours, name in names.items()
        }
    return state


def test_embedded_file_stays_close_to_the_original(
    original: dict[str, np.ndarray], encoder: TextEncoder, captions: list[str]
) -> None:
    _, metadata = read_tensors(EMBEDDED)
    full = MiniLM(import_minilm.encoder_tensors(original), metadata["vocabulary"])
    prompts = captions[::10]
    exact, small = (one.encode(prompts, 32, batch_size=32) for one in (full, encoder))
    assert cosine(exact.pooled, small.pooled).min() > 0.998
    assert cosine(exact.tokens[exact.mask], small.tokens[small.mask]).min() > 0.995
    np.testing.assert_array_equal(exact.mask, small.mask)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_embedded_file_is_what_the_import_makes(original: dict[str, np.ndarray]) -> None:
    tensors, metadata = read_tensors(EMBEDDED)
    made = import_minilm.quantised(import_minilm.encoder_tensors(original))
    assert tensors.keys() == made.keys()
    for name, tensor in made.items():
        np.testing.assert_array_equal(tensors[name], tensor, err_msg=name)
    assert metadata["license"] == "Apache-2.0"
    assert metadata["source_sha256"] == import_minilm.SOURCE_SHA256


def test_a_prompt_has_the_same_bits_alone_and_in_a_batch(encoder: TextEncoder) -> None:
    prompts = ["a person walks forward", *KICKS, "jumps", "a person walks forward"]
    together = encoder.encode(prompts, 16)
    for row, prompt in enumerate(prompts):
        alone = encoder.encode([prompt], 16)
        np.testing.assert_array_equal(together.pooled[row], alone.pooled[0])
        np.testing.assert_array_equal(together.tokens[row], alone.tokens[0])
    batched = encoder.encode(prompts, 16, batch_size=32)
    np.testing.assert_allclose(batched.tokens, together.tokens, atol=2e-5)


def test_words_beyond_token_count_are_not_read(encoder: TextEncoder) -> None:
    cut, short = encoder.encode(
        ["a person walks forward and jumps", "a person walks forward"], 4
    ).pooled
    np.testing.assert_array_equal(cut, short)
    with pytest.raises(ValueError, match="not within 0 to 126"):
        encoder.encode(["walks"], 127)


def test_warnings_name_what_the_encoder_cannot_use(encoder: TextEncoder) -> None:
    assert encoder.warnings("a naïve person walks, 3 steps (slowly)!", 32) == ()
    assert "does not know 🕺:" in encoder.warnings("a person dances 🕺", 32)[0]
    assert "trained on English" in encoder.warnings("человек идет", 32)[0]
    assert "trained on English" in encoder.warnings("一个人前进", 32)[0]
    (long,) = encoder.warnings("a person walks forward, then turns", 5)
    assert long == "The prompt is too long: only the first 4 words count."
    assert encoder.warnings("a person walks forward, then turns", 7) == ()


def test_file_loads_fast_and_does_not_widen_the_word_table(encoder: TextEncoder) -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        TextEncoder.load(EMBEDDED)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.2
    encoder.encode(["walks"], 4)
    assert encoder.weights._tensors._stored["word.weight"].dtype == np.int8
    assert "word.weight" not in encoder.weights._kept


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_load_refuses_what_is_no_encoder(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "minilm.safetensors"
    if damage == "truncated":
        path.write_bytes(EMBEDDED.read_bytes()[:1_000_000])
    elif damage == "other":
        write_tensors(path, {"weight": np.zeros((2, 3), np.float32)}, {})
    with pytest.raises(CheckpointError, match=r"minilm\.safetensors"):
        TextEncoder.load(path)


def test_import_refuses_other_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not it")
    assert import_minilm.main([str(tmp_path), "-o", str(tmp_path / "out.safetensors")]) == 2
    assert "not 53aa51172d14" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
