# SPDX-License-Identifier: GPL-3.0-or-later
"""Models with random weights, of the published size or any other: speed does not ask for more."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import torch

from t2m_blender.engine.checkpoint import Checkpoint, WidenedTensors, narrow
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.generate import MODELS, Request, TextToMotion
from t2m_blender.engine.gpt import GPT
from t2m_blender.engine.runtime import choose_runtime, load_runtime
from t2m_blender.engine.sampling import Sampling
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.engine.text import TextEncoder, TextFeatures
from t2m_blender.engine.vqvae import VQVAE

TOKENS = 50


def random_checkpoint(gpt: GPTConfig, vqvae: VQVAEConfig) -> Checkpoint:
    """Every matrix of a size that keeps activations near 1."""
    with torch.device("meta"):
        networks = {"gpt.": GPT(gpt), "vqvae.": VQVAE(vqvae)}
    generator = np.random.default_rng(0)
    tensors = {}
    for prefix, network in networks.items():
        for name, tensor in network.state_dict().items():
            if name.endswith("norm.weight"):
                array = np.ones(tensor.shape, np.float32)
            else:
                array = generator.standard_normal(tuple(tensor.shape), np.float32)
                array *= 0.02
            tensors[prefix + name] = array
    size = vqvae.feature_size
    return Checkpoint(
        gpt=asdict(gpt),
        vqvae=asdict(vqvae),
        tensors=tensors,
        mean=np.zeros(size, np.float32),
        std=np.ones(size, np.float32),
        skeleton=HUMANML3D,
        text_encoder="none",
        sampling={"guidance": 1.0, "temperature": 1.0, "top_p": 1.0},
        licence="none",
        origin="random",
    )


def int8_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The same with the GPT's layers as int8 rows."""
    stored = {}
    for name, tensor in checkpoint.tensors.items():
        if name.startswith("gpt.") and name.endswith(".weight") and tensor.ndim > 1:
            stored[name], stored[f"{name}.scale"] = narrow(tensor)
        else:
            stored[name] = tensor
    return replace(checkpoint, tensors=WidenedTensors(stored))


def loaded(checkpoint: Checkpoint, runtime: str, device: str = "auto") -> TextToMotion:
    """The checkpoint in a runtime; its text features are made by `random_request`."""
    gpt, vqvae = GPTConfig(**checkpoint.gpt), VQVAEConfig(**checkpoint.vqvae)
    choice = choose_runtime(gpt, runtime=runtime, device=device)
    encoder = TextEncoder.load(MODELS / "minilm.safetensors")  # not asked
    networks = load_runtime(choice, checkpoint)
    return TextToMotion("random", checkpoint, encoder, gpt, vqvae, choice, networks)


def random_request(
    config: GPTConfig, clips: int = 1, *, guidance: float = 1.0, first: int = 0
) -> Request:
    """So many clips of exactly `TOKENS` tokens, whose seeds are `first` and those after it."""
    generator = np.random.default_rng(1 + first)
    words = (clips, config.word_limit, config.text_size)
    return Request(
        text=TextFeatures(
            generator.standard_normal((clips, config.text_size), np.float32),
            generator.standard_normal(words, np.float32),
            np.tile(np.arange(config.word_limit) < 8, (clips, 1)),
        ),
        seeds=range(first, first + clips),
        frames=[4 * TOKENS] * clips,
        sampling=Sampling(guidance=guidance),
    )
