"""What the engine around the model costs: streamed tokens/s through HTTP over tokens/s of the bare forward loop.

    python benchmarks/engine_overhead.py [--streams 1,8,32] [--dtype bfloat16] [--repeats 3] [--json FILE]

A 110-million-parameter Llama with random weights is made once. The bare loop calls the worker's own decoder in a
process of its own; the other side is the real server, asked over HTTP by this program, which shares the machine with
it. Both compute the same steps. Runs alternate, so that a slow moment of the machine meets both.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from benchmarks.model_shapes import LLAMA_100M, default_model_dir, make_llama, text_token_ids
from benchmarks.overhead.comparison import BareRun, Comparison, ServerRun
from benchmarks.overhead.http_streams import run_streams
from benchmarks.overhead.loop_process import LoopProcess
from benchmarks.overhead.process_cpu import machine_seconds, process_seconds, role_seconds
from benchmarks.overhead.report import report
from benchmarks.overhead.server_process import ServerProcess
from benchmarks.overhead.timeline import Rates
from benchmarks.overhead.workload import RunOrder, Workload, make_prompts

WARM_UP_TOKENS = 16


class Benchmark:
    """All sides, running; close it through `stack`."""

    def __init__(self, workload: Workload, with_transformers: bool, stack: contextlib.ExitStack) -> None:
        self._workload = workload
        self._text_ids = text_token_ids(Path(workload.model_path))
        self._seed = 0
        self._bare = self._loop("benchmarks.overhead.bare_loop", stack)
        self._transformers = self._loop("benchmarks.overhead.transformers_loop", stack) if with_transformers else None
        self._server = ServerProcess(workload, ["--target-step-time=0", "--prompt-steps=0"])
        stack.callback(self._server.close)

    def compare(self, num_streams: int, repeats: int) -> Comparison:
        """Runs of all sides in turn."""
        comparison = Comparison(num_streams, [], [], [])
        workload = self._workload
        # The first stream must still decode when the last one's prefill is done, or there is no window to measure in.
        prefill_steps = -(-num_streams * workload.prompt_tokens // workload.max_num_batched_tokens)
        warm_up_tokens = 2 * prefill_steps + WARM_UP_TOKENS
        for number, output_tokens in enumerate([warm_up_tokens] + repeats * [workload.output_tokens]):
            self._seed += 1  # new prompts: nothing is found in the prefix cache
            order = RunOrder(num_streams, output_tokens, self._seed)
            bare, server = self._run_loop(self._bare, order), self._run_server(order)
            plain = self._run_loop(self._transformers, order) if self._transformers is not None else None
            if number == 0:
                continue
            comparison.bare.append(bare)
            comparison.server.append(server)
            if plain is not None:
                comparison.transformers.append(plain)
            say(
                f"{num_streams} streams: bare {bare.rates.decode:.1f}, HTTP {server.rates.decode:.1f} tokens/s decoding"
                f" (others used {bare.foreign_cores:.2f} and {server.foreign_cores:.2f} cores)"
            )
        return comparison

    def _loop(self, module: str, stack: contextlib.ExitStack) -> LoopProcess:
        loop = LoopProcess(module, self._workload)
        stack.callback(loop.close)
        return loop

    def _run_loop(self, loop: LoopProcess, order: RunOrder) -> BareRun:
        rates, spent, foreign = _measured(lambda: loop.run(order), lambda: {"loop": process_seconds(loop.pid)})
        return BareRun(rates, spent["loop"], foreign)

    def _run_server(self, order: RunOrder) -> ServerRun:
        prompts = make_prompts(self._text_ids, order, self._workload.prompt_tokens)
        rates, spent, foreign = _measured(
            lambda: run_streams(self._server.url, order, prompts), lambda: role_seconds(self._server.pid)
        )
        return ServerRun(rates, spent, foreign)


def _measured(
    run: Callable[[], Rates], seconds: Callable[[], dict[str, float]]
) -> tuple[Rates, dict[str, float], float]:
    """What `run` gave, the CPU seconds of the processes (and of this one as "client"), the cores that others used."""
    began, all_before, own_before, before = time.perf_counter(), machine_seconds(), time.process_time(), seconds()
    rates = run()
    spent = {name: now - before.get(name, 0.0) for name, now in seconds().items()}
    spent["client"] = time.process_time() - own_before
    all_spent, elapsed = machine_seconds() - all_before, time.perf_counter() - began
    return rates, spent, max(0.0, all_spent - sum(spent.values())) / elapsed


def say(text: str) -> None:
    """Progress; standard output has the result only."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="1,8,32", help="numbers of streams, separated by commas")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--output-tokens", type=int, default=128)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--attention", choices=("auto", "paged", "reference"), default="auto")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--max-num-batched-tokens", type=int, default=512)
    parser.add_argument("--model-dir", type=Path, default=default_model_dir(), help="where made models are kept")
    parser.add_argument("--with-transformers", action="store_true", help="a plain transformers loop beside them")
    parser.add_argument("--json", type=Path, help="write all runs here too")
    options = parser.parse_args()
    streams = [int(count) for count in options.streams.split(",")]
    say("making the model, unless it is there")
    workload = Workload(
        model_path=str(make_llama(LLAMA_100M, options.dtype, options.model_dir)),
        dtype=options.dtype,
        attention=options.attention,
        threads=options.threads,
        max_num_batched_tokens=options.max_num_batched_tokens,
        prompt_tokens=options.prompt_tokens,
        output_tokens=options.output_tokens,
        most_streams=max(streams),
    )
    with contextlib.ExitStack() as stack:
        say("starting the loops and the server")
        benchmark = Benchmark(workload, options.with_transformers, stack)
        comparisons = [benchmark.compare(count, options.repeats) for count in streams]
    print(report(workload, comparisons))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode([workload, comparisons])))


if __name__ == "__main__":
    main()
