"""The log-probability columns of what the scheduler sends: rows of a TokenBatch, and whole prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frontend.output_tokens import OutputToken
from frontend.tokenize import Tokenizer
from ipc.errors import ProtocolError
from ipc.messages import PromptLogprobs, TokenBatch


class Drawn(NamedTuple):
    """What the model thought of one token, and of the likeliest ones in its place."""

    logprob: float
    rank: int
    top: list[tuple[int, float]]


class LogprobColumns:
    """Columns of equal length: log-probability, rank, and the k likeliest tokens of each row."""

    def __init__(self, columns: TokenBatch | PromptLogprobs, num_rows: int) -> None:
        """Raises ProtocolError for columns that are not of `num_rows` rows."""
        self._logprobs: npt.NDArray[np.float32] = np.frombuffer(columns.logprobs, "<f4")
        self._ranks: npt.NDArray[np.int32] = np.frombuffer(columns.ranks, "<i4")
        top_ids = np.frombuffer(columns.top_ids, "<i4")
        top_logprobs = np.frombuffer(columns.top_logprobs, "<f4")
        num_all = num_rows * columns.num_top
        if not len(self._logprobs) == len(self._ranks) == num_rows or not len(top_ids) == len(top_logprobs) == num_all:
            raise ProtocolError(f"columns of logprobs are not of {num_rows} rows with {columns.num_top} likeliest")
        self._top_ids: npt.NDArray[np.int32] = top_ids.reshape(num_rows, columns.num_top)
        self._top_logprobs: npt.NDArray[np.float32] = top_logprobs.reshape(num_rows, columns.num_top)

    def __len__(self) -> int:
        return len(self._logprobs)

    def row(self, row: int, num_top: int) -> Drawn:
        """One row, with at most `num_top` likeliest tokens."""
        ids, logprobs = self._top_ids[row, :num_top].tolist(), self._top_logprobs[row, :num_top].tolist()
        return Drawn(float(self._logprobs[row]), int(self._ranks[row]), list(zip(ids, logprobs, strict=True)))


class PromptColumns:
    """The log-probabilities of one stream's prompt, as they come: in order, and from the beginning again after a
    scheduler's death."""

    def __init__(self, num_prompt_tokens: int) -> None:
        self._num_prompt_tokens = num_prompt_tokens
        self._parts: list[tuple[LogprobColumns, int]] = []  # and how many of its first rows came before
        self._next = 1  # position of the next token whose log-probability is missing

    @property
    def is_complete(self) -> bool:
        return self._next >= self._num_prompt_tokens

    def push(self, record: PromptLogprobs) -> bool:
        """Takes what is new in it. False: something before it is missing. Raises ProtocolError for a broken record."""
        columns = LogprobColumns(record, len(record.logprobs) // 4)
        if record.position > self._next:
            return False
        num_known = self._next - record.position
        if num_known < len(columns):
            self._parts.append((columns, num_known))
            self._next = record.position + len(columns)
        return True

    def tokens(self, prompt: "SpelledPrompt", tokenizer: Tokenizer, num_top: int) -> list[OutputToken]:
        """All tokens of the prompt; without a log-probability the first and whatever has not come."""
        drawn: list[Drawn | None] = [None]
        for columns, num_known in self._parts:
            drawn += [columns.row(row, num_top) for row in range(num_known, len(columns))]
        drawn += [None] * (len(prompt.token_ids) - len(drawn))
        return [
            OutputToken(token_id, tokenizer.token_bytes(token_id), *_told(one), offset)
            for token_id, offset, one in zip(prompt.token_ids, prompt.offsets, drawn, strict=True)
        ]


def _told(drawn: Drawn | None) -> tuple[float | None, int, list[tuple[int, float]]]:
    return (None, 0, []) if drawn is None else drawn


class SpelledPrompt(NamedTuple):
    """A prompt as text. `offsets`: for each token the characters that were complete before it."""

    token_ids: Sequence[int]
    text: str
    offsets: list[int]


def spell(token_ids: Sequence[int], tokenizer: Tokenizer, shown: frozenset[str] | None) -> SpelledPrompt:
    """What the tokens say, token by token. A prompt that ends inside a character loses that character."""
    detokenizer = tokenizer.detokenizer(shown)
    texts: list[str] = []
    offsets: list[int] = []
    num_chars = 0
    for token_id in token_ids:
        offsets.append(num_chars)
        texts.append(detokenizer.push(token_id))
        num_chars += len(texts[-1])
    return SpelledPrompt(token_ids, "".join(texts), offsets)
