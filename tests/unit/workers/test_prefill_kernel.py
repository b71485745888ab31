"""Chunks of prompts through the compiled kernel, against the reference in float32."""

import pytest
import torch

from workers.lean.openmp import run_kernel
from workers.lean.prefill import prefill_attention
from workers.paged_attention.interface import LayerArguments, LayerPages, PrefillRow, gather_pages, visible
from workers.paged_attention.reference import attend_row

DIM = 32
ATTENTION = prefill_attention(torch.bfloat16, DIM, num_layers=1)
pytestmark = pytest.mark.skipif(ATTENTION is None, reason="this CPU does not multiply bfloat16 numbers")
# (tokens, position of the first) of each chunk of a step
CHUNKS = {
    "one": [(1, 0)],
    "whole": [(40, 0)],
    "odd": [(7, 0), (33, 5)],
    "later": [(16, 100), (9, 63), (70, 1)],
}
ARGUMENTS = {
    "plain": LayerArguments(scaling=0.2),
    "window": LayerArguments(scaling=0.2, sliding_window=10),
    "odd window": LayerArguments(scaling=0.3, sliding_window=33),
    "softcap": LayerArguments(scaling=1.5, softcap=2.0),
    "sinks": LayerArguments(scaling=0.2, sinks=torch.tensor([1.0, -2.0, 0.5, 3.0]), sliding_window=20),
}


@pytest.mark.parametrize("block_size", [1, 3, 16])
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_equals_the_reference(
    chunks: list[tuple[int, int]], arguments: LayerArguments, block_size: int, threads: int
) -> None:
    torch.manual_seed(5)
    heads, kv_heads = 4, 2
    num_tokens = sum(count for count, _ in chunks) + 3  # tokens before and after belong to others
    tables = [-(-(start + count) // block_size) for count, start in chunks]
    order = torch.randperm(sum(tables) + 2)
    pages = LayerPages(*(torch.randn(len(order), kv_heads, block_size, DIM).bfloat16() for _ in range(2)))
    rows: list[PrefillRow] = []
    first = 2
    for (count, start), width in zip(chunks, tables, strict=True):
        rows.append(PrefillRow(first, count, start, order[:width].clone()))
        order, first = order[width:], first + count
    qkv = torch.randn(num_tokens, (heads + 2 * kv_heads) * DIM).bfloat16()
    output = torch.full((num_tokens, heads * DIM), 7.0).bfloat16()
    sinks = arguments.sinks.data_ptr() if arguments.sinks is not None else 0
    assert ATTENTION is not None
    ATTENTION.begin(tuple(rows), num_tokens, threads)
    for _ in range(2):  # counters start anew with each layer
        ATTENTION.fill_in(0, qkv, pages, arguments, sinks, output)
        run_kernel(*ATTENTION.step(0), threads)
    assert (output[:2] == 7).all()
    assert (output[-1] == 7).all()
    for row in rows:
        length, tokens = row.start + row.num_new, slice(row.first, row.first + row.num_new)
        query = qkv[tokens, : heads * DIM].view(row.num_new, heads, DIM).float()
        key, value = (gather_pages(part.float(), row.pages, length) for part in (pages.keys, pages.values))
        mask = visible(row.num_new, row.start, arguments.sliding_window)
        expected = attend_row(query, key, value, mask, arguments).reshape(row.num_new, -1)
        torch.testing.assert_close(output[tokens].float(), expected, atol=0.03, rtol=0.03)
