"""The overhead benchmark's sides start, compute the same amount and are compared, on a very small model."""

import contextlib
from pathlib import Path

import pytest

from benchmarks.engine_overhead import Benchmark
from benchmarks.model_shapes import LlamaShape, make_llama
from benchmarks.overhead.report import report
from benchmarks.overhead.workload import Workload

pytestmark = pytest.mark.process

TINY = LlamaShape("tiny", num_layers=2, hidden_size=64, num_heads=4, num_kv_heads=2, ffn_size=64, vocab_size=600)


def test_bare_loop_and_server_are_compared(tmp_path: Path) -> None:
    workload = Workload(
        model_path=str(make_llama(TINY, "float32", tmp_path)),
        dtype="float32",
        attention="reference",
        threads=1,
        max_num_batched_tokens=32,
        prompt_tokens=20,
        output_tokens=24,
        most_streams=3,
    )
    with contextlib.ExitStack() as stack:
        comparison = Benchmark(workload, False, stack).compare(num_streams=3, repeats=1)
    assert len(comparison.bare) == len(comparison.server) == 1
    assert comparison.decode_ratio.median > 0
    assert {"worker", "scheduler", "frontend", "supervisor", "client"} <= comparison.server[0].cpu_s.keys()
    assert "whole run" in report(workload, [comparison])
