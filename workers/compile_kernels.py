"""Runs the compiled kernel once in the loader: workers then find it on disk and start without a compiler's seconds."""

import torch

from ipc.model_card import ModelCard
from workers.paged_attention.choose import make_backend
from workers.paged_attention.interface import AttentionPlan, LayerArguments, LayerPages
from workers.pool import torch_dtype


def compile_kernels(card: ModelCard) -> None:
    """Attend with one token in the card's type and shapes; does nothing for a back end without a compiler, and for lean
    layers, whose kernels were compiled when they were tried.
    """
    if card.attention_backend != "paged" or card.layers == "lean":
        return
    layer, dtype = card.kv_layers[0], torch_dtype(card.dtype)
    pages = LayerPages(
        torch.zeros(1, layer.num_kv_heads, card.block_size, layer.key_dim, dtype=dtype),
        torch.zeros(1, layer.num_kv_heads, card.block_size, layer.value_dim, dtype=dtype),
    )
    one = torch.zeros(1, dtype=torch.int64)
    table = torch.zeros(1, 1, dtype=torch.int32)
    plan = AttentionPlan(card.block_size, one, one, one, one.int() + 1, table, (), singles_are_all=True)
    key, value = pages.keys[:, :, 0], pages.values[:, :, 0]
    make_backend("paged").attend(pages, key, key, value, LayerArguments(scaling=1.0), plan)
