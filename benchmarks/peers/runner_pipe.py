"""The pipe to a library runner: orders and answers, one JSON line each, with deadlines."""

import os
import selectors
import subprocess
import time

import msgspec

from benchmarks.peers.orders import Order, RunnerAnswer


class LibraryPipe:
    """The harness's end. The runner's first line says that its model is loaded."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a runner needs pipes for its standard input and output")
        self._stdin, self._stdout = process.stdin, process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._rest = b""

    def write(self, order: Order) -> None:
        self._stdin.write(msgspec.json.encode(order) + b"\n")
        self._stdin.flush()

    def read(self, timeout_s: float) -> RunnerAnswer:
        """The next answer; lines that are no JSON object are the library's own talk. Raises RuntimeError when the
        runner ended, TimeoutError when it was silent for too long."""
        deadline = time.monotonic() + timeout_s
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                if line.startswith(b"{"):
                    return msgspec.json.decode(line, type=RunnerAnswer)
                continue
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"no answer within {timeout_s:.0f} s")
            piece = os.read(self._stdout.fileno(), 1 << 20)
            if not piece:
                raise RuntimeError("the runner ended; its log tells why")
            self._rest += piece
