"""What a shared prompt beginning saves: the first token of a second request beside that of the first one.

    python benchmarks/prefix_cache.py [--prefix-tokens 1000] [--own-tokens 16] [--rounds 10]

Each round has a new beginning, as a system prompt would be, and two requests that continue it differently, one after
the other on an idle server. The floor of the second is one step of its own tokens; what is above is HTTP, scheduling
and waking up.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import msgspec
import uvloop
from msgspec import Struct

from benchmarks.model_shapes import LLAMA_100M, default_model_dir, make_llama, text_token_ids
from benchmarks.overhead.server_process import MODEL, ServerProcess
from benchmarks.overhead.workload import RunOrder, Workload, make_prompts

TIMEOUT_S = 120.0
OUTPUT_TOKENS = 2


class Round(Struct, frozen=True):
    """Seconds from sending a request to its first token."""

    first: float
    second: float
    cached_tokens: int  # of the second one's prompt


async def _first_token(session: aiohttp.ClientSession, prompt: list[int]) -> tuple[float, int]:
    """Seconds, and cached tokens. Raises RuntimeError for a refused request or an answer without text or usage."""
    body = {
        "model": MODEL,
        "prompt": prompt,
        "max_tokens": OUTPUT_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, usage = time.perf_counter(), None, None
    headers = {"Content-Type": "application/json"}
    async with session.post("/v1/completions", data=msgspec.json.encode(body), headers=headers) as response:
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}: {await response.text()}")
        async for line in response.content:
            if line.startswith(b"data: {"):
                first = first or time.perf_counter() - began
                usage = msgspec.json.decode(line[6:]).get("usage") or usage
    if first is None or usage is None:
        raise RuntimeError("the answer has no text or no usage")
    return first, int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)


async def _measure(url: str, text_ids: list[int], options: argparse.Namespace) -> list[Round]:
    rounds: list[Round] = []
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        for seed in range(options.rounds + 1):
            beginning = make_prompts(text_ids, RunOrder(1, 0, 3 * seed), options.prefix_tokens)[0]
            own = [make_prompts(text_ids, RunOrder(1, 0, 3 * seed + i), options.own_tokens)[0] for i in (1, 2)]
            first, _ = await _first_token(session, beginning + own[0])
            second, cached = await _first_token(session, beginning + own[1])
            rounds.append(Round(first, second, cached))
            print(f"first {first:.3f} s, second {second:.3f} s, {cached} tokens cached", file=sys.stderr, flush=True)
    return rounds[1:]  # the first round warmed up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix-tokens", type=int, default=1000)
    parser.add_argument("--own-tokens", type=int, default=16, help="of each request, after the beginning they share")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--model", type=Path, help="a model's folder; default: the 100M Llama, made on first use")
    parser.add_argument("--model-dir", type=Path, default=default_model_dir(), help="where made models are kept")
    options = parser.parse_args()
    workload = Workload(
        model_path=str(options.model or make_llama(LLAMA_100M, options.dtype, options.model_dir)),
        dtype=options.dtype,
        attention="auto",
        threads=len(os.sched_getaffinity(0)),
        max_num_batched_tokens=512,
        prompt_tokens=options.prefix_tokens + options.own_tokens,
        output_tokens=OUTPUT_TOKENS,
        most_streams=4,
    )
    with contextlib.closing(ServerProcess(workload)) as server:
        rounds = uvloop.run(_measure(server.url, text_token_ids(Path(workload.model_path)), options))
    ratios = [round_.first / round_.second for round_ in rounds]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    print(f"{options.prefix_tokens} tokens shared, {options.own_tokens} of its own; {rounds[-1].cached_tokens} cached")
    print(f"first request: {statistics.median(round_.first for round_ in rounds) * 1e3:.0f} ms to the first token")
    print(f"second: {statistics.median(round_.second for round_ in rounds) * 1e3:.1f} ms")
    print(f"ratio {middle:.1f} (quartiles {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
