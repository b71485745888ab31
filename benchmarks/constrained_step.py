"""What a grammar costs: a decode step of constrained streams over the same step of free ones.

    python benchmarks/constrained_step.py [--streams 16] [--steps 200] [--dtype bfloat16] [--threads 2]

The worker's own decoder, in this process, with the 110-million-parameter Llama of the other benchmarks. Three groups of
streams of equal length decode in turns: free, constrained by JSON schemas, and free again, which shows what the machine
does by itself. Ratios are those of steps that were computed one right after the other.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher
from msgspec.structs import replace

from benchmarks.model_shapes import LLAMA_100M, default_model_dir, make_llama, text_token_ids
from ipc.config import LoaderConfig, ModelSpec
from ipc.kv_layout import kv_regions
from ipc.step_layout import (
    FROM_LAST_TOKEN,
    RowFlag,
    RowStatus,
    StepColumns,
    StepHeader,
    StepKind,
    StepShape,
    step_bytes,
    write_header,
)
from ipc.token_rules import TokenRules, encode_rules
from workers.compute_threads import use_threads
from workers.decoder import Decoder
from workers.inspect_model import inspect_model
from workers.load_model import load_model

PROMPT_TOKENS = 64
BLOCK_SIZE = 16
WARM_UP_STEPS = 8
GROUPS = ("free", "constrained", "free again")
_ITEMS: list[dict[str, Any]] = [
    {"name": {"type": "string"}, "count": {"type": "integer"}, "kind": {"enum": ["red", "green", "blue"]}},
    {"title": {"type": "string", "maxLength": 30}, "tags": {"type": "array", "items": {"type": "string"}}},
    {"x": {"type": "number"}, "y": {"type": "number"}, "visible": {"type": "boolean"}},
    {"when": {"type": "string", "format": "date-time"}, "by": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
]


def grammars() -> list[str]:
    """Lists of objects, so long that no stream comes to their end."""
    items = [{"type": "object", "properties": item, "required": list(item)} for item in _ITEMS]
    return [LLMatcher.grammar_from_json_schema({"type": "array", "items": item, "minItems": 2000}) for item in items]


@dataclass
class Group:
    """Streams that decode together; their slots and pages follow `first`."""

    first: int
    is_constrained: bool
    prompts: list[list[int]]
    outputs: list[list[int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each decode step


class Benchmark:
    """The decoder, and groups of `num_streams` streams that make `num_steps` steps."""

    def __init__(self, path: Path, dtype: str, threads: int, num_streams: int, num_steps: int) -> None:
        config = LoaderConfig(
            models=[ModelSpec("bare", str(path))],
            dtype=dtype,  # type: ignore[arg-type]  # the command line allows only what fits
            threads=threads,
            block_size=BLOCK_SIZE,
        )
        card = inspect_model(0, config.models[0], str(path), config)
        self._weights = bytearray(card.weights_bytes)
        card = load_model(card, memoryview(self._weights), config, lambda done, total: None)
        self._pages_each = -(-(PROMPT_TOKENS + num_steps + 1) // BLOCK_SIZE)
        card = replace(card, num_pages=len(GROUPS) * num_streams * self._pages_each)
        self._kv = bytearray(kv_regions(card)[1])
        self._decoder = Decoder(card, memoryview(self._weights), len(GROUPS) * num_streams)
        self._decoder.use_pool(0, memoryview(self._kv))
        blobs = [encode_rules(TokenRules(grammar=grammar)) for grammar in grammars()]
        self._num_rules = len(blobs)
        self._decoder.use_rules(lambda words: blobs[int(words[0])])
        use_threads(threads)
        self._decoder.warm_up()
        source, text_ids = np.random.default_rng(0), text_token_ids(path)
        self.groups = [
            Group(
                place * num_streams,
                name == "constrained",
                source.choice(text_ids, (num_streams, PROMPT_TOKENS)).tolist(),
            )
            for place, name in enumerate(GROUPS)
        ]

    def run(self, num_steps: int) -> None:
        """Prefill all, then decode in turns; every other round the other way round."""
        for group in self.groups:
            group.outputs = [[token] for token in self._step(group, 0)]
        for number in range(1, num_steps):
            for group in self.groups if number % 2 else reversed(self.groups):
                began = time.perf_counter()
                tokens = self._step(group, number)
                group.seconds.append(time.perf_counter() - began)
                for output, token in zip(group.outputs, tokens, strict=True):
                    output.append(token)

    def _step(self, group: Group, number: int) -> list[int]:
        columns = self._columns(group, number)
        self._decoder.run(columns)
        while (columns.row_status == RowStatus.LATER).any():  # its grammar is not compiled yet
            self._decoder.run(columns)
        if (columns.row_status != RowStatus.FINE).any():
            raise RuntimeError(f"rows failed: {columns.row_status.tolist()}")
        tokens: list[int] = columns.sampled.tolist()
        return tokens

    def _columns(self, group: Group, number: int) -> StepColumns:
        count, start = (PROMPT_TOKENS, 0) if number == 0 else (1, PROMPT_TOKENS + number - 1)
        num_rows = len(group.prompts)
        history = num_rows * start if group.is_constrained else 0
        shape = StepShape(StepKind.GENERATE, num_rows, num_rows * count, self._pages_each, num_history=history)
        columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, 0, 0, shape))
        rows: npt.NDArray[np.int64] = group.first + np.arange(num_rows)
        columns.num_new[:], columns.start[:], columns.slot[:] = count, start, rows
        columns.flags[:] = RowFlag.SAMPLE
        columns.temperature[:], columns.top_p[:], columns.seed[:] = 1.0, 1.0, rows
        columns.num_prompt[:], columns.num_logprobs[:], columns.serial[:] = PROMPT_TOKENS, -1, rows + 1
        columns.token_ids[:] = np.concatenate(group.prompts) if number == 0 else FROM_LAST_TOKEN
        columns.block_tables[:] = rows[:, None] * self._pages_each + np.arange(self._pages_each)
        if group.is_constrained:
            columns.rules_id[:] = 1 + rows % self._num_rules
            columns.rules_handle[:, 0] = rows % self._num_rules
            if number:
                known = [prompt + output[:-1] for prompt, output in zip(group.prompts, group.outputs, strict=True)]
                columns.history[:] = np.concatenate(known)
        return columns


def quartiles(values: Sequence[float]) -> str:
    """Median, and the first and third quartile."""
    first, middle, third = statistics.quantiles(values, n=4)
    return f"{middle:.3f} ({first:.3f} to {third:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--model-dir", type=Path, default=default_model_dir(), help="where made models are kept")
    parser.add_argument("--json", type=Path, help="write the seconds of all steps here too")
    options = parser.parse_args()
    path = make_llama(LLAMA_100M, options.dtype, options.model_dir)
    benchmark = Benchmark(path, options.dtype, options.threads, options.streams, options.steps)
    benchmark.run(options.steps)
    seconds = {name: group.seconds[WARM_UP_STEPS:] for name, group in zip(GROUPS, benchmark.groups, strict=True)}
    setting = f"{options.streams} streams, {options.dtype}, {options.threads} threads"
    print(f"{setting}; median (quartiles) of {options.steps} steps")
    for name, own in seconds.items():
        ratios = [mine / free for mine, free in zip(own, seconds["free"], strict=True)]
        print(f"{name:>12}: {quartiles([1000 * one for one in own])} ms, {quartiles(ratios)} of a free step")
    if options.json:
        options.json.write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
