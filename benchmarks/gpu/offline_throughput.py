"""The nano-vllm workload: 256 requests at once, 100 to 1,024 tokens in and out, a Qwen3-0.6B with random weights.

    python -m benchmarks.gpu.offline_throughput                  # needs a GPU; 40 GiB of its memory
    python -m benchmarks.gpu.offline_throughput --temperature 0.6    # as nano-vllm draws; ours then draws on the host
    python -m benchmarks.gpu.offline_throughput --device cpu --tiny --requests 4    # only to see that it runs

In process on all sides: no HTTP. The sides alternate; greedy, so that no side pays for drawing.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.gpu import transformers_sides
from benchmarks.gpu.decoder_loop import DecoderLoop, make_streams
from benchmarks.gpu.random_model import QWEN3_600M, TINY, Shape, make_qwen3, open_on

BLOCK_SIZE = 256  # the paged kernel may take no smaller pages
BUDGET = 16_384  # tokens of a step, nano-vllm's
SHORTEST, LONGEST = 100, 1024
SIDES = ("ours", "plain", "continuous")


def main(arguments: Sequence[str]) -> int:
    """Runs all sides; the exit code."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    shape = TINY if options.tiny else QWEN3_600M
    folder = make_qwen3(shape, options.model_dir / ("tiny" if options.tiny else "qwen3-600m"))
    sizes = _sizes(options.requests, options.seed, shape.max_model_len)
    num_tokens = sum(num_output for _, num_output in sizes)
    runs = {side: _side(side, options, device, folder, shape, sizes) for side in options.sides.split(",")}
    for number in range(options.runs):
        for side, run in runs.items():
            began = time.perf_counter()
            run()
            seconds = time.perf_counter() - began
            print(f"run {number}: {side}: {num_tokens / seconds:.0f} output tokens/s ({seconds:.1f} s)", flush=True)
    return 0


def _sizes(num_requests: int, seed: int, max_model_len: int) -> list[tuple[int, int]]:
    source = random.Random(seed)
    longest = min(LONGEST, max_model_len // 2)
    shortest = min(SHORTEST, longest)
    return [(source.randint(shortest, longest), source.randint(shortest, longest)) for _ in range(num_requests)]


def _side(
    side: str,
    options: argparse.Namespace,
    device: torch.device,
    folder: Path,
    shape: Shape,
    sizes: list[tuple[int, int]],
) -> Callable[[], None]:
    """Opens a side; what it gives computes the whole workload once."""
    if side == "ours":
        num_tokens = sum(-(-(a + b) // BLOCK_SIZE) * BLOCK_SIZE for a, b in sizes)
        decoder = open_on(device, folder, BLOCK_SIZE, num_tokens, len(sizes))
        loop = DecoderLoop(decoder, BLOCK_SIZE, BUDGET, options.temperature)

        def ours() -> None:
            streams = make_streams(sizes, BLOCK_SIZE, shape.vocab_size, options.seed)
            while loop.step(streams):
                pass

        return ours
    wanted = [(s.prompt, s.num_output) for s in make_streams(sizes, BLOCK_SIZE, shape.vocab_size, options.seed)]
    if side == "plain":
        model = transformers_sides.load(folder, device)
        return lambda: transformers_sides.plain_batches(model, wanted, options.batch)
    paged = transformers_sides.load(folder, device, "paged|sdpa")
    return lambda: print("  tokens that came back:", transformers_sides.continuous_batching(paged, wanted))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model-dir", type=Path, default=Path("/tmp/zerolane-gpu-models"))
    parser.add_argument("--tiny", action="store_true", help="a model of two small layers")
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=0.0, help="of our side")
    parser.add_argument("--batch", type=int, default=64, help="of the plain transformers loop")
    parser.add_argument("--sides", default=",".join(SIDES), help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
