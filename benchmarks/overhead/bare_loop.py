"""The bare batched forward loop: the worker's own decoder called in process, without scheduler, rings or HTTP.

    python -m benchmarks.overhead.bare_loop        (started by loop_process.py, which speaks to it in JSON lines)

It plans as the scheduler does (decode first, prefill chunks in what is left of the budget), so that both sides compute
the same steps: what the server adds is what is measured.
"""

import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from msgspec.structs import replace

from benchmarks.model_shapes import text_token_ids
from benchmarks.overhead.loop_process import serve_orders
from benchmarks.overhead.timeline import Rates, Timeline, rates
from benchmarks.overhead.workload import RunOrder, Workload, make_prompts
from ipc.config import LoaderConfig, ModelSpec
from ipc.kv_layout import kv_regions
from ipc.segments import Segment
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
from workers.compute_threads import use_threads
from workers.inspect_model import inspect_model
from workers.load_model import load_model
from workers.served_model import open_model


@dataclass
class BareStream:
    """One sequence: its prompt, its own pages, how far it is."""

    slot: int
    prompt: list[int]
    first_page: int
    num_in_kv: int = 0
    num_drawn: int = 0

    @property
    def num_to_prefill(self) -> int:
        return len(self.prompt) - self.num_in_kv


class BareLoop:
    """The model, mapped from segments as in a worker, and a loop over it."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._block_size = 16
        self._pages_each = -(-(workload.prompt_tokens + workload.output_tokens) // self._block_size)
        config = LoaderConfig(
            models=[ModelSpec("bare", workload.model_path)],
            dtype=workload.dtype,  # type: ignore[arg-type]  # the command line allows only what fits
            attention_backend=workload.attention,  # type: ignore[arg-type]
            threads=workload.threads,
            block_size=self._block_size,
        )
        torch.set_num_threads(workload.threads)
        card = inspect_model(0, config.models[0], workload.model_path, config)
        self._weights = Segment.create("bare weights", card.weights_bytes)
        card = load_model(card, self._weights.view, config, lambda done, total: None)
        card = replace(card, num_pages=workload.most_streams * self._pages_each)
        self._kv = Segment.create("bare kv", kv_regions(card)[1])
        self._model = open_model(card, self._weights.view, workload.most_streams, 0.0)
        self._model.use_pool(0, self._kv.view)
        use_threads(workload.threads)
        self._model.warm_up()
        self._text_ids = text_token_ids(Path(workload.model_path))
        gc.collect()
        gc.freeze()  # as a worker does

    def run(self, order: RunOrder) -> Rates:
        """Prefill and decode all streams of one run."""
        prompts = make_prompts(self._text_ids, order, self._workload.prompt_tokens)
        streams = [BareStream(i, prompt, i * self._pages_each) for i, prompt in enumerate(prompts)]
        timeline = Timeline(time.perf_counter())
        while rows := self._plan(streams, order.output_tokens):
            columns = self._columns(rows)
            self._model.run(columns)
            now = time.perf_counter()
            for (stream, num_new), drawn in zip(rows, columns.sampled.tolist(), strict=True):
                stream.num_in_kv += num_new
                if drawn >= 0:
                    stream.num_drawn += 1
                    timeline.add(now, stream.slot, 1)
        return rates(timeline, order.num_streams, order.output_tokens)

    def _plan(self, streams: Sequence[BareStream], output_tokens: int) -> list[tuple[BareStream, int]]:
        """The rows of the next step, each with its number of new tokens; empty when all is done."""
        decoding = [s for s in streams if s.num_to_prefill <= 0 and s.num_drawn < output_tokens]
        rows = [(stream, 1) for stream in decoding]
        budget = self._workload.max_num_batched_tokens - len(rows)
        for stream in streams:
            if budget > 0 and stream.num_to_prefill > 0:
                num_new = min(budget, stream.num_to_prefill)
                rows.append((stream, num_new))
                budget -= num_new
        return rows

    def _columns(self, rows: Sequence[tuple[BareStream, int]]) -> StepColumns:
        ends = [stream.num_in_kv + num_new for stream, num_new in rows]
        width = -(-max(ends) // self._block_size)
        shape = StepShape(StepKind.GENERATE, len(rows), sum(num_new for _, num_new in rows), width)
        columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, 0, 0, shape))
        slots = np.array([stream.slot for stream, _ in rows], np.int32)
        columns.num_new[:] = [num_new for _, num_new in rows]
        columns.start[:] = [stream.num_in_kv for stream, _ in rows]
        columns.slot[:] = slots
        samples = [end >= len(stream.prompt) for (stream, _), end in zip(rows, ends, strict=True)]
        columns.flags[:] = np.where(samples, RowFlag.SAMPLE, 0)
        columns.top_p[:] = 1.0
        columns.num_logprobs[:] = -1
        pages = np.minimum(np.arange(width, dtype=np.int32), self._pages_each - 1)
        columns.block_tables[:] = slots[:, None] * self._pages_each + pages
        columns.token_ids[:] = [token for stream, num_new in rows for token in _tokens(stream, num_new)]
        return columns


def _tokens(stream: BareStream, num_new: int) -> list[int]:
    if stream.num_to_prefill <= 0:
        return [FROM_LAST_TOKEN]
    return stream.prompt[stream.num_in_kv : stream.num_in_kv + num_new]


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    sys.exit(serve_orders(lambda workload: BareLoop(workload).run))
