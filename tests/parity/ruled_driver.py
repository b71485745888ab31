"""Plays the scheduler for streams with rules and log-probabilities: every new column, chunks, several workers.

Small on purpose and written apart from the real scheduler, as `plan_driver.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ipc.model_card import ModelCard
from ipc.step_layout import FROM_LAST_TOKEN, RowFlag, RowStatus, StepColumns, StepKind, StepShape
from ipc.token_rules import NO_RULES, TokenRules, encode_rules
from tests.parity.plan_driver import make_columns


class Told(NamedTuple):
    """Log-probabilities of one token."""

    token: int
    logprob: float
    rank: int
    top_ids: list[int]
    top_logprobs: list[float]


@dataclass
class RuledStream:
    prompt: list[int]
    rules: TokenRules = NO_RULES
    temperature: float = 0.0
    seed: int = 0
    num_logprobs: int = -1
    num_prompt_logprobs: int = -1
    eos_ids: tuple[int, ...] = ()  # it ends with one of them
    serial: int = 0
    slot: int = -1
    pages: list[int] = field(default_factory=list)
    num_computed: int = 0
    output: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)  # of the output
    prompt_told: dict[int, Told] = field(default_factory=dict)  # by position
    status: RowStatus = RowStatus.FINE  # of the last row
    drawn_by: object = None  # the model that drew the last token, in the step before

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.output

    @property
    def is_open(self) -> bool:
        ended = bool(self.output) and self.output[-1] in self.eos_ids
        return self.status == RowStatus.FINE and not ended


class RuledDriver:
    """Runs streams together. `choose` says which of the models computes a step, by the step's number."""

    def __init__(
        self, models: Sequence[Any], card: ModelCard, chunk: int = 16, choose: Callable[[int], int] = lambda step: 0
    ) -> None:
        """The models must work on the same KV pages."""
        self._models = models
        self._card = card
        self._chunk = chunk
        self._choose = choose
        self._num_steps = 0
        self._num_streams = 0
        self._free = list(range(card.num_pages))
        self._free_slots = list(range(32))
        self._blobs: list[bytes] = [b""]
        for model in models:
            model.use_rules(lambda words: self._blobs[int(words[0])])

    def run(self, streams: Sequence[RuledStream], num_tokens: int) -> None:
        """Until every stream has ended or has `num_tokens` tokens of output. Nothing is kept of them: streams that
        come again, to go on, are prefilled again."""
        for stream in streams:
            self.admit(stream, num_tokens)
        while going := [s for s in streams if s.is_open and len(s.output) < num_tokens]:
            self.step(going)
        for stream in streams:
            self.release(stream)

    def admit(self, stream: RuledStream, num_tokens: int) -> None:
        """Give it pages for `num_tokens` tokens of output."""
        if not stream.serial:
            self._num_streams += 1
            stream.serial = self._num_streams
            self._blobs.append(encode_rules(stream.rules))
        num_pages = -(-(len(stream.prompt) + num_tokens) // self._card.block_size)
        stream.pages = [self._free.pop() for _ in range(num_pages)]
        stream.slot = self._free_slots.pop()

    def release(self, stream: RuledStream) -> None:
        """Take them back."""
        self._free += stream.pages
        self._free_slots.append(stream.slot)
        stream.pages, stream.slot, stream.num_computed, stream.drawn_by = [], -1, 0, None

    def step(self, streams: Sequence[RuledStream]) -> StepColumns:
        """One step with a row of each stream: a chunk of its prefill, or its last token."""
        columns = self._plan(streams)
        model = self._models[self._choose(self._num_steps)]
        for stream, last in zip(streams, np.cumsum(columns.num_new) - 1, strict=True):
            if stream.drawn_by is model:  # as if the token were not committed yet
                columns.token_ids[last] = FROM_LAST_TOKEN
        model.run(columns)
        self._num_steps += 1
        first = 0
        for row, stream in enumerate(streams):
            self._take(columns, row, first, stream)
            stream.drawn_by = model if columns.sampled[row] >= 0 else None
            first += int(columns.num_new[row])
        return columns

    def _plan(self, streams: Sequence[RuledStream]) -> StepColumns:
        counts = [min(self._chunk, len(s.tokens) - s.num_computed) for s in streams]
        shape = StepShape(
            StepKind.GENERATE,
            len(streams),
            sum(counts),
            max(len(s.pages) for s in streams),
            num_top=max(0, *(max(s.num_logprobs, s.num_prompt_logprobs) for s in streams)),
            num_history=sum(s.num_computed for s in streams if s.rules != NO_RULES),
            has_prompt_logprobs=any(s.num_prompt_logprobs >= 0 for s in streams),
        )
        columns = make_columns(shape)
        first = used = 0
        for row, (stream, count) in enumerate(zip(streams, counts, strict=True)):
            start, end = stream.num_computed, stream.num_computed + count
            columns.num_new[row], columns.start[row], columns.slot[row] = count, start, stream.slot
            samples = end == len(stream.tokens)
            columns.flags[row] = RowFlag.SAMPLE if samples else 0
            columns.temperature[row], columns.seed[row] = stream.temperature, stream.seed
            columns.token_ids[first : first + count] = stream.tokens[start:end]
            columns.block_tables[row, : len(stream.pages)] = stream.pages
            columns.num_prompt[row], columns.serial[row] = len(stream.prompt), stream.serial
            columns.num_logprobs[row] = stream.num_logprobs
            if stream.num_prompt_logprobs >= 0 and start < len(stream.prompt) - 1:
                columns.flags[row] |= RowFlag.PROMPT_LOGPROBS
                columns.next_token[row] = stream.prompt[end] if end < len(stream.prompt) else -1
            if stream.rules != NO_RULES:
                columns.rules_id[row] = stream.serial
                columns.rules_handle[row] = [stream.serial, 0, 0, 1]
                columns.history[used : used + start] = stream.tokens[:start]
                used += start
            first += count
        return columns

    def _take(self, columns: StepColumns, row: int, first: int, stream: RuledStream) -> None:
        count = int(columns.num_new[row])
        if columns.flags[row] & RowFlag.PROMPT_LOGPROBS:
            for index in range(first, first + count):
                position = stream.num_computed + 1 + index - first
                if position < len(stream.prompt):
                    stream.prompt_told[position] = Told(
                        stream.prompt[position],
                        float(columns.prompt_logprob[index]),
                        int(columns.prompt_rank[index]),
                        columns.prompt_top_ids[index, : stream.num_prompt_logprobs].tolist(),
                        columns.prompt_top_logprobs[index, : stream.num_prompt_logprobs].tolist(),
                    )
        stream.num_computed += count
        stream.status = RowStatus(int(columns.row_status[row]))
        if stream.status == RowStatus.LATER:
            stream.num_computed -= 1
            stream.status = RowStatus.FINE
        token = int(columns.sampled[row])
        if token < 0:
            return
        stream.output.append(token)
        if stream.num_logprobs >= 0:
            stream.told.append(
                Told(
                    token,
                    float(columns.logprob[row]),
                    int(columns.rank[row]),
                    columns.top_ids[row, : stream.num_logprobs].tolist(),
                    columns.top_logprobs[row, : stream.num_logprobs].tolist(),
                )
            )
