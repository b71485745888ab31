"""A started peer: a server or a library in a process of its own. At most one of them is awake at a time."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.peers.commands import ROOT, Start
from benchmarks.peers.janitor import Janitor
from benchmarks.peers.orders import Answer, ClientOrder, Order, Target
from benchmarks.peers.processes import UsageWindow, end, owns_listener, resume, suspend
from benchmarks.peers.runner_pipe import LibraryPipe

START_S = 420.0  # vLLM needs one to three minutes
RUN_S = 520.0
LOG_TAIL = 3000


class StartedPeer(Protocol):
    """Sleeping but between `wake` and `sleep`. The janitor ends it."""

    pid: int

    def wake(self) -> None: ...
    def sleep(self) -> None: ...
    def run(self, order: Order) -> Answer: ...


def free_port() -> int:
    """One that nobody has at this moment; whether the peer got it is checked when it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Process:
    """The peer's processes: a session of its own, known to the janitor, both outputs in `log`."""

    def __init__(self, start: Start, log: Path, janitor: Janitor, is_library: bool) -> None:
        with log.open("wb") as file:
            self.popen = subprocess.Popen(
                start.command,
                env={**os.environ, **start.env},
                stdin=subprocess.PIPE if is_library else subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_library else file,
                stderr=file if is_library else subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self.popen.pid
        self._log = log
        janitor.watch(self.pid)

    def check_alive(self) -> None:
        """Raises RuntimeError with the end of its log when it has ended."""
        if self.popen.poll() is not None:
            raise RuntimeError(f"it ended with {self.popen.returncode}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_TAIL:]


class StartedServer:
    """Asked over HTTP by a client process."""

    def __init__(self, start: Start, port: int, log: Path, janitor: Janitor, say: Callable[[str], None]) -> None:
        """Start it and wait until it answers. Raises RuntimeError or TimeoutError with the end of its log."""
        self._process = Process(start, log, janitor, is_library=False)
        self.pid = self._process.pid
        self._target = Target(f"http://127.0.0.1:{port}", start.model, start.path, start.extra, start.dialect, self.pid)
        try:
            self._wait_ready(port, start.health, say)
            if not owns_listener(self.pid, port):
                raise RuntimeError(f"port {port} belongs to another program")
        except BaseException:  # nobody would stop it while the others are measured
            end([self.pid])
            raise

    def wake(self) -> None:
        resume(self.pid)

    def sleep(self) -> None:
        suspend(self.pid)

    def run(self, order: Order) -> Answer:
        """Raises RuntimeError with what the client or the server wrote."""
        self._process.check_alive()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.peers.client"],
            cwd=ROOT,
            input=msgspec.json.encode(ClientOrder(self._target, order)),
            capture_output=True,
            timeout=RUN_S,
            check=False,
        )
        if done.returncode != 0:
            *_, reason = ["no reason told", *done.stderr.decode(errors="replace").strip().splitlines()]
            raise RuntimeError(f"{reason}\n{self._process.log_tail()}")
        return msgspec.json.decode(done.stdout, type=Answer)

    def _wait_ready(self, port: int, path: str, say: Callable[[str], None]) -> None:
        began = told = time.monotonic()
        while not _answers(port, path):
            self._process.check_alive()
            now = time.monotonic()
            if now - began > START_S:
                raise TimeoutError(f"not ready after {START_S:.0f} s:\n{self._process.log_tail()}")
            if now - told > 20:
                say(f"  still starting after {now - began:.0f} s")
                told = now
            time.sleep(0.3)


class StartedLibrary:
    """Asked over its standard input by the harness itself."""

    def __init__(self, start: Start, log: Path, janitor: Janitor) -> None:
        """Start it and wait until its model is loaded. Raises RuntimeError or TimeoutError."""
        self._process = Process(start, log, janitor, is_library=True)
        self.pid = self._process.pid
        self._pipe = LibraryPipe(self._process.popen)
        try:
            self._pipe.read(START_S)
        except BaseException:
            end([self.pid])
            raise

    def wake(self) -> None:
        resume(self.pid)

    def sleep(self) -> None:
        suspend(self.pid)

    def run(self, order: Order) -> Answer:
        """Raises RuntimeError with what the library wrote."""
        self._process.check_alive()
        window = UsageWindow(self.pid)
        self._pipe.write(order)
        told = self._pipe.read(RUN_S)
        usage = window.close()
        if told.error:
            raise RuntimeError(f"{told.error}\n{self._process.log_tail()}")
        return Answer(told.requests, usage, told.note)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
