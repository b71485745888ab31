"""Where the time of one request goes, stage by stage, from its HTTP body to its SSE bytes: what each stage costs alone.

    python benchmarks/stage_profile.py [--words 100] [--rounds 300] [--model tiny-chat]

Every stage is the product's own code, called with what the stage before it made, many times in one process; the median
is told. The stages of a request come once, those of a step once a step, those of a token once a token. Between them lie
queues and wake-ups of processes, which `engine_overhead.py` and `frontend_throughput.py` measure whole.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import zmq
from msgspec import Struct

from benchmarks.streaming.engine_stages import EngineStages
from benchmarks.streaming.frontend_stages import FrontendStages


class Stage(Struct, frozen=True):
    """What one stage costs."""

    name: str
    per: str  # request, step or token
    microseconds: float


def timed(work: Callable[[], object], rounds: int, prepare: Callable[[], object] | None = None) -> float:
    """Median microseconds of one call; `prepare` is called before each and not timed."""
    times: list[float] = []
    for _ in range(rounds):
        if prepare is not None:
            prepare()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def frontend_stages(stages: FrontendStages, rounds: int) -> list[Stage]:
    """Those of the frontend process."""
    return [
        Stage("parse the body", "request", timed(stages.parse, rounds)),
        Stage("render the template", "request", timed(stages.render, rounds)),
        Stage("tokenize", "request", timed(stages.tokenize, rounds)),
        Stage("encode the submission", "request", timed(stages.submit, rounds)),
        Stage("decode a token batch", "step", timed(stages.decode_batch, rounds)),
        Stage("detokenize, push", "token", timed(stages.push, rounds)),
        Stage("encode the SSE event", "token", timed(stages.encode_event, rounds)),
    ]


def engine_stages(stages: EngineStages, rounds: int) -> list[Stage]:
    """Those of the scheduler and of the worker around its model."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, seconds in stages.step().items():
            found.setdefault(name, []).append(seconds)
    return [Stage(name, "step", statistics.median(seconds) * 1e6) for name, seconds in found.items()]


def transport_stages(frame: bytes, rounds: int) -> list[Stage]:
    """The two system calls of a token's way: a frame over ZeroMQ's ipc, an event into a TCP socket."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as left, context.socket(zmq.PAIR) as right:
        port = left.bind_to_random_port("tcp://127.0.0.1")
        right.connect(f"tcp://127.0.0.1:{port}")

        def over_zeromq() -> None:
            left.send(frame)
            right.recv()

        return [Stage("ZeroMQ, one way", "step", timed(over_zeromq, rounds))]


async def write_stage(event: bytes, rounds: int) -> Stage:
    """One event into a socket that somebody reads."""
    received = asyncio.Event()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        received.set()
        writer.close()

    server = await asyncio.start_server(read, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(host, port)
        times: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            writer.transport.write(event)
            times.append(time.perf_counter() - began)
            await asyncio.sleep(0)
        writer.close()
        async with asyncio.timeout(10.0):
            await received.wait()
    return Stage("write to the socket", "token", statistics.median(times) * 1e6)


def report(stages: list[Stage], num_streams: int) -> str:
    lines = [f"{'stage':<28} {'once a':>8} {'us':>9}"]
    lines += [f"{stage.name:<28} {stage.per:>8} {stage.microseconds:>9.1f}" for stage in stages]
    per_step = sum(stage.microseconds for stage in stages if stage.per == "step")
    per_token = sum(stage.microseconds for stage in stages if stage.per == "token")
    request = sum(stage.microseconds for stage in stages if stage.per == "request")
    lines.append(
        f"a request {request:.0f} us; a step of {num_streams} streams {per_step:.0f} us; a token {per_token:.1f}"
    )
    lines.append(f"a token with its share of the step: {per_token + per_step / num_streams:.1f} us")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=100, help="of the user's message")
    parser.add_argument("--streams", type=int, default=32, help="streams of a step")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "zerolane" / "tiny" / "tiny-chat")
    parser.add_argument("--json", type=Path, help="write the stages here too")
    options = parser.parse_args()
    frontend = FrontendStages(options.model, options.words, options.streams)
    stages = frontend_stages(frontend, options.rounds)
    engine = EngineStages(options.streams, options.rounds)
    try:
        stages += engine_stages(engine, options.rounds)
    finally:
        engine.close()
    stages += transport_stages(frontend.frame, options.rounds)
    stages.append(asyncio.run(write_stage(frontend.event, options.rounds)))
    print(report(stages, options.streams))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(stages)))


if __name__ == "__main__":
    main()
