"""Latency and rate of our ring and arena against other transports, 64 B to 64 MiB, in one run.

    python benchmarks/ipc.py [--seconds 30] [--sizes 64,4096] [--modes block,spin] [--json FILE]

Two processes. Latency: one message there and one of the same size back, halved. Rate: a window of messages (at most 64
of them, 32 MiB, at least 2), then one small answer, over and over. The transports take turns, in several rounds, so
that what else the machine does hits all of them. Mode "block": receivers sleep until woken; "spin": they poll and
yield. Ratios are to "ring+arena" (one copy in, none out). "in place" makes the payload where it is read.
"""

import argparse
import ctypes
import importlib.util
import json
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

# This file is called like the package it measures: put the checkout first.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ipc_endpoint import Endpoint, Transport
from benchmarks.ipc_transports import TRANSPORTS

SIZES = (64, 4 << 10, 256 << 10, 1 << 20, 64 << 20)  # bytes
MODES = ("block", "spin")
OURS = "ring+arena"
WINDOW_BYTES = 32 << 20
ROUNDS = 2
WARM_UP_BYTES = 4 << 20  # round trips not counted, at least one
MAX_TRIPS = 20_000
CHUNK_LIMIT_S = 20  # one transport, size and mode: after that it is given up
OVERTIME = 2.5  # the whole run ends after so many times --seconds, whatever is missing
NEXT_PHASE = b"n"
ANSWER = b"ok"
PR_SET_PDEATHSIG = 1


@dataclass
class Case:
    """One transport at one size and mode, over all rounds."""

    transport: str
    size: int
    mode: str
    one_way_us: list[float]
    rates: list[float]  # messages a second, one a round
    failure: str = ""

    @property
    def p50_us(self) -> float:
        return statistics.median(self.one_way_us) if self.one_way_us else float("nan")

    @property
    def p99_us(self) -> float:
        return sorted(self.one_way_us)[int(len(self.one_way_us) * 0.99)] if self.one_way_us else float("nan")

    @property
    def rate(self) -> float:
        return statistics.median(self.rates) if self.rates else float("nan")


def window_of(size: int) -> int:
    return max(2, min(64, WINDOW_BYTES // size))


def serve(transport: Transport, window: int, both_there: Barrier) -> None:
    """The answering process: echo until NEXT_PHASE, then answer every `window` messages until NEXT_PHASE."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a spinning process must not outlive its parent
    end = transport.endpoint(1)
    both_there.wait(CHUNK_LIMIT_S)
    replies: dict[int, bytes] = {}
    while (size := end.receive()) != len(NEXT_PHASE):
        end.send(replies.setdefault(size, bytes(size)))
    end.send(ANSWER)
    count = 0
    while end.receive() != len(NEXT_PHASE):
        count += 1
        if count % window == 0:
            end.send(ANSWER)
    end.send(ANSWER)
    end.close()


@contextmanager
def answering(transport: Transport, window: int) -> Iterator[Endpoint]:
    """Our endpoint, with the other process behind it."""
    fork = multiprocessing.get_context("fork")
    both_there = fork.Barrier(2)
    process = fork.Process(target=serve, args=(transport, window, both_there), daemon=True)
    process.start()
    end = transport.endpoint(0)
    try:
        both_there.wait(CHUNK_LIMIT_S)  # iceoryx2 drops what is sent before somebody subscribes
        yield end
        process.join(2.0)
    finally:
        process.kill()
        process.join()
        end.close()


def measure_latency(end: Endpoint, payload: bytes, seconds: float) -> list[float]:
    """Half round trips in microseconds, at least two."""
    for _ in range(max(1, min(100, WARM_UP_BYTES // len(payload)))):
        end.send(payload)
        end.receive()
    trips: list[float] = []
    begin = time.perf_counter()
    while len(trips) < 2 or (len(trips) < MAX_TRIPS and time.perf_counter() - begin < seconds):
        start = time.perf_counter_ns()
        end.send(payload)
        end.receive()
        trips.append((time.perf_counter_ns() - start) / 2000)
    return trips


def measure_rate(end: Endpoint, payload: bytes, window: int, seconds: float) -> float:
    count = 0
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or not count:
        for _ in range(window):
            end.send(payload)
        end.receive()
        count += window
    return count / elapsed


def measure(case: Case, seconds: float) -> None:
    """One chunk: appends to the case, or says why it failed."""
    window, payload = window_of(case.size), bytes(case.size)
    transport = TRANSPORTS[case.transport](case.size, window, case.mode == "spin")
    signal.alarm(CHUNK_LIMIT_S)
    try:
        with answering(transport, window) as end:
            case.one_way_us += measure_latency(end, payload, seconds / 2)
            end.send(NEXT_PHASE)
            end.receive()
            case.rates.append(measure_rate(end, payload, window, seconds / 2))
            end.send(NEXT_PHASE)
            end.receive()
    except Exception as error:  # noqa: BLE001 - one transport's trouble is a line in the table, not the end of the run
        case.failure = f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        transport.close()


def run(sizes: list[int], modes: list[str], seconds: float) -> list[Case]:
    names = [name for name in TRANSPORTS if name != "iceoryx2" or importlib.util.find_spec("iceoryx2")]
    cases = [Case(name, size, mode, [], []) for size in sizes for mode in modes for name in names]
    chunk_s = seconds / (len(cases) * ROUNDS)
    deadline = time.monotonic() + OVERTIME * seconds
    for turn in range(ROUNDS):
        for number, case in enumerate(cases, start=1):
            where = f"round {turn + 1}/{ROUNDS}, {number}/{len(cases)}: {case.transport}, {show_size(case.size)}"
            show_progress(f"{where}, {case.mode}")
            if time.monotonic() > deadline:
                case.failure = case.failure or ("" if case.rates else "no time left")
            elif not case.failure:
                measure(case, chunk_s)
    show_progress("")
    return cases


def show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def show_size(size: int) -> str:
    if size >= 1 << 20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 1 << 10 else f"{size} B"


def show_table(cases: list[Case]) -> None:
    line = "{:>8} {:5} {:20} {:>11} {:>11} {:>7} {:>12} {:>9} {:>7}"
    print(line.format("size", "mode", "transport", "p50 us", "p99 us", "x", "messages/s", "MB/s", "x"))
    ours = {(case.size, case.mode): case for case in cases if case.transport == OURS}
    for case in cases:
        base = ours[case.size, case.mode]
        if case.failure:
            print(f"{show_size(case.size):>8} {case.mode:5} {case.transport:20} failed: {case.failure}")
            continue
        print(
            line.format(
                show_size(case.size),
                case.mode,
                case.transport,
                f"{case.p50_us:,.1f}",
                f"{case.p99_us:,.1f}",
                f"{case.p50_us / base.p50_us:.2f}",
                f"{case.rate:,.0f}",
                f"{case.rate * case.size / 1e6:,.0f}",
                f"{case.rate / base.rate:.2f}",
            )
        )


def write_json(path: Path, cases: list[Case]) -> None:
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    rows = []
    for case in cases:
        row = asdict(case) | {"p50_us": case.p50_us, "p99_us": case.p99_us, "messages_per_s": case.rate}
        row["num_trips"] = len(row.pop("one_way_us"))
        rows.append(row)
    path.write_text(json.dumps({"machine": machine, "load": os.getloadavg(), "cases": rows}, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="measuring time of all cases together")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="bytes, with commas between")
    parser.add_argument("--modes", default=",".join(MODES), help="block, spin or both")
    parser.add_argument("--json", type=Path, help="also write everything there")
    options = parser.parse_args()
    sizes, modes = [int(size) for size in options.sizes.split(",")], options.modes.split(",")
    if min(sizes) < 4 or not set(modes) <= set(MODES):
        parser.error(f"sizes must be at least 4 bytes, modes from {', '.join(MODES)}")
    begin = time.monotonic()
    cases = run(sizes, modes, options.seconds)
    show_table(cases)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.monotonic() - begin:.0f} s")
    if options.json:
        write_json(options.json, cases)
    return int(any(case.failure for case in cases))


def _give_up(*_: object) -> None:
    raise TimeoutError(f"no result within {CHUNK_LIMIT_S} s")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _give_up)
    sys.exit(main())
