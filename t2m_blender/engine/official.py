# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the published T2M-GPT checkpoints (.pth) into our networks.

Nothing is unpickled but tensors (`weights_only`). Errors name tensors as the published files do.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor

from .configs import GPTConfig, VQVAEConfig
from .errors import CheckpointError
from .gpt import GPT
from .unfilled import Unfilled
from .vqvae import VQVAE

N = TypeVar("N", bound=torch.nn.Module)

_VQVAE_PARTS = (
    (r"^(..coder)\.enter\.", r"\1.model.0."),
    (r"^encoder\.halvings\.(\d+)\.", lambda m: f"encoder.model.{int(m[1]) + 2}.0."),
    (r"^encoder\.residuals\.(\d+)\.", lambda m: f"encoder.model.{int(m[1]) + 2}.1.model."),
    (r"^decoder\.residuals\.(\d+)\.", lambda m: f"decoder.model.{int(m[1]) + 2}.0.model."),
    (r"^decoder\.doublings\.(\d+)\.", lambda m: f"decoder.model.{int(m[1]) + 2}.2."),
    (r"\.dilated\.", ".conv1."),
    (r"\.mix\.", ".conv2."),
    (r"^codebook\.codes$", "quantizer.codebook"),
    (r"^codebook\.code_sums$", "quantizer.code_sum"),
    (r"^codebook\.code_counts$", "quantizer.code_count"),
)
_GPT_PARTS = (
    (r"^token_embedding\.", "trans_base.tok_emb."),
    (r"^pooled_projection\.", "trans_base.cond_emb."),
    (r"^positions$", "trans_base.pos_embed.embed"),
    (r"^norm\.", "trans_head.ln_f."),
    (r"^head\.", "trans_head.head."),
    (r"\.attention_norm\.", ".ln1."),
    (r"\.feed_norm\.", ".ln2."),
    (r"\.attention_out\.", ".attn.proj."),
    (r"\.(query|key|value)\.", r".attn.\1."),
    (r"\.feed_in\.", ".mlp.0."),
    (r"\.feed_out\.", ".mlp.2."),
)


def read_official_vqvae(path: Path, *, dilation_growth: int = 3) -> VQVAE:
    """The network of a published VQ-VAE file, `{"net": state_dict}`; sizes come from its tensors.

    Raises:
        CheckpointError: Not such a file, or keys and shapes that do not fit, named.
    """
    state = _load(path, "net")
    stages = _count(state, r"^vqvae\.encoder\.model\.(\d+)\.1\.model\.0\.conv1\.weight$")
    entry = _tensor(state, "vqvae.encoder.model.0.weight", 3, path)
    codes = _tensor(state, "vqvae.quantizer.codebook", 2, path)
    try:
        config = VQVAEConfig(
            feature_size=entry.shape[1],
            width=entry.shape[0],
            code_size=codes.shape[1],
            codebook_size=codes.shape[0],
            stages=stages,
            depth=_count(state, r"^vqvae\.encoder\.model\.2\.1\.model\.(\d+)\.conv1\.weight$"),
            dilation_growth=dilation_growth,
        )
    except ValueError as error:
        raise CheckpointError(f"{path} has tensors of impossible sizes: {error}.") from error
    # the moving averages are in none of the published files
    state.setdefault("vqvae.quantizer.code_sum", codes.clone())
    state.setdefault("vqvae.quantizer.code_count", torch.ones(len(codes)))
    state["begun"] = torch.tensor(True)
    with Unfilled():
        network = VQVAE(config)
    return _filled(network, state, lambda name: official_vqvae_name(name, stages), path)


def read_official_gpt(path: Path, *, heads: int = 16) -> GPT:
    """The network of a published GPT file, `{"trans": state_dict}`.

    The number of heads is not written in its tensors: the published ones have 16.

    Raises:
        CheckpointError: Not such a file, or keys and shapes that do not fit, named.
    """
    # without constants, and an embedding table that the published code never reads
    state = {
        name: tensor
        for name, tensor in _load(path, "trans").items()
        if not name.endswith(("attn.mask", "trans_base.pos_embedding.weight"))
    }
    base = _count(state, r"^trans_base\.blocks\.(\d+)\.ln1\.weight$")
    late = _count(state, r"^trans_head\.blocks\.(\d+)\.ln1\.weight$")
    vocabulary, width = _tensor(state, "trans_base.tok_emb.weight", 2, path).shape
    positions = _tensor(state, "trans_base.pos_embed.embed", 3, path)
    try:
        config = GPTConfig(
            codebook_size=vocabulary - 2,
            token_limit=len(positions) - 1,
            width=width,
            blocks=base + late,
            heads=heads,
            text_size=_tensor(state, "trans_base.cond_emb.weight", 2, path).shape[1],
        )
    except ValueError as error:
        raise CheckpointError(f"{path} has 'trans_base.tok_emb.weight' for {error}.") from error
    state["trans_base.pos_embed.embed"] = positions.squeeze(1)
    with Unfilled():
        network = GPT(config)
    return _filled(network, state, lambda name: official_gpt_name(name, base), path)


def official_vqvae_name(name: str, stages: int) -> str:
    """What the published files call a tensor of our VQ-VAE."""
    if name == "codebook.begun":
        return "begun"  # theirs is not stored
    name = name.replace("encoder.leave.", f"encoder.model.{2 + stages}.")
    name = name.replace("decoder.gather.", f"decoder.model.{2 + stages}.")
    name = name.replace("decoder.leave.", f"decoder.model.{4 + stages}.")
    return "vqvae." + _renamed(name, _VQVAE_PARTS)


def official_gpt_name(name: str, base_blocks: int) -> str:
    """What the published files call a tensor of our GPT."""

    def block(match: re.Match[str]) -> str:
        index = int(match[1])
        if index < base_blocks:
            return f"trans_base.blocks.{index}."
        return f"trans_head.blocks.{index - base_blocks}."

    return _renamed(re.sub(r"^blocks\.(\d+)\.", block, name), _GPT_PARTS)


def _renamed(name: str, rules: tuple[tuple[str, Any], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _load(path: Path, key: str) -> dict[str, Tensor]:
    try:
        mapped = zipfile.is_zipfile(path)  # what torch wrote before 1.6 must be read whole
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}; check the path.") from None
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        MemoryError,
        UnpicklingError,
    ) as error:
        raise CheckpointError(
            f"{path} is not a readable T2M-GPT checkpoint ({type(error).__name__}); download it "
            "again."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get(key), dict):
        raise CheckpointError(
            f"{path} has no '{key}' entry; give the published "
            f"{'VQ-VAE' if key == 'net' else 'GPT'} file."
        )
    state: dict[str, Tensor] = content[key]
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"{path} holds {name!r}, which is no tensor; download it again.")
    return state


def _count(state: dict[str, Tensor], pattern: str) -> int:
    return sum(1 for name in state if re.match(pattern, name))


def _tensor(state: dict[str, Tensor], name: str, dimensions: int, path: Path) -> Tensor:
    if name not in state:
        raise CheckpointError(f"{path} lacks the tensor '{name}'; is it the right file?")
    if state[name].ndim != dimensions:
        raise CheckpointError(
            f"{path} does not fit the network: {name} is {list(state[name].shape)}, and should "
            f"have {dimensions} dimensions."
        )
    return state[name]


def _filled(
    network: N, state: dict[str, Tensor], official_name: Callable[[str], str], path: Path
) -> N:
    own = {official_name(name): (name, tensor) for name, tensor in network.state_dict().items()}
    problems = [f"missing {name}" for name in own.keys() - state.keys()]
    problems += [f"unknown {name}" for name in state.keys() - own.keys()]
    problems += [
        f"{name} is {list(state[name].shape)}, not {list(tensor.shape)}"
        for name, (_, tensor) in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        first = "; ".join(sorted(problems)[:5])
        raise CheckpointError(f"{path} does not fit the network: {first}.")
    stored = {own[name][0]: tensor.to(own[name][1].dtype) for name, tensor in state.items()}
    network.load_state_dict(stored, assign=True)
    return network.eval()
