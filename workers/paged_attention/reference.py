"""Attention over KV pages in plain torch: the oracle every other back end is compared with.

Slow and simple on purpose. Each row is computed alone, so a stream's numbers do not depend on what else is in the step;
scores and softmax are float32. Handles everything the interface can say.
"""

import torch

from workers.paged_attention.interface import (
    AttentionPlan,
    LayerArguments,
    LayerPages,
    gather_pages,
    visible,
    write_pages,
)


def attend_row(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, arguments: LayerArguments
) -> torch.Tensor:
    """[n, heads, value dim] for query [n, heads, dim] over keys and values [KV heads, positions, dim].

    Mask [n, positions].
    """
    num_new, num_heads, _ = query.shape
    group = num_heads // keys.shape[0]
    grouped = query.float().reshape(num_new, keys.shape[0], group, -1)
    scores = torch.einsum("nkgd,kpd->kgnp", grouped, keys.float()) * arguments.scaling
    if arguments.softcap > 0:
        scores = torch.tanh(scores / arguments.softcap) * arguments.softcap
    scores = scores.masked_fill(~mask, float("-inf"))
    if arguments.sinks is not None:
        sinks = arguments.sinks.float().reshape(-1, group, 1, 1).expand(-1, -1, num_new, 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = torch.softmax(scores, dim=-1)[..., : keys.shape[1]]
    output = torch.einsum("kgnp,kpd->nkgd", weights, values.float())
    return output.reshape(num_new, num_heads, -1).to(query.dtype)


class ReferenceAttention:
    """The plain back end."""

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
        output = query.new_empty(query.shape[0], query.shape[1], value.shape[2])
        for index, token in enumerate(plan.single_tokens.tolist()):
            length = int(plan.single_lengths[index])
            table = plan.single_tables[index, : -(-length // plan.block_size)].long()
            output[token : token + 1] = self.attend_positions(
                pages, query[token : token + 1], table, length - 1, arguments
            )
        for row in plan.prefill_rows:
            tokens = slice(row.first, row.first + row.num_new)
            output[tokens] = self.attend_positions(pages, query[tokens], row.pages, row.start, arguments)
        return output

    def attend_positions(
        self, pages: LayerPages, query: torch.Tensor, table: torch.Tensor, start: int, arguments: LayerArguments
    ) -> torch.Tensor:
        """[n, heads, value dim] for query [n, heads, dim] of positions start ... start + n - 1.

        `table` int64: the pages of all positions up to the last one.
        """
        length = start + query.shape[0]
        keys = gather_pages(pages.keys, table, length)
        values = gather_pages(pages.values, table, length)
        mask = visible(query.shape[0], start, arguments.sliding_window, query.device)
        return attend_row(query, keys, values, mask, arguments)
