"""A loop in a process of its own, so that it has threads and memory to itself as a worker has: both ends of it.

The parent writes JSON lines: first the workload, then an order a run; the child answers each with one line. The child
ends when its standard input does.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from benchmarks.overhead.timeline import Rates
from benchmarks.overhead.workload import RunOrder, Workload

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[[RunOrder], Rates]
T = TypeVar("T")


class LoopReady(Struct, frozen=True):
    """The child's first answer."""

    ready: bool = True


class LoopProcess:
    """The parent's end. Close it."""

    def __init__(self, module: str, workload: Workload) -> None:
        """Start the loop of `module` and wait until its model is loaded."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self._send(workload)
        self._receive(LoopReady)

    def run(self, order: RunOrder) -> Rates:
        """One run. Raises RuntimeError when the child is gone."""
        self._send(order)
        return self._receive(Rates)

    def close(self) -> None:
        """End the child."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _send(self, record: Struct) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the loop's process has no standard input")
        self._process.stdin.write(msgspec.json.encode(record) + b"\n")
        self._process.stdin.flush()

    def _receive(self, kind: type[T]) -> T:
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise RuntimeError("the loop's process ended; its error stands above")
        return msgspec.json.decode(line, type=kind)


def serve_orders(start: Callable[[Workload], Run]) -> int:
    """The child's end: `start` loads the model, what it returns does the runs. The exit code."""
    run = start(msgspec.json.decode(sys.stdin.buffer.readline(), type=Workload))
    _answer(LoopReady())
    for line in sys.stdin.buffer:
        _answer(run(msgspec.json.decode(line, type=RunOrder)))
    return 0


def _answer(record: Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(record) + b"\n")
    sys.stdout.buffer.flush()
