"""Many sequences through the worker's decoder: decode first, prompts in what is left of the budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
from workers.decoder import Decoder


@dataclass
class Stream:
    """One sequence. Its pages follow one another from `first_page` on."""

    slot: int
    prompt: list[int]
    num_output: int
    first_page: int
    num_pages: int
    num_in_kv: int = 0
    num_drawn: int = 0

    @property
    def num_to_prefill(self) -> int:
        return max(0, len(self.prompt) - self.num_in_kv)

    @property
    def is_done(self) -> bool:
        return self.num_drawn >= self.num_output


def make_streams(sizes: Sequence[tuple[int, int]], block_size: int, vocab_size: int, seed: int = 0) -> list[Stream]:
    """Streams of random tokens for (prompt, output) lengths, each with pages for all of it."""
    source = np.random.default_rng(seed)
    streams: list[Stream] = []
    next_page = 0
    for slot, (num_prompt, num_output) in enumerate(sizes):
        prompt: list[int] = source.integers(0, vocab_size, num_prompt).tolist()
        num_pages = -(-(num_prompt + num_output) // block_size)
        streams.append(Stream(slot, prompt, num_output, next_page, num_pages))
        next_page += num_pages
    return streams


class DecoderLoop:
    """Computes streams to their end."""

    def __init__(self, decoder: Decoder, block_size: int, budget: int, temperature: float = 0.0) -> None:
        """`budget`: tokens of a step."""
        self._decoder = decoder
        self._block_size = block_size
        self._budget = budget
        self._temperature = temperature

    def step(self, streams: Sequence[Stream]) -> int:
        """One step of those that are not done; the tokens drawn, 0 when nothing is left to do."""
        rows = self._plan(streams)
        if not rows:
            return 0
        columns = self._columns(rows)
        self._decoder.run(columns)
        for (stream, num_new), drawn in zip(rows, columns.sampled.tolist(), strict=True):
            stream.num_in_kv += num_new
            stream.num_drawn += drawn >= 0
        return int((columns.sampled >= 0).sum())

    def _plan(self, streams: Sequence[Stream]) -> list[tuple[Stream, int]]:
        rows = [(stream, 1) for stream in streams if not stream.num_to_prefill and not stream.is_done]
        budget = self._budget - len(rows)
        for stream in streams:
            if budget > 0 and stream.num_to_prefill:
                rows.append((stream, min(budget, stream.num_to_prefill)))
                budget -= rows[-1][1]
        return rows

    def _columns(self, rows: Sequence[tuple[Stream, int]]) -> StepColumns:
        width = max(-(-(stream.num_in_kv + num_new) // self._block_size) for stream, num_new in rows)
        shape = StepShape(StepKind.GENERATE, len(rows), sum(num_new for _, num_new in rows), width)
        columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, 0, 0, shape))
        places = np.arange(width, dtype=np.int32)
        tokens: list[int] = []
        for row, (stream, num_new) in enumerate(rows):
            end = stream.num_in_kv + num_new
            columns.num_new[row], columns.start[row], columns.slot[row] = num_new, stream.num_in_kv, stream.slot
            columns.flags[row] = RowFlag.SAMPLE if end >= len(stream.prompt) else 0
            columns.block_tables[row] = stream.first_page + np.minimum(places, stream.num_pages - 1)
            columns.seed[row] = stream.slot
            tokens += stream.prompt[stream.num_in_kv : end] if stream.num_to_prefill else [FROM_LAST_TOKEN]
        columns.top_p[:] = 1.0
        columns.temperature[:] = self._temperature
        columns.num_logprobs[:] = -1
        columns.token_ids[:] = tokens
        return columns
