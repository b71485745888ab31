"""Decoding at batch 1, 8, 64 and 256 as a share of memory bandwidth, beside a plain transformers loop.

    python -m benchmarks.gpu.decode_bandwidth                              # needs a GPU
    python -m benchmarks.gpu.decode_bandwidth --device cpu --tiny --batches 1,4    # only to see that it runs

A step must read every weight and every stream's keys and values once. Bandwidth is what a copy within the device's
memory reaches here (it reads and writes, so bytes count twice).
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from benchmarks.gpu import transformers_sides
from benchmarks.gpu.decoder_loop import DecoderLoop, make_streams
from benchmarks.gpu.random_model import QWEN3_600M, TINY, Shape, make_qwen3, open_on

BLOCK_SIZE = 256
BUDGET = 8192
BYTES = 2  # of a bfloat16
COPY_BYTES = {"cuda": 1 << 30, "cpu": 1 << 24}
SKIPPED = 4  # first decode steps: graphs are made and caches are cold


def main(arguments: Sequence[str]) -> int:
    """Runs all batches; the exit code."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    shape = TINY if options.tiny else QWEN3_600M
    folder = make_qwen3(shape, options.model_dir / ("tiny" if options.tiny else "qwen3-600m"))
    bandwidth = _bandwidth(device)
    print(f"copying reaches {bandwidth / 1e9:.0f} GB/s", flush=True)
    model = transformers_sides.load(folder, device)
    weights = sum(parameter.numel() for parameter in model.parameters()) * BYTES  # the tied embedding counts once
    for batch in map(int, options.batches.split(",")):
        context = options.prompt + options.steps // 2
        read = weights + batch * context * shape.num_layers * 2 * shape.num_kv_heads * shape.head_dim * BYTES
        for side, seconds in (
            ("ours", _ours(options, device, folder, shape, batch)),
            ("plain transformers", _plain(model, options, shape, batch)),
        ):
            rate = f"{batch / seconds:.0f} tokens/s, {seconds * 1000:.2f} ms a step"
            print(f"batch {batch}: {side}: {rate}, {read / seconds / bandwidth:.0%} of the bandwidth", flush=True)
    return 0


def _ours(options: argparse.Namespace, device: torch.device, folder: Path, shape: Shape, batch: int) -> float:
    """Median seconds of a decode step."""
    sizes = [(options.prompt, options.steps + SKIPPED)] * batch
    num_tokens = batch * -(-(options.prompt + options.steps + SKIPPED) // BLOCK_SIZE) * BLOCK_SIZE
    loop = DecoderLoop(open_on(device, folder, BLOCK_SIZE, num_tokens, batch), BLOCK_SIZE, BUDGET)
    streams = make_streams(sizes, BLOCK_SIZE, shape.vocab_size)
    seconds: list[float] = []
    while any(not stream.is_done for stream in streams):
        only_decodes = all(not stream.num_to_prefill for stream in streams)
        began = time.perf_counter()
        loop.step(streams)
        if only_decodes:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[SKIPPED:])


@torch.inference_mode()
def _plain(model: Any, options: argparse.Namespace, shape: Shape, batch: int) -> float:
    """Median seconds of a decode step: transformers' cache grows by a copy in each."""
    tokens = torch.randint(0, shape.vocab_size, (batch, options.prompt), device=model.device)
    cache = DynamicCache(config=model.config)
    seconds: list[float] = []
    for _ in range(options.steps + SKIPPED):
        began = time.perf_counter()
        output = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)
        tokens.cpu()  # waits for the device
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[SKIPPED:])


def _bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written."""
    count = COPY_BYTES[device.type]
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        target.copy_(source)
        target[:1].cpu()
        best = max(best, 2 * count / (time.perf_counter() - began))
    return best


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model-dir", type=Path, default=Path("/tmp/zerolane-gpu-models"))
    parser.add_argument("--tiny", action="store_true", help="a model of two small layers")
    parser.add_argument("--batches", default="1,8,64,256", help="default: %(default)s")
    parser.add_argument("--prompt", type=int, default=512, help="tokens in the cache before")
    parser.add_argument("--steps", type=int, default=64)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
