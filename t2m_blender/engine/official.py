# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the published T2M-GPT checkpoints (.pth) into our networks.

Nothing is unpickled but tensors (`weights_only`).
"""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor

from .errors import CheckpointError
from .gpt import GPT, GPTConfig
from .vqvae import VQVAE, VQVAEConfig

N = TypeVar("N", bound=torch.nn.Module)

_VQVAE_NAMES = (
    (r"^vqvae\.", ""),
    (r"^encoder\.model\.0\.", "encoder.enter."),
    (r"^decoder\.model\.0\.", "decoder.enter."),
    (r"\.conv1\.", ".dilated."),
    (r"\.conv2\.", ".mix."),
    (r"^quantizer\.codebook$", "codebook.codes"),
    (r"^quantizer\.code_sum$", "codebook.code_sums"),
    (r"^quantizer\.code_count$", "codebook.code_counts"),
)
_GPT_NAMES = (
    (r"^trans_base\.tok_emb\.", "token_embedding."),
    (r"^trans_base\.cond_emb\.", "pooled_projection."),
    (r"^trans_base\.pos_embed\.embed$", "positions"),
    (r"^trans_head\.ln_f\.", "norm."),
    (r"^trans_head\.head\.", "head."),
    (r"\.ln1\.", ".attention_norm."),
    (r"\.ln2\.", ".feed_norm."),
    (r"\.attn\.proj\.", ".attention_out."),
    (r"\.attn\.", "."),
    (r"\.mlp\.0\.", ".feed_in."),
    (r"\.mlp\.2\.", ".feed_out."),
)


def read_official_vqvae(path: Path, *, dilation_growth: int = 3) -> VQVAE:
    """The network of a published VQ-VAE file, `{"net": state_dict}`; sizes come from its tensors.

    Raises:
        CheckpointError: Not such a file, or keys and shapes that do not fit, named.
    """
    state = _load(path, "net")
    stages = _count(state, r"^vqvae\.encoder\.model\.(\d+)\.1\.model\.0\.conv1\.weight$")
    depth = _count(state, r"^vqvae\.encoder\.model\.2\.1\.model\.(\d+)\.conv1\.weight$")
    entry = _tensor(state, "vqvae.encoder.model.0.weight", path)
    codes = _tensor(state, "vqvae.quantizer.codebook", path)
    config = VQVAEConfig(
        feature_size=entry.shape[1],
        width=entry.shape[0],
        code_size=codes.shape[1],
        codebook_size=codes.shape[0],
        stages=stages,
        depth=depth,
        dilation_growth=dilation_growth,
    )
    network = VQVAE(config)
    renamed = {_vqvae_name(name, stages, depth): tensor for name, tensor in state.items()}
    renamed.setdefault("codebook.code_sums", codes.clone())
    renamed.setdefault("codebook.code_counts", torch.ones(len(codes)))
    renamed["codebook.begun"] = torch.tensor(True)
    return _filled(network, renamed, path)


def read_official_gpt(path: Path, *, heads: int = 16) -> GPT:
    """The network of a published GPT file, `{"trans": state_dict}`.

    The number of heads is not written in its tensors: the published ones have 16.

    Raises:
        CheckpointError: Not such a file, or keys and shapes that do not fit, named.
    """
    state = _load(path, "trans")
    base = _count(state, r"^trans_base\.blocks\.(\d+)\.ln1\.weight$")
    late = _count(state, r"^trans_head\.blocks\.(\d+)\.ln1\.weight$")
    vocabulary, width = _tensor(state, "trans_base.tok_emb.weight", path).shape
    config = GPTConfig(
        codebook_size=vocabulary - 2,
        token_limit=_tensor(state, "trans_base.pos_embed.embed", path).shape[0] - 1,
        width=width,
        blocks=base + late,
        heads=heads,
        text_size=_tensor(state, "trans_base.cond_emb.weight", path).shape[1],
    )
    network = GPT(config)
    renamed = {
        _gpt_name(name, base): tensor.squeeze(1) if name.endswith("pos_embed.embed") else tensor
        for name, tensor in state.items()
        # constants, and an embedding table that the published code never reads
        if not name.endswith(("attn.mask", "trans_base.pos_embedding.weight"))
    }
    return _filled(network, renamed, path)


def _vqvae_name(name: str, stages: int, depth: int) -> str:
    name = re.sub(r"^vqvae\.", "", name)
    # encoder: 0 enter, 2.. stages, then leave; decoder: 0 enter, 2.. stages, gather, ReLU, leave
    name = re.sub(rf"^encoder\.model\.{2 + stages}\.", "encoder.leave.", name)
    name = re.sub(rf"^decoder\.model\.{2 + stages}\.", "decoder.gather.", name)
    name = re.sub(rf"^decoder\.model\.{4 + stages}\.", "decoder.leave.", name)
    name = re.sub(
        r"^encoder\.model\.(\d+)\.0\.", lambda m: f"encoder.halvings.{int(m[1]) - 2}.", name
    )
    name = re.sub(
        r"^encoder\.model\.(\d+)\.1\.model\.", lambda m: f"encoder.residuals.{int(m[1]) - 2}.", name
    )
    name = re.sub(
        r"^decoder\.model\.(\d+)\.0\.model\.", lambda m: f"decoder.residuals.{int(m[1]) - 2}.", name
    )
    name = re.sub(
        r"^decoder\.model\.(\d+)\.2\.", lambda m: f"decoder.doublings.{int(m[1]) - 2}.", name
    )
    return _renamed(name, _VQVAE_NAMES)


def _gpt_name(name: str, base_blocks: int) -> str:
    name = re.sub(r"^trans_base\.blocks\.", "blocks.", name)
    name = re.sub(
        r"^trans_head\.blocks\.(\d+)\.", lambda m: f"blocks.{int(m[1]) + base_blocks}.", name
    )
    return _renamed(name, _GPT_NAMES)


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _load(path: Path, key: str) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}; check the path.") from None
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, UnpicklingError) as error:
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
    return state


def _count(state: dict[str, Tensor], pattern: str) -> int:
    return sum(1 for name in state if re.match(pattern, name))


def _tensor(state: dict[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in state:
        raise CheckpointError(f"{path} lacks the tensor '{name}'; is it the right file?")
    return state[name]


def _filled(network: N, state: dict[str, Tensor], path: Path) -> N:
    own = network.state_dict()
    problems = [f"missing {name}" for name in own.keys() - state.keys()]
    problems += [f"unknown {name}" for name in state.keys() - own.keys()]
    problems += [
        f"{name} is {list(state[name].shape)}, not {list(own[name].shape)}"
        for name in own.keys() & state.keys()
        if state[name].shape != own[name].shape
    ]
    if problems:
        first = "; ".join(sorted(problems)[:5])
        raise CheckpointError(f"{path} does not fit the network: {first}.")
    network.load_state_dict(state)
    return network.eval()
