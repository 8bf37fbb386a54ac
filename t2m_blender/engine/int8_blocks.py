# SPDX-License-Identifier: GPL-3.0-or-later
"""A token through all blocks of a GPT with int8 rows, in one call of TorchScript.

Where reading the weights takes most of the time, they push Python and the code of a hundred small
calls out of the processor's caches: fetching these again would cost a quarter of each token's time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from .gpt import GPT, Block, Cache
from .int8_linear import NUMBERS, Int8Linear, product, scripted

__all__ = ["join_blocks"]


def join_blocks(gpt: GPT) -> None:
    """Makes `gpt.through_blocks` one call, after `use_int8`.

    It stays as it is where a block has a layer of another kind.
    """
    norms, layers = [], []
    for block in gpt.blocks:
        assert isinstance(block, Block)
        linears = [getattr(block, "projection", None), block.attention_out]
        linears += [block.feed_in, block.feed_out]
        layers.append([layer.weights for layer in linears if isinstance(layer, Int8Linear)])
        if len(layers[-1]) < len(linears):
            return
        pair = (block.attention_norm, block.feed_norm)
        norms.append([tensor.detach() for norm in pair for tensor in (norm.weight, norm.bias)])
    work = scripted(_through_blocks)

    def through_blocks(x: Tensor, cache: Cache) -> Tensor:
        place = int(cache.length)
        known = cache.known[:, : place + 1]
        mask = None if bool(known.all()) else known[:, None, None]
        return work(x, cache.keys, cache.values, place, mask, norms, layers, NUMBERS)

    gpt.through_blocks = through_blocks  # type: ignore[method-assign]


def _through_blocks(
    x: Tensor,
    keys: Tensor,
    values: Tensor,
    place: int,
    mask: Tensor | None,
    norms: list[list[Tensor]],
    layers: list[list[list[Tensor]]],
    numbers: list[Tensor],
) -> Tensor:
    """`Block.forward` of one block after the other, in the words that TorchScript knows.

    Args:
        x: [B, C].
        keys, values: [blocks, B, H, positions, C / H].
        place: Of x in them.
        mask: [B, 1, 1, place + 1] bool: may be looked at; None for everything.
        norms: Gain and bias of the two normalisations of each block.
        layers: Weights of its four products.
        numbers: `int8_linear.NUMBERS`.
    """
    batch, heads, size = keys.size(1), keys.size(2), keys.size(4)
    width = [heads * size]
    new_keys, new_values = keys.select(3, place).unbind(0), values.select(3, place).unbind(0)
    all_keys = keys.narrow(3, 0, place + 1).unbind(0)
    all_values = values.narrow(3, 0, place + 1).unbind(0)
    for i in range(len(layers)):
        norm, layer = norms[i], layers[i]
        projected = product(torch.layer_norm(x, width, norm[0], norm[1]), layer[0], numbers)
        query, key, value = projected.view(batch, 3, heads, size).unbind(1)
        new_keys[i].copy_(key)
        new_values[i].copy_(value)
        mixed = functional.scaled_dot_product_attention(
            query.unsqueeze(2), all_keys[i], all_values[i], mask
        )
        x = x + product(mixed.view(batch, -1), layer[1], numbers)
        fed = product(torch.layer_norm(x, width, norm[2], norm[3]), layer[2], numbers)
        x = x + product(functional.gelu(fed), layer[3], numbers)
    return x
