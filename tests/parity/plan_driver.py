"""Plays the scheduler for one model in the same process: chunks, scattered pages, mixed batches, a prefix cache.

Small on purpose and written apart from the real scheduler, so that a mistake in one is not a mistake in both.
"""

import random
from dataclasses import dataclass, field

from ipc.model_card import ModelCard
from ipc.step_layout import (
    FROM_LAST_TOKEN,
    RowFlag,
    StepColumns,
    StepHeader,
    StepKind,
    StepShape,
    step_bytes,
    write_header,
)
from workers.served_model import ServedModel


def make_columns(shape: StepShape, model: int = 0) -> StepColumns:
    """Columns on fresh private memory: greedy, no filters, no rules, no log-probabilities."""
    columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(1, model, 1, shape))
    columns.top_p[:] = 1.0
    columns.num_logprobs[:] = -1
    columns.next_token[:] = -1
    return columns


@dataclass
class Stream:
    prompt: list[int]
    slot: int
    pages: list[int]
    num_computed: int = 0
    output: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.output


class PlanDriver:
    """Runs streams to their end, decode first, prefill chunks with what is left of the budget."""

    def __init__(self, model: ServedModel, card: ModelCard, budget: int = 64, seed: int = 0) -> None:
        self._model = model
        self._card = card
        self._budget = budget
        self._random = random.Random(seed)
        self._free = list(range(card.num_pages))
        self._random.shuffle(self._free)  # neighbours in a stream are never neighbours in memory
        self._cache: dict[tuple[int, ...], int] = {}  # all tokens up to a page's end -> the page
        self.num_cached_tokens = 0
        self.num_steps = 0

    def run(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        """Greedy continuations of all prompts, computed together."""
        streams = [self._admit(prompt, slot, num_tokens) for slot, prompt in enumerate(prompts)]
        while any(len(stream.output) < num_tokens for stream in streams):
            self._step([stream for stream in streams if len(stream.output) < num_tokens])
        return [stream.output for stream in streams]

    def _admit(self, prompt: list[int], slot: int, num_tokens: int) -> Stream:
        size = self._card.block_size
        stream = Stream(prompt, slot, [])
        for end in range(size, len(prompt), size):  # the last token is always computed, for its logits
            page = self._cache.get(tuple(prompt[:end]))
            if page is None:
                break
            stream.pages.append(page)
            stream.num_computed = end
        self.num_cached_tokens += stream.num_computed
        while len(stream.pages) * size < len(prompt) + num_tokens:
            stream.pages.append(self._free.pop())
        return stream

    def _step(self, streams: list[Stream]) -> None:
        plan = self._plan(streams)
        self._random.shuffle(plan)  # rows of all kinds in any order
        shape = StepShape(
            StepKind.GENERATE, len(plan), sum(count for _, count in plan), max(len(s.pages) for s, _ in plan)
        )
        columns = make_columns(shape)
        first = 0
        for row, (stream, count) in enumerate(plan):
            self._write_row(columns, row, first, stream, count)
            first += count
        self._model.run(columns)
        self.num_steps += 1
        for row, (stream, count) in enumerate(plan):
            stream.num_computed += count
            self._remember(stream)
            if columns.sampled[row] >= 0:
                stream.output.append(int(columns.sampled[row]))

    def _plan(self, streams: list[Stream]) -> list[tuple[Stream, int]]:
        left = self._budget
        plan: list[tuple[Stream, int]] = []
        for stream in sorted(streams, key=lambda s: len(s.tokens) - s.num_computed > 1):
            count = min(left, len(stream.tokens) - stream.num_computed)
            if count > 0:
                plan.append((stream, count))
                left -= count
        return plan

    def _write_row(self, columns: StepColumns, row: int, first: int, stream: Stream, count: int) -> None:
        start = stream.num_computed
        columns.num_new[row] = count
        columns.start[row] = start
        columns.slot[row] = stream.slot
        columns.flags[row] = RowFlag.SAMPLE if start + count == len(stream.tokens) else 0
        columns.token_ids[first : first + count] = stream.tokens[start : start + count]
        if start >= len(stream.prompt) and self._random.random() < 0.5:  # as if it were not committed yet
            columns.token_ids[first] = FROM_LAST_TOKEN
        columns.block_tables[row] = -1  # what lies behind a row's pages must not matter
        columns.block_tables[row, : len(stream.pages)] = stream.pages

    def _remember(self, stream: Stream) -> None:
        size = self._card.block_size
        for end in range(size, min(stream.num_computed, len(stream.prompt)) + 1, size):
            self._cache.setdefault(tuple(stream.prompt[:end]), stream.pages[end // size - 1])
