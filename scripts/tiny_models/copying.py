"""Give an untrained Llama the habit of copying, which small models otherwise take very long to find.

Copying a name takes two attention heads in a row (an "induction head"): one that tells every token which token stood
before it, and one that looks for the place where the present token stood before, and says what came next there. Both
are written into the first two layers here, in a few directions of the weights; training does the rest. Nothing of this
is needed to run the model.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaForCausalLM

_CONSTANT = 0.06  # every embedding holds it in its first place, so that a head can attend by distance alone
_BY_DISTANCE = 2.6  # makes the first head look one token back almost only
_BY_CONTENT = 2.4  # makes the second head prefer the one match in some hundred tokens
_FAST_PAIRS = 4  # rotary pairs that turn quickly tell neighbours apart
_SLOW_FROM = 6  # those from here on hardly turn, so that content compares at any distance


def _directions(count: int, size: int) -> torch.Tensor:
    """Random directions at right angles to each other and to the constant, [count, size]."""
    directions = torch.zeros(count, size)
    directions[:, 1:] = torch.linalg.qr(torch.randn(size - 1, count))[0].T
    return directions


@torch.no_grad()
def start_with_copying(model: LlamaForCausalLM, frequencies: torch.Tensor) -> None:
    """Change the first two layers of `model` in place; `frequencies` are those of its rotary pairs, [head size / 2]."""
    inner: Any = model.model
    looking_back, copying = inner.layers[0].self_attn, inner.layers[1].self_attn
    size, width = model.config.hidden_size, 2 * len(frequencies)
    inner.embed_tokens.weight[:, 0] = _CONSTANT
    told, tells = _directions(width, size), _directions(width, size)

    # Layer 0, head 0: the query is the key turned by one place, so that the score is highest one token back.
    fast = torch.arange(_FAST_PAIRS)
    for weight in (looking_back.q_proj.weight, looking_back.k_proj.weight):
        weight[:width] *= 0.1
        weight[fast, 0] = _BY_DISTANCE
    turned = frequencies[:_FAST_PAIRS]
    looking_back.q_proj.weight[fast, 0] = _BY_DISTANCE * torch.cos(turned)
    looking_back.q_proj.weight[fast + width // 2, 0] = -_BY_DISTANCE * torch.sin(turned)
    looking_back.v_proj.weight[:width] = told
    looking_back.o_proj.weight[:, :width] = 0.05 * tells.T

    # Layer 1: the query is the present token, the key the token before; two heads copy more than one.
    pairs = torch.arange(_SLOW_FROM, width // 2)
    slow = torch.cat((pairs, pairs + width // 2))
    heads_a_key = copying.q_proj.out_features // copying.k_proj.out_features
    for head in (0, 1):
        query, key = head * heads_a_key * width, head * width
        copying.q_proj.weight[query : query + width] *= 0.1
        copying.k_proj.weight[key : key + width] *= 0.1
        copying.q_proj.weight[query + slow] = _BY_CONTENT * told[: len(slow)]
        copying.k_proj.weight[key + slow] = _BY_CONTENT * tells[: len(slow)]
        copied = _directions(width, size)
        copying.v_proj.weight[key : key + width] = copied
        copying.o_proj.weight[:, query : query + width] = 0.4 * copied.T
