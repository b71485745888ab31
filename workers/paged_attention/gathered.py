"""Attention over KV pages in plain torch, for any device: pages are gathered, then torch's fused attention runs.

All single tokens of a step are one call, each prefill chunk is one. Nothing in a layer waits for the device: the host
knows every length from the plan. Gathering costs a copy of all keys and values a step reads, so this is the fallback of
CUDA (`varlen.py` reads pages in place) and no match for `cpu_paged.py` on a CPU.
"""

import torch
import torch.nn.functional as F

from workers.paged_attention.interface import (
    AttentionPlan,
    LayerArguments,
    LayerPages,
    PrefillRow,
    gather_pages,
    visible,
    write_pages,
)
from workers.paged_attention.reference import attend_row


class GatheredAttention:
    """The portable back end."""

    def attend(
        self,
        pages: LayerPages,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        arguments: LayerArguments,
        plan: AttentionPlan,
    ) -> torch.Tensor:
        """See `AttentionBackend.attend`."""
        write_pages(pages, key, value, plan)
        if plan.singles_are_all:
            return _attend_singles(pages, query, arguments, plan)
        output = query.new_empty(query.shape[0], query.shape[1], value.shape[2])
        if len(plan.single_tokens) > 0:
            output[plan.single_tokens] = _attend_singles(pages, query[plan.single_tokens], arguments, plan)
        for row in plan.prefill_rows:
            tokens = slice(row.first, row.first + row.num_new)
            output[tokens] = _attend_chunk(pages, query[tokens], arguments, row)
        return output


def _attend_singles(
    pages: LayerPages, query: torch.Tensor, arguments: LayerArguments, plan: AttentionPlan
) -> torch.Tensor:
    """[n, heads, value dim] for the step's n single tokens, query [n, heads, key dim]."""
    tables = plan.single_tables.long().clamp_min(0)  # behind a row's pages stands anything
    lengths = plan.single_lengths.long()[:, None]
    positions = torch.arange(tables.shape[1] * plan.block_size, device=query.device)
    seen = positions < lengths
    if arguments.sliding_window > 0:
        seen &= positions >= lengths - arguments.sliding_window
    keys, values = _gather_all(pages.keys, tables, seen), _gather_all(pages.values, tables, seen)
    if arguments.softcap > 0 or arguments.sinks is not None:  # torch's fused attention knows neither
        return _attend_exactly(query, keys, values, seen, arguments)
    attended = F.scaled_dot_product_attention(
        query[:, :, None],
        keys,
        values,
        attn_mask=seen[:, None, None],
        scale=arguments.scaling,
        enable_gqa=query.shape[1] != keys.shape[1],
    )
    return attended[:, :, 0]


def _gather_all(pages: torch.Tensor, tables: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """[n, KV heads, positions, dim] of n rows; zeros where `seen` [n, positions] says no.

    A page's rest holds whatever was there, and not-a-number times a weight of 0 is not 0.
    """
    gathered = pages[tables].transpose(1, 2).flatten(2, 3)
    return gathered.masked_fill_(~seen[:, None, :, None], 0)


def _attend_exactly(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor, arguments: LayerArguments
) -> torch.Tensor:
    """`attend_row` for n rows of one token at once: soft-caps and sinks, in float32."""
    grouped = query.float().unflatten(1, (keys.shape[1], -1))
    scores = torch.einsum("nkgd,nkpd->nkgp", grouped, keys.float()) * arguments.scaling
    if arguments.softcap > 0:
        scores = torch.tanh(scores / arguments.softcap) * arguments.softcap
    scores = scores.masked_fill(~seen[:, None, None], float("-inf"))
    if arguments.sinks is not None:
        sinks = arguments.sinks.float().view(1, keys.shape[1], -1, 1).expand(scores.shape[0], -1, -1, 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = torch.softmax(scores, dim=-1)[..., : keys.shape[2]]
    return torch.einsum("nkgp,nkpd->nkgd", weights, values.float()).flatten(1, 2).to(query.dtype)


def _attend_chunk(pages: LayerPages, query: torch.Tensor, arguments: LayerArguments, row: PrefillRow) -> torch.Tensor:
    """[n, heads, value dim] for one row's n new tokens; their keys and values are in the pages already."""
    length = row.start + row.num_new
    keys, values = gather_pages(pages.keys, row.pages, length), gather_pages(pages.values, row.pages, length)
    window = arguments.sliding_window
    if arguments.softcap > 0 or arguments.sinks is not None:
        return attend_row(query, keys, values, visible(row.num_new, row.start, window, query.device), arguments)
    is_plain_causal = row.start == 0 and (window == 0 or length <= window)
    attended = F.scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        keys[None],
        values[None],
        attn_mask=None if is_plain_causal else visible(row.num_new, row.start, window, query.device),
        is_causal=is_plain_causal,
        scale=arguments.scaling,
        enable_gqa=query.shape[1] != keys.shape[0],
    )
    return attended[0].transpose(0, 1)
