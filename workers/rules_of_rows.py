"""Which rows of a step have rules (`ipc/token_rules.py`), what these say, and the tokens they are about. No torch.

The scheduler sends encoded rules again with every step, as the handle of one arena block; a worker decodes equal ones
once and keeps the result, within bounds, as long as it is used.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ipc.errors import ProtocolError
from ipc.step_layout import RowFlag, StepColumns
from ipc.token_rules import TokenRules, decode_rules

ReadRules = Callable[[npt.NDArray[np.uint64]], bytes]  # words of an arena handle -> the block's bytes
TokenIds = npt.NDArray[np.int32]
Number = TypeVar("Number", np.int32, np.float32)

MOST_KEPT = 4096  # decoded rules
MOST_KEPT_BYTES = 64 << 20  # of them, encoded
_logger = logging.getLogger("zerolane.workers.rules_of_rows")


@dataclass(frozen=True)
class StreamRules:
    """Decoded rules, their token ids inside the vocabulary. Read-only, shared by the rows that have them."""

    given: TokenRules
    stop_ids: TokenIds
    bias_ids: TokenIds
    bias_values: npt.NDArray[np.float32]
    allowed_ids: TokenIds
    bad_tokens: TokenIds  # bad words of one token
    bad_words: tuple[TokenIds, ...]  # the longer ones, [number, length] for each length
    grammar_after: TokenIds


@dataclass(frozen=True)
class RuledRow:
    """A row with rules. Its arrays live as long as the step."""

    row: int
    rules: StreamRules | None  # None: they cannot be used, so the row fails
    stream: tuple[int, int]  # which stream it is: a scheduler's life, and the stream's serial number in it
    tokens: TokenIds  # all of the stream, as far as they are known before the row's draw
    num_prompt: int
    samples: bool

    @property
    def output(self) -> TokenIds:
        return self.tokens[self.num_prompt :]


class RulesOfRows:
    """The rules of one model's rows. Used by one thread."""

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._read: ReadRules = _refuse
        self._kept: OrderedDict[tuple[int, int], tuple[StreamRules | None, int]] = OrderedDict()
        self._kept_bytes = 0

    def use(self, read: ReadRules) -> None:
        """Read encoded rules by this from now on. It raises StaleHandle when the step is not wanted any more."""
        self._read = read

    def of(self, columns: StepColumns, tokens: TokenIds) -> list[RuledRow]:
        """The step's rows with rules; `tokens` are the step's tokens, every one known.

        Raises ProtocolError when the history is too short for them, and whatever reading raises.
        """
        rows = np.flatnonzero(columns.rules_id > 0)
        if len(rows) == 0:
            return []
        if int(columns.start[rows].sum()) > len(columns.history):
            raise ProtocolError(f"{len(rows)} rows have rules, the history holds {len(columns.history)} tokens only")
        ends = np.cumsum(columns.num_new)
        history = np.split(columns.history, np.cumsum(columns.start[rows]))
        return [
            RuledRow(
                row=row,
                rules=self._rules(columns, row),
                stream=(int(columns.rules_handle[row, 3]), int(columns.serial[row])),
                tokens=np.concatenate([before, tokens[ends[row] - columns.num_new[row] : ends[row]]], dtype=np.int32),
                num_prompt=int(columns.num_prompt[row]),
                samples=bool(columns.flags[row] & RowFlag.SAMPLE),
            )
            for row, before in zip(rows.tolist(), history, strict=False)
        ]

    def _rules(self, columns: StepColumns, row: int) -> StreamRules | None:
        handle = columns.rules_handle[row]
        key = (int(handle[3]), int(columns.rules_id[row]))  # numbers start again in a scheduler's next life
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept[0]
        blob = self._read(handle)
        rules = self._decode(blob)
        self._kept[key] = (rules, len(blob))
        self._kept_bytes += len(blob)
        while len(self._kept) > MOST_KEPT or self._kept_bytes > MOST_KEPT_BYTES:
            self._kept_bytes -= self._kept.popitem(last=False)[1][1]
        return rules

    def _decode(self, blob: bytes) -> StreamRules | None:
        try:
            return stream_rules(decode_rules(blob), self._vocab_size)
        except ProtocolError as error:
            _logger.warning("a stream's rules cannot be used: %s", error)
            return None


def stream_rules(given: TokenRules, vocab_size: int) -> StreamRules:
    """The rules as arrays. Raises ProtocolError for a column that is none and for ids outside the vocabulary."""

    def ids(column: bytes) -> TokenIds:
        found = _column(column, np.int32)
        if len(found) and (found.min() < 0 or found.max() >= vocab_size):
            raise ProtocolError(f"token ids of rules must be below {vocab_size}")
        return found

    bias_values = _column(given.bias_values, np.float32)
    words = [word for word in map(ids, given.bad_words) if len(word)]
    lengths = sorted({len(word) for word in words} - {1})
    if len(bias_values) * 4 != len(given.bias_ids):
        raise ProtocolError("rules have another number of biases than of tokens for them")
    return StreamRules(
        given=given,
        stop_ids=ids(given.stop_ids),
        bias_ids=ids(given.bias_ids),
        bias_values=bias_values,
        allowed_ids=ids(given.allowed_ids),
        bad_tokens=np.array([word[0] for word in words if len(word) == 1], np.int32),
        bad_words=tuple(np.stack([word for word in words if len(word) == length]) for length in lengths),
        grammar_after=ids(given.grammar_after),
    )


def _column(column: bytes, dtype: type[Number]) -> npt.NDArray[Number]:
    if len(column) % 4:
        raise ProtocolError(f"a column of {len(column)} bytes holds no numbers of 4")
    return np.frombuffer(column, dtype)


def _refuse(handle: npt.NDArray[np.uint64]) -> bytes:
    raise ProtocolError("a row has rules, and nobody has said where to read them")
