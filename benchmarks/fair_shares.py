"""What one user's many requests do to another user's few: the latency of the few, beside the many, over being alone.

    python benchmarks/fair_shares.py [--times 10] [--slots 4] [--rounds 5] [--json FILE]

The calm user sends one request after the other; the busy one keeps --times as many open all the time. Prompts are new
each time. Alone, crowded and crowded without fair shares alternate, so that a slow moment of the machine meets all.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import msgspec
import uvloop
from msgspec import Struct

from benchmarks.model_shapes import LLAMA_100M, default_model_dir, make_llama, text_token_ids
from benchmarks.overhead.server_process import MODEL, ServerProcess
from benchmarks.overhead.workload import RunOrder, Workload, make_prompts

TIMEOUT_S = 600.0


class Round(Struct, frozen=True):
    """Mean seconds of the calm user's requests, from sending to the last byte."""

    alone: float
    crowded: float
    crowded_unfair: float


class Client:
    """Asks one server; every prompt is new."""

    def __init__(self, session: aiohttp.ClientSession, workload: Workload, text_ids: list[int], seed: int) -> None:
        self._session = session
        self._workload = workload
        self._text_ids = text_ids
        self._seed = seed * 1_000_000

    async def ask(self, user: str) -> float:
        """Seconds one request took. Raises RuntimeError when it is not answered in full."""
        self._seed += 1
        order = RunOrder(1, self._workload.output_tokens, self._seed)
        body = {
            "model": MODEL,
            "prompt": make_prompts(self._text_ids, order, self._workload.prompt_tokens)[0],
            "max_tokens": self._workload.output_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "user": user,
        }
        began = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        async with self._session.post("/v1/completions", data=msgspec.json.encode(body), headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {await response.text()}")
            await response.read()
        return time.perf_counter() - began

    async def _ask_for_ever(self) -> None:
        while True:
            await self.ask("busy")

    @contextlib.asynccontextmanager
    async def crowd(self, size: int) -> AsyncIterator[None]:
        """The busy user has `size` requests open meanwhile."""
        tasks = [asyncio.create_task(self._ask_for_ever()) for _ in range(size)]
        await self.ask("busy")  # the others have begun, too
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _mean(client: Client, num_requests: int) -> float:
    return statistics.mean([await client.ask("calm") for _ in range(num_requests)])


async def _measure(fair: str, unfair: str, workload: Workload, options: argparse.Namespace) -> list[Round]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    text_ids = text_token_ids(Path(workload.model_path))
    async with contextlib.AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(
                aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
            )
            for url in (fair, unfair)
        ]
        one, other = (Client(session, workload, text_ids, seed) for seed, session in enumerate(sessions, 1))
        await one.ask("calm")
        await other.ask("calm")
        rounds: list[Round] = []
        for _ in range(options.rounds):
            alone = await _mean(one, options.requests)
            async with one.crowd(options.times):
                crowded = await _mean(one, options.requests)
            async with other.crowd(options.times):
                crowded_unfair = await _mean(other, options.requests)
            rounds.append(Round(alone, crowded, crowded_unfair))
            say(f"alone {alone:.3f} s, crowded {crowded:.3f} s, without fair shares {crowded_unfair:.3f} s")
        return rounds


def say(text: str) -> None:
    """Progress; standard output has the result only."""
    print(text, file=sys.stderr, flush=True)


def _ratio(name: str, ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{name}: {middle:.2f} times the latency of being alone (quartiles {low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="open requests of the busy user")
    parser.add_argument("--slots", type=int, default=4, help="--max-num-seqs of the server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3, help="of the calm user, in each part of a round")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--output-tokens", type=int, default=32)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--model-dir", type=Path, default=default_model_dir(), help="where made models are kept")
    parser.add_argument("--json", type=Path, help="write all rounds here too")
    options = parser.parse_args()
    workload = Workload(
        model_path=str(make_llama(LLAMA_100M, options.dtype, options.model_dir)),
        dtype=options.dtype,
        attention="auto",
        threads=len(os.sched_getaffinity(0)),
        max_num_batched_tokens=512,
        prompt_tokens=options.prompt_tokens,
        output_tokens=options.output_tokens,
        most_streams=options.slots,
    )
    with contextlib.ExitStack() as stack:
        say("starting a server with fair shares and one without")
        servers = [ServerProcess(workload), ServerProcess(workload, ["--no-fair-shares"])]
        for server in servers:
            stack.callback(server.close)
        rounds = uvloop.run(_measure(servers[0].url, servers[1].url, workload, options))
    print(f"{options.times} requests of another user all the time, {options.slots} slots")
    print(_ratio("with fair shares", [one.crowded / one.alone for one in rounds]))
    print(_ratio("without", [one.crowded_unfair / one.alone for one in rounds]))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(rounds)))


if __name__ == "__main__":
    main()
