"""Linear layers, plain against every other way to keep their weights: microseconds a call, GB/s of weights, GFLOP/s.

    python benchmarks/linear_layers.py [--kinds packed,int8] [--shapes 1024x3072,...] [--rows 1,4,...] [--dtype float32]

Each shape is a set of distinct matrices that no cache holds. Ways and batch sizes take turns in each round, so that
whatever else the machine does meets them alike; shown is each one's best round, and beside it the ratio to plain as the
median of the rounds, with its spread.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import torch.nn.functional as F

from workers.linear.interface import LinearShape
from workers.linear.kinds import KINDS
from workers.pool import torch_dtype

PLAIN = "plain"
SHAPES = "1024x3072,1024x1024,3072x1024,896x9728,768x3072"
ROWS = "1,2,3,4,8,16,32,64,128,256"
Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Way:
    """One way to keep the matrices of a shape."""

    products: list[Product]
    num_bytes: int  # read of one matrix; for many rows compact layers read the packed copy


def ways_of(shape: LinearShape, kinds: list[str], total_bytes: int) -> dict[str, Way]:
    """The same matrices in each way; `total_bytes` of plain ones."""
    size = shape.in_features * shape.out_features * shape.dtype.itemsize
    weights = [
        torch.randn(shape.out_features, shape.in_features).mul_(shape.in_features**-0.5).to(shape.dtype)
        for _ in range(max(2, total_bytes // size))
    ]
    ways = {PLAIN: Way([partial(F.linear, weight=weight) for weight in weights], size)}
    for name in kinds:
        if obstacle := KINDS[name].obstacle(shape):
            print(f"{name}: {obstacle}")
            continue
        packed_bytes = KINDS[name].num_bytes(shape)
        read = packed_bytes - (KINDS["packed"].num_bytes(shape) if name == "compact" else 0)
        ways[name] = Way([opened(name, shape, weight, packed_bytes) for weight in weights], read)
    return ways


_rooms: list[object] = []  # layers do not keep the memory they lie on


def opened(name: str, shape: LinearShape, weight: torch.Tensor, num_bytes: int) -> Product:
    """The layer on memory as the weights segment has it: its start is that of a cache line."""
    room = np.zeros(num_bytes + 64, np.uint8)
    _rooms.append(room)
    target = memoryview(room[-room.ctypes.data % 64 :][:num_bytes])  # type: ignore[arg-type]
    return KINDS[name].open(target, KINDS[name].pack(weight, target), shape, None)


def times(ways: dict[str, Way], shape: LinearShape, rows: list[int], rounds: int) -> dict[tuple[str, int], list[float]]:
    """Seconds a call, of each way and number of rows in each round."""
    inputs = {count: torch.randn(count, shape.in_features).to(shape.dtype) for count in rows}
    found: dict[tuple[str, int], list[float]] = {(name, count): [] for count in rows for name in ways}
    for number in range(rounds + 1):
        for (name, count), seconds in found.items():
            products = ways[name].products
            some = products[: max(2, len(products) * 8 // max(8, count // 4))]  # many rows: fewer matrices will do
            began = time.perf_counter()
            for product in some:
                product(inputs[count])
            if number > 0:  # the first round faults memory in
                seconds.append((time.perf_counter() - began) / len(some))
    return found


def show(shape: LinearShape, ways: dict[str, Way], found: dict[tuple[str, int], list[float]]) -> None:
    """A line for each number of rows and way."""
    print(f"\n{shape.in_features} -> {shape.out_features} {str(shape.dtype).removeprefix('torch.')}")
    print(f"{'rows':>5} {'way':>8} {'us':>8} {'GB/s':>6} {'GFLOP/s':>8}   times as fast as plain (low..high)")
    for (name, count), seconds in found.items():
        best = min(seconds)
        flops = 2 * count * shape.in_features * shape.out_features
        row = f"{count:>5} {name:>8} {best * 1e6:>8.0f} {ways[name].num_bytes / best / 1e9:>6.1f}"
        ratios = [plain / own for plain, own in zip(found[PLAIN, count], seconds, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})" if name != PLAIN else ""
        print(f"{row} {flops / best / 1e9:>8.0f}   {spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--shapes", default=SHAPES, help="in x out features")
    parser.add_argument("--rows", default=ROWS)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=256, help="of plain weights for each shape")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [int(count) for count in options.rows.split(",")]
    for text in options.shapes.split(","):
        in_features, _, out_features = text.partition("x")
        shape = LinearShape(int(in_features), int(out_features), torch_dtype(options.dtype))
        with torch.inference_mode():
            ways = ways_of(shape, options.kinds.split(","), options.megabytes << 20)
            show(shape, ways, times(ways, shape, rows, options.rounds))


if __name__ == "__main__":
    main()
