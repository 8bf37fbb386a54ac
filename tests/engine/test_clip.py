# SPDX-License-Identifier: GPL-3.0-or-later
"""CLIP's tokeniser and text network on NumPy, against its own ids and torch's own layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from t2m_blender.engine.checkpoint import read_tensors, write_tensors
from t2m_blender.engine.errors import CheckpointError
from t2m_blender.engine.text import TextEncoder
from training import import_clip

WIDTH, LAYERS = 128, 3

# Ids of the original tokeniser, run once (openai-clip 1.0.1 with ftfy 6.3.1 and regex).
TOKENISED = [
    (
        "a person walks forward and jumps, turning 180 degrees",
        "320 2533 8192 2342 537 18911 267 4976 272 279 271 8000",
    ),
    ("it's don't I'll we've", "585 568 847 713 328 1342 649 1200"),
    ("Ünïcödé CAFÉ naïve", "6522 77 35689 66 7255 67 4166 15304 1097 35689 563"),
    (
        "don't stop—go… “quoted” (x) ‘a’",
        "847 713 1691 2005 861 959 257 27706 257 263 343 264 262 320 262",
    ),
    ("一个人walks前进", "19759 222 19759 103 36839 8588 82 161 231 235 164 123 505"),
    ("человек идет", "141 229 22176 47611 20978 110 22176 140 374 29503 112 22176 141 480"),
    ("🕺 dances 👩\u200d👩\u200d👧", "7692 374 24083 26304 26304 964 356"),
    ("İstanbul ǅ ß ﬁ", "328 16384 11231 67 129 378 127 509 3589"),
    ("$5.00+3=8 ^~`|<>", "259 276 269 271 271 266 274 284 279 61 93 63 91 27 285"),
    ("텍스트", "169 227 235 20305 39820"),
    ("カタカナ ﾊﾝｶｸ ＦＵＬＬ", "37367 34941 37367 2429 488 2429 237 17671 37367 3909 363 1476"),
    ("&amp;lt; &quot;hi&quot; a\u3000b", "283 257 1883 257 320 321"),
    ("aaaa aaaaa bananananas", "19336 31095 1159 37215 12633"),
    ("123 abc456 ⅷ²", "272 273 274 5334 275 276 277 158 227 371 41175"),
    ("’tis the dog’s naïve e\u0301", "713 533 518 1929 568 1097 35689 563 4166"),
]


@pytest.fixture(scope="module")
def vocabulary() -> str:
    try:
        return import_clip.read_vocabulary()
    except CheckpointError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def original() -> dict[str, torch.Tensor]:
    """Random tensors with the names of the published file."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, size: float = 0.05) -> torch.Tensor:
        return size * torch.randn(*shape, generator=generator)

    state = {
        "token_embedding.weight": random(49408, WIDTH),
        "positional_embedding": random(77, WIDTH),
        "text_projection": random(WIDTH, 96),
        "ln_final.weight": 1.0 + random(WIDTH),
        "ln_final.bias": random(WIDTH),
    }
    for layer in range(LAYERS):
        name = f"transformer.resblocks.{layer}."
        shapes = {
            "attn.in_proj_": (3 * WIDTH, WIDTH),
            "attn.out_proj.": (WIDTH, WIDTH),
            "mlp.c_fc.": (4 * WIDTH, WIDTH),
            "mlp.c_proj.": (WIDTH, 4 * WIDTH),
        }
        for part, shape in shapes.items():
            state[f"{name}{part}weight"] = random(*shape)
            state[f"{name}{part}bias"] = random(shape[0])
        for norm in ("ln_1", "ln_2"):
            state[f"{name}{norm}.weight"] = 1.0 + random(WIDTH)
            state[f"{name}{norm}.bias"] = random(WIDTH)
    return state


@pytest.fixture(scope="module")
def encoder(
    original: dict[str, torch.Tensor], vocabulary: str, tmp_path_factory: pytest.TempPathFactory
) -> TextEncoder:
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    tensors = import_clip.encoder_tensors({name: t.numpy() for name, t in original.items()})
    import_clip.write_encoder(tensors, vocabulary, path)
    return TextEncoder.load(path)


@pytest.mark.parametrize(("prompt", "ids"), TOKENISED)
def test_tokenise_as_the_original(encoder: TextEncoder, prompt: str, ids: str) -> None:
    assert encoder.tokenise(prompt) == [int(number) for number in ids.split()]


@torch.no_grad()
def reference(original: dict[str, torch.Tensor], ids: list[int]) -> torch.Tensor:
    """CLIP's text half as its paper's code writes it: projected states [77, 96]."""
    functional = torch.nn.functional
    state = {
        name: tensor.half().float() if tensor.ndim > 1 else tensor
        for name, tensor in original.items()
    }
    x = state["token_embedding.weight"][ids + [0] * (77 - len(ids))]
    x = x + state["positional_embedding"]
    ahead = torch.full((77, 77), -torch.inf).triu(1)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"])

    for layer in range(LAYERS):
        name = f"transformer.resblocks.{layer}."
        attention = torch.nn.MultiheadAttention(WIDTH, WIDTH // 64, batch_first=True)
        attention.load_state_dict(
            {
                key.removeprefix(f"{name}attn."): tensor
                for key, tensor in state.items()
                if key.startswith(f"{name}attn.")
            }
        )
        normed = norm(x, f"{name}ln_1")[None]
        x = x + attention(normed, normed, normed, need_weights=False, attn_mask=ahead)[0][0]
        wide = norm(x, f"{name}ln_2") @ state[f"{name}mlp.c_fc.weight"].T
        wide = wide + state[f"{name}mlp.c_fc.bias"]
        wide = wide * torch.sigmoid(1.702 * wide)
        x = x + wide @ state[f"{name}mlp.c_proj.weight"].T + state[f"{name}mlp.c_proj.bias"]
    return norm(x, "ln_final") @ state["text_projection"]


def test_the_network_equals_torch(encoder: TextEncoder, original: dict[str, torch.Tensor]) -> None:
    prompts = ["a person walks forward", "jumps", "a " * 100, TOKENISED[0][0]]
    features = encoder.encode(prompts, encoder.token_limit)
    assert encoder.feature_size == 96
    for row, prompt in enumerate(prompts):
        pieces = encoder.tokenise(prompt)[:75]
        states = reference(original, [49406, *pieces, 49407]).numpy()
        end = len(pieces) + 1
        np.testing.assert_allclose(features.pooled[row], states[end], atol=2e-5)
        np.testing.assert_allclose(features.tokens[row, : end - 1], states[1:end], atol=2e-5)
        assert features.mask[row].sum() == len(pieces)
    assert np.abs(features.pooled[0] - features.pooled[1]).max() > 0.1


def test_the_word_table_stays_in_the_file(encoder: TextEncoder) -> None:
    encoder.encode(["walks"], 4)
    assert "word.weight" not in encoder.weights._kept


def test_warnings(encoder: TextEncoder) -> None:
    assert encoder.warnings("a person dances 🕺", 75) == ()
    assert "trained on English" in encoder.warnings("человек идет", 75)[0]
    assert "only the first 75 words" in encoder.warnings("walk " * 80, 75)[0]


@pytest.mark.parametrize("damage", ["tensor", "vocabulary"])
def test_load_refuses_what_does_not_fit(
    encoder: TextEncoder, original: dict[str, torch.Tensor], tmp_path: Path, damage: str
) -> None:
    tensors = import_clip.encoder_tensors({name: t.numpy() for name, t in original.items()})
    path = tmp_path / "clip.safetensors"
    if damage == "tensor":
        del tensors["layers.1.qkv.bias"]
    import_clip.write_encoder(tensors, "t h\ni n", path)
    with pytest.raises(CheckpointError, match=r"qkv\.bias|vocabulary"):
        TextEncoder.load(path)


def test_import_refuses_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ViT-B-32.pt").write_bytes(b"not it")
    (tmp_path / "words.gz").write_bytes(b"not it")
    arguments = [str(tmp_path / "ViT-B-32.pt"), "-o", str(tmp_path / "out.safetensors")]
    assert import_clip.main([*arguments, "--vocabulary", str(tmp_path / "words.gz")]) == 2
    assert "not 924691ac288e" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="not 40d365715913"):
        import_clip.read_weights(tmp_path / "ViT-B-32.pt")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_file_says_where_it_is_from(encoder: TextEncoder, tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    import_clip.write_encoder({"a": np.zeros((2, 3))}, "t h", path)
    tensors, metadata = read_tensors(path)
    assert metadata["license"] == "MIT"
    assert metadata["source_sha256"] == import_clip.WEIGHTS_SHA256
    assert tensors["a"].dtype == np.float16
    write_tensors(path, {"a": np.zeros(3, np.int8), "b": np.zeros(2, np.float32)}, {})
    assert all(tensor.flags.aligned for tensor in read_tensors(path)[0].values())
