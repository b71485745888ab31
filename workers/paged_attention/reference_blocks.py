"""The plain back end for `--batch-invariant`: a token's bits depend on its own sequence and position only.

Sums over keys are rounded differently for different numbers of keys and of queries, so both follow from the position
alone: queries are computed in blocks of 16 positions, each in its place whether or not its neighbours are in the step,
over the keys up to the block's end. Keys and values that are not there yet count as zeros: their weight is exactly 0.
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
from workers.paged_attention.reference import attend_row

BLOCK = 16  # positions


class BlockwiseReference:
    """`ReferenceAttention`, the same bits however a prompt was cut."""

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
            tokens, position = slice(token, token + 1), int(plan.single_lengths[index]) - 1
            table = plan.single_tables[index, : position // plan.block_size + 1].long()
            output[tokens] = _attend_block(pages, query[tokens], table, position, arguments)
        for row in plan.prefill_rows:
            end = row.start + row.num_new
            for low in range(row.start - row.start % BLOCK, end, BLOCK):
                first, last = max(low, row.start), min(low + BLOCK, end)
                tokens = slice(row.first + first - row.start, row.first + last - row.start)
                table = row.pages[: -(-last // plan.block_size)]
                output[tokens] = _attend_block(pages, query[tokens], table, first, arguments)
        return output


def _attend_block(
    pages: LayerPages, query: torch.Tensor, table: torch.Tensor, first: int, arguments: LayerArguments
) -> torch.Tensor:
    """[n, heads, value dim] for query [n, heads, dim] of positions first ... first + n - 1, all in one block."""
    low = first - first % BLOCK
    places = slice(first - low, first - low + query.shape[0])
    queries = query.new_zeros(BLOCK, *query.shape[1:])
    queries[places] = query
    length = first + query.shape[0]
    keys, values = (_gathered(kind, table, length, low + BLOCK) for kind in (pages.keys, pages.values))
    return attend_row(queries, keys, values, visible(BLOCK, low, arguments.sliding_window), arguments)[places]


def _gathered(pages: torch.Tensor, table: torch.Tensor, length: int, end: int) -> torch.Tensor:
    """[KV heads, end, dim]: a copy of the first `length` positions of a sequence, then zeros."""
    taken = gather_pages(pages, table, end)  # what lies in the last page behind `length` was never written
    if taken.shape[1] == end:
        taken[:, length:] = 0
        return taken
    padded = taken.new_zeros(taken.shape[0], end, taken.shape[2])
    padded[:, :length] = taken[:, :length]
    return padded
