"""The fast CPU back end: decoding walks the block table over the pages, prefill goes through torch's fused attention.

Gathering pages for every decode token is what kills CPU decoding; here only prefill chunks that do not start a
sequence gather, once a chunk. float32 and bfloat16.
"""

import logging

import numba
import numpy as np
import torch
import torch.nn.functional as F

from workers.paged_attention.cpu_kernel import attend_single_tokens
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

_logger = logging.getLogger("zerolane.workers.cpu_paged")
_NO_SINKS = np.empty(0, np.float32)


def set_threads(threads: int) -> None:
    """Threads of the compiled kernel in this process; numba cannot have more than it started with."""
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at import, from the environment
    numba.set_num_threads(min(threads, most))


def set_up_compiler() -> None:
    """Let numba do now what it does once a process, at the first call of anything compiled, and takes a second for.

    Starts no thread, unlike the kernel itself: what this process forks afterwards has that second behind it.
    """
    _same(1)


@numba.njit()
def _same(number: int) -> int:
    return number


class PagedAttention:
    """The fast back end. Keeps its output buffer between calls."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

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
        output = self._output(query, value.shape[2])
        if plan.singles_are_all:
            _attend_singles(pages, query, key, value, arguments, plan, True, output)
            return output
        write_pages(pages, key, value, plan)
        if len(plan.single_tokens) > 0:
            some = output.new_empty(len(plan.single_tokens), *output.shape[1:])
            _attend_singles(pages, query[plan.single_tokens], key, value, arguments, plan, False, some)
            output[plan.single_tokens] = some
        for row in plan.prefill_rows:
            tokens = slice(row.first, row.first + row.num_new)
            output[tokens] = attend_chunk(pages, query[tokens], key[tokens], value[tokens], arguments, row)
        return output

    def _output(self, query: torch.Tensor, value_dim: int) -> torch.Tensor:
        """[tokens, heads, value dim] on the kept buffer: fresh memory a layer costs page faults."""
        count = query.shape[0] * query.shape[1] * value_dim
        if self._buffer.dtype != query.dtype or len(self._buffer) < count:
            self._buffer = torch.empty(2 * count, dtype=query.dtype)
        return self._buffer[:count].view(query.shape[0], query.shape[1], value_dim)


def _attend_singles(
    pages: LayerPages,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    arguments: LayerArguments,
    plan: AttentionPlan,
    write: bool,
    output: torch.Tensor,
) -> None:
    sinks = _NO_SINKS if arguments.sinks is None else arguments.sinks.float().numpy()
    attend_single_tokens(
        _array(query.contiguous()),
        _array(key.contiguous()),
        _array(value.contiguous()),
        write,
        _array(pages.keys),
        _array(pages.values),
        plan.single_tables.numpy(),
        plan.single_lengths.numpy(),
        arguments.sliding_window,
        arguments.scaling,
        arguments.softcap,
        sinks,
        _array(output),
    )


def _array(tensor: torch.Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    """The tensor's memory as the kernel takes it: bfloat16 as uint16."""
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def attend_chunk(
    pages: LayerPages,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    arguments: LayerArguments,
    row: PrefillRow,
) -> torch.Tensor:
    """[n, heads, value dim] for a prefill chunk; its own keys and values are in the pages already."""
    num_new, start, window = row.num_new, row.start, arguments.sliding_window
    if start > 0:
        length = start + num_new
        key, value = gather_pages(pages.keys, row.pages, length), gather_pages(pages.values, row.pages, length)
    else:
        key, value = key.transpose(0, 1), value.transpose(0, 1)
    if arguments.softcap > 0 or arguments.sinks is not None:  # torch's fused attention knows neither
        return attend_row(query, key, value, visible(num_new, start, window), arguments)
    is_plain_causal = start == 0 and (window == 0 or num_new <= window)
    attended = F.scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        key[None],
        value[None],
        attn_mask=None if is_plain_causal else visible(num_new, start, window),
        is_causal=is_plain_causal,
        scale=arguments.scaling,
        enable_gqa=query.shape[1] != key.shape[0],
    )
    return attended[0].transpose(0, 1)
