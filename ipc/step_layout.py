"""A step's inputs and results as columns in shared memory: what scheduler and workers exchange on the hot path.

The scheduler leases one arena block a step, writes the plan's columns in place and publishes the block's handle on the
worker's ring; the worker wraps the columns (numpy, torch.frombuffer), computes, writes the result columns *into the
same block*, and publishes STEP_DONE. Nothing is packed or pickled. The lease ends when the scheduler has read the
results.

    | header int64[16] | row columns | token columns | block tables | results |        every column starts on 64 bytes

Three step kinds: GENERATE (rows are streams; a row may be a prefill chunk or one decode token), SCORE (rows are packed
sequences to score or to embed, there is no KV cache) and COPY (rows are KV pages that move to another pool).
"""

import math
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.errors import ProtocolError
from ipc.messages import MAX_LOGPROBS

HEADER_WORDS = 16
_WORDS = struct.Struct("<14q")  # those in use
ALIGNMENT = 64
MAGIC = 0x5A4C_5354_4550_0002  # "ZLSTEP", layout version 2
MAX_HISTORY_TOKENS = 1 << 20  # of one step, over all its rows with rules; one row of a longer model may have more
FROM_LAST_TOKEN = -1  # in token_ids: use the token this row's slot drew in the step before (not committed yet)


class StepKind(IntEnum):
    GENERATE = 1
    SCORE = 2
    COPY = 3


class RowFlag(IntFlag):
    SAMPLE = 1  # the row's last token gets logits and a drawn token; unset for a prefill chunk that is not the last
    PROMPT_LOGPROBS = 2  # each token of the row tells the log-probability of the one after it


class RowStatus(IntEnum):
    """How a row of a step ended; the numbers travel in an int32 column."""

    FINE = 0
    FAILED = 1  # this row alone: its numbers are not numbers
    GRAMMAR_FAILED = 2  # this row alone: its grammar cannot go on
    COMPLETE = 3  # its grammar is complete and nothing may follow; no token was drawn
    LATER = 4  # its grammar is not compiled yet: no token was drawn, its last token is to be planned again


class RingKind(IntEnum):
    """Kinds of ring slots between scheduler and worker. The payload of a slot is at most ring.SLOT_PAYLOAD bytes."""

    STEP = 1  # scheduler -> worker: StepTicket of a plan to run
    STEP_DONE = 2  # worker -> scheduler: StepTicket, results are in the block
    STEP_FAILED = 3  # worker -> scheduler: StepTicket + UTF-8 text of what went wrong (for the log)


@dataclass(frozen=True)
class StepShape:
    """Everything the column offsets follow from."""

    kind: StepKind
    num_rows: int
    num_tokens: int
    table_width: int = 0  # pages a row's block table has room for; 0 for SCORE
    num_labels: int = 0  # 0 for GENERATE
    num_top: int = 0  # GENERATE: the most likeliest tokens that a row's log-probabilities are wanted of
    num_history: int = 0  # GENERATE: room for so many tokens that came before those of the step
    has_prompt_logprobs: bool = False  # GENERATE: a row has PROMPT_LOGPROBS


@dataclass(frozen=True)
class StepHeader:
    step_id: int  # counts up a worker's life, for logs
    model: int  # index of the model card
    epoch: int  # the worker's epoch: a plan or result of another epoch is dropped
    shape: StepShape
    pool: int = 0  # whose KV pages the block tables, or a COPY's target pages, name
    source_pool: int = 0  # whose KV pages a COPY reads


class StepColumns:
    """Numpy views on one arena block, made when first asked for; valid as long as the lease. Rows' tokens lie one after
    the other in `token_ids`.

    A GENERATE row r computes positions start[r] ... start[r] + num_new[r] - 1 of its stream: their KV is written to the
    pages of block_tables[r], and they attend to all positions up to themselves. With SAMPLE the last one's logits
    give the token for position start[r] + num_new[r], drawn with the counter (seed[r], that position).

    A row with rules (`rules_id` > 0) has them, an encoded TokenRules, in the arena block its handle names; equal
    `rules_id` means equal rules for the life of the scheduler. Its tokens at positions 0 ... start[r] - 1 are the next
    start[r] ones of `history`, in the order of the rows; rows without rules have none there.
    """

    header: StepHeader
    num_new: npt.NDArray[np.int32]  # [rows] query tokens of the row
    start: npt.NDArray[np.int32]  # [rows] tokens already in KV; 0 for SCORE
    slot: npt.NDArray[np.int32]  # [rows] the stream's running slot in the scheduler, index of the worker's last tokens
    flags: npt.NDArray[np.uint32]  # [rows] RowFlag
    temperature: npt.NDArray[np.float32]  # [rows]
    top_p: npt.NDArray[np.float32]  # [rows]
    min_p: npt.NDArray[np.float32]  # [rows]
    top_k: npt.NDArray[np.int32]  # [rows]
    seed: npt.NDArray[np.int64]  # [rows]
    token_ids: npt.NDArray[np.int32]  # [tokens]; FROM_LAST_TOKEN in a decode row whose token is not committed yet
    token_type_ids: npt.NDArray[np.int32]  # [tokens] for SCORE, else empty
    block_tables: npt.NDArray[np.int32]  # [rows, table_width] page numbers
    num_prompt: npt.NDArray[np.int32]  # [rows] prompt tokens of the stream: later positions are output
    num_logprobs: npt.NDArray[np.int32]  # [rows] likeliest tokens wanted with the drawn one; -1: no log-probabilities
    next_token: npt.NDArray[np.int32]  # [rows] with PROMPT_LOGPROBS: the prompt's token after the row's; -1: none
    serial: npt.NDArray[np.int64]  # [rows] the stream's own number, from 1: workers may keep what they know by it
    rules_id: npt.NDArray[np.int64]  # [rows] 0: none
    rules_handle: npt.NDArray[np.uint64]  # [rows, 4] words of an arena handle
    history: npt.NDArray[np.int32]  # [num_history] filled from the front
    source_page: npt.NDArray[np.int32]  # [rows] for COPY, else empty: page number in source_pool
    target_page: npt.NDArray[np.int32]  # [rows] for COPY, else empty: page number in pool
    sampled: npt.NDArray[np.int32]  # result, [rows]: the drawn token, -1 for rows without SAMPLE
    scores: npt.NDArray[np.float32]  # result, [rows, num_labels] raw logits
    row_status: npt.NDArray[np.int32]  # result, [rows]: RowStatus
    logprob: npt.NDArray[np.float32]  # result, [rows] of the drawn token, where num_logprobs >= 0
    rank: npt.NDArray[np.int32]  # result, [rows] 1: the likeliest
    top_ids: npt.NDArray[np.int32]  # result, [rows, num_top]
    top_logprobs: npt.NDArray[np.float32]  # result, [rows, num_top]
    # results, [tokens] with has_prompt_logprobs, else empty: of the token after each token of a PROMPT_LOGPROBS row
    prompt_logprob: npt.NDArray[np.float32]
    prompt_rank: npt.NDArray[np.int32]
    prompt_top_ids: npt.NDArray[np.int32]  # [tokens, num_top]
    prompt_top_logprobs: npt.NDArray[np.float32]  # [tokens, num_top]

    def __init__(self, header: StepHeader, block: memoryview) -> None:
        """`block` has at least `step_bytes(header.shape)` bytes."""
        self.header = header
        self._block = block
        self._places = _layout(header.shape).columns

    def take_inputs(self, before: "StepColumns") -> None:
        """Every input becomes that of another step of the same shape: cheaper than writing them one by one."""
        inputs = _layout(self.header.shape).inputs
        self._block[inputs] = before._block[inputs]

    @property
    def is_intact(self) -> bool:
        """The block still starts with the header it was given."""
        return _WORDS.unpack_from(self._block) == _words(self.header)

    def with_columns(self, **columns: npt.NDArray[np.generic]) -> "StepColumns":
        """The same step with these in place of its own columns; the others are views on the same memory."""
        changed = StepColumns(self.header, self._block)
        vars(changed).update(vars(self) | columns)
        return changed

    if not TYPE_CHECKING:  # a step uses about half of its columns, and the scheduler three of the results

        def __getattr__(self, name: str) -> npt.NDArray[np.generic]:
            try:
                place = self._places[name]
            except KeyError:
                raise AttributeError(f"a step has no column {name}") from None
            view = np.ndarray(place.dims, place.dtype, self._block, place.offset) if place.num_items else place.empty
            setattr(self, name, view)
            return view


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _columns(shape: StepShape) -> list[tuple[str, type, tuple[int, ...]]]:
    rows, tokens = (shape.num_rows,), (shape.num_tokens,)
    score_tokens = tokens if shape.kind is StepKind.SCORE else (0,)
    copies = rows if shape.kind is StepKind.COPY else (0,)
    drawn = rows if shape.kind is StepKind.GENERATE else (0,)
    told = shape.num_tokens if shape.has_prompt_logprobs else 0
    return [
        ("num_new", np.int32, rows),
        ("start", np.int32, rows),
        ("slot", np.int32, rows),
        ("flags", np.uint32, rows),
        ("temperature", np.float32, rows),
        ("top_p", np.float32, rows),
        ("min_p", np.float32, rows),
        ("top_k", np.int32, rows),
        ("seed", np.int64, rows),
        ("token_ids", np.int32, tokens),
        ("token_type_ids", np.int32, score_tokens),
        ("block_tables", np.int32, (shape.num_rows, shape.table_width)),
        ("num_prompt", np.int32, drawn),
        ("num_logprobs", np.int32, drawn),
        ("next_token", np.int32, drawn),
        ("serial", np.int64, drawn),
        ("rules_id", np.int64, drawn),
        ("rules_handle", np.uint64, (*drawn, 4)),
        ("history", np.int32, (shape.num_history,)),
        ("source_page", np.int32, copies),
        ("target_page", np.int32, copies),
        ("sampled", np.int32, rows),
        ("scores", np.float32, (shape.num_rows, shape.num_labels)),
        ("row_status", np.int32, rows),
        ("logprob", np.float32, drawn),
        ("rank", np.int32, drawn),
        ("top_ids", np.int32, (*drawn, shape.num_top)),
        ("top_logprobs", np.float32, (*drawn, shape.num_top)),
        ("prompt_logprob", np.float32, (told,)),
        ("prompt_rank", np.int32, (told,)),
        ("prompt_top_ids", np.int32, (told, shape.num_top)),
        ("prompt_top_logprobs", np.float32, (told, shape.num_top)),
    ]


class _Column(NamedTuple):
    dtype: np.dtype[np.generic]
    dims: tuple[int, ...]
    num_items: int
    offset: int  # bytes from the block's start
    empty: npt.NDArray[np.generic]  # what it is where it has no items


class _Layout(NamedTuple):
    columns: dict[str, _Column]
    inputs: slice  # of the block's bytes: every column before the first result
    num_bytes: int


@lru_cache(maxsize=1024)  # decoding repeats the same few shapes; computing one costs more than planning a step
def _layout(shape: StepShape) -> _Layout:
    columns: dict[str, _Column] = {}
    offset = _aligned(HEADER_WORDS * 8)
    for name, item, dims in _columns(shape):
        count, dtype = math.prod(dims), np.dtype(item)
        empty = np.empty(dims if not count else (0,), dtype)
        columns[name] = _Column(dtype, dims, count, offset, empty)
        offset += _aligned(count * dtype.itemsize)
    inputs = slice(_aligned(HEADER_WORDS * 8), columns["sampled"].offset)
    return _Layout(columns, inputs, offset)


def step_bytes(shape: StepShape) -> int:
    """Bytes a block for this shape must have."""
    return _layout(shape).num_bytes


def largest_generate_step(max_rows: int, max_tokens: int, table_width: int, max_model_len: int) -> StepShape:
    """The shape of a step of so many rows and tokens with everything a row can ask for."""
    return StepShape(
        StepKind.GENERATE,
        max_rows,
        max_tokens,
        table_width,
        num_top=MAX_LOGPROBS,
        num_history=max(MAX_HISTORY_TOKENS, max_model_len),
        has_prompt_logprobs=True,
    )


def write_header(block: memoryview, header: StepHeader) -> StepColumns:
    """Lay out a fresh plan in `block` (scheduler side). Columns hold whatever was there before: write every one you
    use.
    """
    needed = step_bytes(header.shape)
    if len(block) < needed:
        raise ProtocolError(f"step of {needed} bytes does not fit its block of {len(block)}")
    _WORDS.pack_into(block, 0, *_words(header))
    return StepColumns(header, block)


def _words(header: StepHeader) -> tuple[int, ...]:
    """What the block's first words are."""
    shape = header.shape
    return (
        MAGIC,
        header.step_id,
        header.model,
        header.epoch,
        shape.kind,
        shape.num_rows,
        shape.num_tokens,
        shape.table_width,
        shape.num_labels,
        header.pool,
        header.source_pool,
        shape.num_top,
        shape.num_history,
        shape.has_prompt_logprobs,
    )


def read_columns(block: memoryview) -> StepColumns:
    """The columns of a published plan (worker side, and scheduler side for results). Raises ProtocolError if it is
    none.
    """
    if len(block) < HEADER_WORDS * 8:
        raise ProtocolError(f"a block of {len(block)} bytes holds no step")
    words = _WORDS.unpack_from(block)
    magic, step_id, model, epoch, kind, rows, tokens, width, labels, pool, source_pool, top, history, tells_prompt = (
        words
    )
    if magic != MAGIC or kind not in (1, 2, 3) or min(rows, tokens, width, labels, top, history) < 0:
        raise ProtocolError("the block does not start with a step header")
    shape = _shape(kind, rows, tokens, width, labels, top, history, bool(tells_prompt))
    header = StepHeader(step_id, model, epoch, shape, pool, source_pool)
    if len(block) < step_bytes(header.shape):
        raise ProtocolError(f"step {step_id} is longer than its block")
    return StepColumns(header, block)


@lru_cache(maxsize=1024)
def _shape(
    kind: int, rows: int, tokens: int, width: int, labels: int, top: int, history: int, tells_prompt: bool
) -> StepShape:
    return StepShape(StepKind(kind), rows, tokens, width, labels, top, history, tells_prompt)
