"""All linear layers of one token's step, kept in each way, in alternation: milliseconds, and GB/s of weights.

    python benchmarks/quantized_linear.py [--kinds packed,int8,int4] [--rows 1,8,32,256] [--layers 28] [--rounds 5]

The layers are those of a Qwen3 of 0.6 billion parameters, with a vocabulary of 32,768: what reads the same rows is one
product. Where there are many rows the head multiplies 32 of them at most. Attention, norms and sampling are not here.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

os.environ["GOMP_SPINCOUNT"] = "3000"  # as in a worker; said before torch is imported

import numpy as np
import torch

from workers.linear.interface import LinearLayer, LinearShape
from workers.linear.kinds import KINDS

LAYER = [(1024, 4096), (2048, 1024), (1024, 6144), (3072, 1024)]  # in and out: q/k/v, o, gate/up, down
HEAD = (1024, 32768)
_MOST_HEAD_ROWS = 32
_ALIGNMENT = 64


@dataclass
class KeptLayers:
    """A model's linear layers, with the memory they lie on."""

    layers: list[LinearLayer]
    memory: list["np.ndarray[tuple[int], np.dtype[np.uint8]]"]

    @property
    def num_bytes(self) -> int:
        return sum(room.nbytes for room in self.memory)


def keep(kind: str, num_layers: int) -> KeptLayers:
    """Layers with weights of one draw a shape, each on memory of its own."""
    kept, packed = KeptLayers([], []), dict[tuple[int, int], tuple[bytes, bytes]]()
    for sizes in LAYER * num_layers + [HEAD]:
        shape = LinearShape(*sizes, torch.bfloat16)
        num_bytes = KINDS[kind].num_bytes(shape)
        room = np.zeros(num_bytes + _ALIGNMENT, np.uint8)
        target = memoryview(room[-room.ctypes.data % _ALIGNMENT :][:num_bytes])  # type: ignore[arg-type]
        if sizes not in packed:
            weight = torch.randn(shape.out_features, shape.in_features).mul_(shape.in_features**-0.5).bfloat16()
            packed[sizes] = (KINDS[kind].pack(weight, target), bytes(target))
        metadata, content = packed[sizes]
        target[:] = content
        kept.layers.append(KINDS[kind].open(target, metadata, shape, None))
        kept.memory.append(room)
    return kept


def step_function(kept: KeptLayers, rows: int) -> Callable[[], None]:
    """Multiplies `rows` rows with every layer once."""
    inputs = {layer.in_features: torch.randn(rows, layer.in_features).bfloat16() for layer in kept.layers}

    def step() -> None:
        for layer in kept.layers[:-1]:
            layer(inputs[layer.in_features])
        head = kept.layers[-1]
        head(inputs[head.in_features][:_MOST_HEAD_ROWS])

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="packed,int8,int4")
    parser.add_argument("--rows", default="1,8,32,256")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kinds = options.kinds.split(",")
    with torch.inference_mode():
        kept = {kind: keep(kind, options.layers) for kind in kinds}
        for rows in map(int, options.rows.split(",")):
            steps = {kind: step_function(kept[kind], rows) for kind in kinds}
            seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
            for number in range(options.rounds + 1):
                for kind in kinds:
                    began = time.perf_counter()
                    steps[kind]()
                    if number > 0:  # the first round faults memory in
                        seconds[kind].append(time.perf_counter() - began)
            for kind in kinds:
                ratios = [first / own for first, own in zip(seconds[kinds[0]], seconds[kind], strict=True)]
                best = min(seconds[kind])
                speed = f"{best * 1e3:7.1f} ms, {kept[kind].num_bytes / best / 1e9:5.1f} GB/s"
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
                print(f"{rows:>4} rows {kind:>7}: {speed}, {spread} times as fast as {kinds[0]}", flush=True)


if __name__ == "__main__":
    main()
