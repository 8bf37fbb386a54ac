# SPDX-License-Identifier: GPL-3.0-or-later
"""Untrained models of any size, made without torch: the same numbers everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from t2m_blender.engine.checkpoint import Checkpoint, write_checkpoint
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton

GPT = {
    "codebook_size": 48, "token_limit": 12, "width": 32, "blocks": 2, "heads": 4, "text_size": 384,
    "word_limit": 6,
}  # fmt: skip
VQVAE = {"width": 16, "code_size": 16, "codebook_size": 48, "depth": 2}


def linear(name: str, out: int, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, width), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def feed(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        **norm(f"{name}feed_norm", width),
        **linear(f"{name}feed_in", 4 * width, width),
        **linear(f"{name}feed_out", width, 4 * width),
    }


def gpt_shapes(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    width, codes = config.width, config.codebook_size
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedding.weight": (codes + 2, width),
        "positions": (config.token_limit + 1, width),
        **linear("pooled_projection", width, config.text_size),
        **norm("norm", width),
        "head.weight": (codes + 1, width),
    }
    if config.word_limit:
        shapes |= linear("word_projection", width, config.text_size)
        shapes["word_positions"] = (config.word_limit, width)
    for block in range(config.blocks):
        name = f"blocks.{block}."
        shapes |= norm(f"{name}attention_norm", width) | feed(name, width)
        for part in ("query", "key", "value", "attention_out"):
            shapes |= linear(f"{name}{part}", width, width)
    for level in range(config.levels - 1):
        name = f"refiners.{level}."
        shapes[f"refinement_embeddings.{level}.weight"] = (codes, width)
        shapes |= feed(name, width) | norm(f"{name}norm", width)
        shapes |= {f"{name}below.weight": (codes, width), f"{name}head.weight": (codes, width)}
    return shapes


def vqvae_shapes(config: VQVAEConfig) -> dict[str, tuple[int, ...]]:
    width, codes = config.width, (config.codebook_size, config.code_size)
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, out: int, channels: int, taps: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, channels, taps), (out,)

    for room, first, last in (
        ("encoder", config.feature_size, config.code_size),
        ("decoder", config.code_size, config.feature_size),
    ):
        convolution(f"{room}.enter", width, first, 3)
        convolution(f"{room}.leave", last, width, 3)
        for stage in range(config.stages):
            for block in range(config.depth):
                name = f"{room}.residuals.{stage}.{block}"
                convolution(f"{name}.dilated", width, width, 3)
                convolution(f"{name}.mix", width, width, 1)
            part, taps = ("halvings", 4) if room == "encoder" else ("doublings", 3)
            convolution(f"{room}.{part}.{stage}", width, width, taps)
    convolution("decoder.gather", width, width, 3)
    for level in range(config.levels):
        name = f"refinements.{level - 1}" if level else "codebook"
        shapes |= {f"{name}.codes": codes, f"{name}.begun": ()}
        if config.quantiser.startswith("ema"):
            shapes |= {f"{name}.code_sums": codes, f"{name}.code_counts": codes[:1]}
    return shapes


def random_tensors(gpt: GPTConfig, vqvae: VQVAEConfig, *, seed: int = 0) -> dict[str, Any]:
    """Tensors under `gpt.` and `vqvae.`, of a size that keeps activations near 1."""
    shapes = {f"gpt.{name}": shape for name, shape in gpt_shapes(gpt).items()}
    shapes |= {f"vqvae.{name}": shape for name, shape in vqvae_shapes(vqvae).items()}
    generator = np.random.Generator(np.random.Philox(key=seed))
    tensors: dict[str, Any] = {}
    for name, shape in shapes.items():
        numbers = generator.random(shape, dtype=np.float32) - np.float32(0.5)
        if name.endswith("begun"):
            tensors[name] = np.array(True)
        elif name.endswith("norm.weight"):
            tensors[name] = 1.0 + numbers
        elif len(shape) > 1 and not name.endswith("codes"):
            tensors[name] = numbers * np.float32((12.0 / np.prod(shape[1:])) ** 0.5)
        else:
            tensors[name] = numbers
    tensors["gpt.head.weight"] *= np.float32(3.0)
    return tensors


def small_model(
    path: Path,
    *,
    gpt: dict[str, Any] | None = None,
    vqvae: dict[str, Any] | None = None,
    skeleton: Skeleton = HUMANML3D,
    sampling: dict[str, float] | None = None,
    weights: str = "fp16",
) -> Path:
    """Write a model file whose sizes are those above, but for what is given."""
    features = {"feature_size": skeleton.feature_size}
    sizes = {"gpt": GPT | (gpt or {}), "vqvae": VQVAE | features | (vqvae or {})}
    tensors = random_tensors(GPTConfig(**sizes["gpt"]), VQVAEConfig(**sizes["vqvae"]))
    checkpoint = Checkpoint(
        **sizes,
        tensors=tensors,
        mean=np.zeros(skeleton.feature_size, np.float32),
        std=np.full(skeleton.feature_size, 0.1, np.float32),
        skeleton=skeleton,
        text_encoder="minilm",
        sampling={"guidance": 2.0, "temperature": 1.0, "top_p": 1.0} | (sampling or {}),
        licence="GPL-3.0-or-later",
        origin="untrained, for tests",
    )
    write_checkpoint(path, checkpoint, weights=weights)
    return path
