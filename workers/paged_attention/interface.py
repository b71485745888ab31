"""What every attention back end takes and gives.

Positions of one sequence lie in pages of `block_size` tokens; its block table lists the pages in order. A step
brings some new tokens of some sequences, all in one flattened row. Keys and values of the new tokens are written
first; then every new token attends to the positions of its own sequence up to itself.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class LayerPages:
    """One layer's KV pages: views on the pool, valid while the segment is mapped."""

    keys: torch.Tensor  # [pages, KV heads, block size, key dim]
    values: torch.Tensor  # [pages, KV heads, block size, value dim]


@dataclass(frozen=True)
class LayerArguments:
    """What the architecture says about attention in one layer."""

    scaling: float
    sliding_window: int = 0  # a token sees itself and sliding_window - 1 before it; 0: everything before it
    softcap: float = 0.0  # scores become softcap * tanh(scores / softcap); 0: they stay
    sinks: torch.Tensor | None = None  # [heads] scores of an extra column without a value


@dataclass(frozen=True)
class PrefillRow:
    """A row of several new tokens."""

    first: int  # index of its first token in the flattened step
    num_new: int
    start: int  # its first token's position
    pages: torch.Tensor  # int64 [pages of positions 0 ... start + num_new - 1]


@dataclass(frozen=True)
class AttentionPlan:
    """Where the tokens of one step are read and written; the same for all layers."""

    block_size: int
    token_page: torch.Tensor  # int64 [tokens] the page each new token is written to
    token_offset: torch.Tensor  # int64 [tokens] and its place there
    single_tokens: torch.Tensor  # int64 [n] flattened indexes of tokens computed one by one (decoding)
    single_lengths: torch.Tensor  # int32 [n] positions each of them sees, itself included
    single_tables: torch.Tensor  # int32 [n, width] block tables, contiguous
    prefill_rows: tuple[PrefillRow, ...]
    singles_are_all: bool  # the step holds nothing but rows of one token, in order


class AttentionBackend(Protocol):
    """Computes one layer's attention of one step. May keep scratch memory between calls; used by one thread."""

    def attend(
        self,
        pages: LayerPages,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        arguments: LayerArguments,
        plan: AttentionPlan,
    ) -> torch.Tensor:
        """Write key and value to the pages, then attend.

        query [tokens, heads, key dim], key [tokens, KV heads, key dim], value [tokens, KV heads, value dim]; any
        strides.
        Returns [tokens, heads, value dim] in the query's type, valid until the next call.
        """
        ...


def write_pages(pages: LayerPages, key: torch.Tensor, value: torch.Tensor, plan: AttentionPlan) -> None:
    """Scatter the new tokens' keys and values [tokens, KV heads, dim] to their pages."""
    pages.keys[plan.token_page, :, plan.token_offset] = key
    pages.values[plan.token_page, :, plan.token_offset] = value


def gather_pages(pages: torch.Tensor, table: torch.Tensor, length: int) -> torch.Tensor:
    """[KV heads, length, dim]: a copy of the first `length` positions of a sequence."""
    taken = pages[table]  # [n, KV heads, block size, dim]
    return taken.transpose(0, 1).reshape(pages.shape[1], -1, pages.shape[3])[:, :length]


def visible(num_new: int, start: int, window: int, device: torch.device | None = None) -> torch.Tensor:
    """bool [num_new, start + num_new] on `device` (None: the CPU): which positions each new token of a row sees."""
    queries = torch.arange(start, start + num_new, device=device)[:, None]
    positions = torch.arange(start + num_new, device=device)[None, :]
    mask = positions <= queries
    if window > 0:
        mask &= positions > queries - window
    return mask
