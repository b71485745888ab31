"""The plain back end for `--batch-invariant`: a token's bits depend on its own sequence and position only.

Sums over keys are rounded differently for different numbers of keys and of queries, so both follow from the position
alone: queries are computed in blocks of 16 positions, each in its place whether or not its neighbours are in the step,
over the keys up to the block's end. Keys and values that are not there yet count as zeros: their weight is exactly 0.
"""

import torch

from workers.paged_attention.interface import LayerArguments, LayerPages, gather_pages, visible
from workers.paged_attention.reference import ReferenceAttention, attend_row

BLOCK = 16  # positions


class BlockwiseReference(ReferenceAttention):
    """`ReferenceAttention`, the same bits however a prompt was cut."""

    def attend_positions(
        self, pages: LayerPages, query: torch.Tensor, table: torch.Tensor, start: int, arguments: LayerArguments
    ) -> torch.Tensor:
        """See `ReferenceAttention.attend_positions`; block by block."""
        block_size, end = pages.keys.shape[2], start + query.shape[0]
        blocks: list[torch.Tensor] = []
        for low in range(start - start % BLOCK, end, BLOCK):
            first, last = max(low, start), min(low + BLOCK, end)
            part = query[first - start : last - start]
            blocks.append(_attend_block(pages, part, table[: -(-last // block_size)], first, arguments))
        return torch.cat(blocks)


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
