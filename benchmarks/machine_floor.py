"""What this machine could do at best: memory bandwidth, product rate, and the decode step that follows from them.

    python benchmarks/machine_floor.py [--threads 2] [--context 192]

No engine can decode faster than weights and KV cache can be read, nor than the products can be computed; how near the
engine comes is in docs/performance.md. The model is the one of engine_overhead.py.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numba
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.model_shapes import LLAMA_100M, LlamaShape

READ_BYTES = 1 << 30
CHUNKS = 64
ITEM_BYTES = {"bfloat16": 2, "float32": 4}


@numba.njit(parallel=True)
def _sum_chunks(values: Any, sums: Any) -> None:
    size = values.shape[0] // sums.shape[0]
    for chunk in numba.prange(sums.shape[0]):
        part = values[chunk * size : (chunk + 1) * size]
        total = np.uint64(0)
        for i in range(part.shape[0]):
            total += part[i]
        sums[chunk] = total


def best_seconds(work: Callable[[], object], repeats: int = 8) -> float:
    """The shortest of some runs, after one that is not counted."""
    work()
    times: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def read_bandwidth(threads: int) -> float:
    """Bytes a second of a plain sum over memory no cache holds."""
    numba.set_num_threads(threads)
    values, sums = np.ones(READ_BYTES // 8, np.uint64), np.empty(CHUNKS, np.uint64)
    return READ_BYTES / best_seconds(lambda: _sum_chunks(values, sums))


def product_rate(dtype: str, rows: int) -> float:
    """FLOP a second of torch's linear layer with `rows` rows, weights streamed from memory."""
    wide, narrow = 4096, 1024
    kind = getattr(torch, dtype)
    weights = [torch.randn(wide, narrow).to(kind) for _ in range(16)]  # more than the caches hold
    inputs = torch.randn(rows, narrow).to(kind)
    with torch.inference_mode():
        seconds = best_seconds(lambda: [F.linear(inputs, weight) for weight in weights])
    return 2 * rows * wide * narrow * len(weights) / seconds


def num_weights(shape: LlamaShape) -> int:
    """Weights a decode step reads: all layers, and the embeddings once, as the output layer."""
    head_dim = shape.hidden_size // shape.num_heads
    kv_size = shape.num_kv_heads * head_dim
    layer = shape.hidden_size * (2 * shape.hidden_size + 2 * kv_size + 3 * shape.ffn_size)
    return shape.num_layers * layer + shape.vocab_size * shape.hidden_size


def step_bytes(shape: LlamaShape, dtype: str, streams: int, context: int) -> int:
    """Bytes one decode step must read: weights once, and every stream's keys and values."""
    kv_size = shape.num_kv_heads * (shape.hidden_size // shape.num_heads)
    return ITEM_BYTES[dtype] * (num_weights(shape) + streams * context * shape.num_layers * 2 * kv_size)


def step_flops(shape: LlamaShape, streams: int, context: int) -> int:
    """Floating-point operations of one decode step."""
    return streams * (2 * num_weights(shape) + 4 * context * shape.num_layers * shape.hidden_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--context", type=int, default=192, help="tokens each stream has in the KV cache")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bandwidth = read_bandwidth(options.threads)
    print(f"{options.threads} threads; reading memory: {bandwidth / 1e9:.1f} GB/s")
    for dtype in ITEM_BYTES:
        rates = {rows: product_rate(dtype, rows) for rows in (1, 8, 32, 512)}
        shown = ", ".join(f"{rows} rows {rate / 1e9:.0f}" for rows, rate in rates.items())
        print(f"\n{dtype}: linear layer GFLOP/s: {shown}")
        print(f"{'streams':>8} {'MB read':>9} {'GFLOP':>7} {'floor ms':>9} {'floor tokens/s':>15}")
        for streams in (1, 8, 32):
            num_bytes = step_bytes(LLAMA_100M, dtype, streams, options.context)
            flops = step_flops(LLAMA_100M, streams, options.context)
            floor_s = max(num_bytes / bandwidth, flops / max(rates.values()))
            row = f"{streams:>8} {num_bytes / 1e6:>9.0f} {flops / 1e9:>7.2f}"
            print(f"{row} {floor_s * 1000:>9.1f} {streams / floor_s:>15.0f}")


if __name__ == "__main__":
    main()
