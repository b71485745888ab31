"""A server process under test: started, spoken to, and gone afterwards with everything it had."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ipc.operator_protocol import AskScale, AskStatus, ProcessStatus, Refused, Reply, Request, Scaled, Status
from tests.support.children import ROOT
from zerolane.operator_client import ask, find_server

DEADLINE_S = 30.0
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first true value `look` gives. Fails with `what` when there is none in time."""
    deadline = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.01)  # other processes' states can only be looked at


def is_running(pid: int) -> bool:
    """It exists and is no zombie (whose parent may be a container's first process, which reaps nobody)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Served:
    """One supervisor with its children; `folder` holds its runtime directory and what it wrote."""

    def __init__(
        self, command: Sequence[str], arguments: Sequence[str], folder: Path, environment: dict[str, str]
    ) -> None:
        """Start `command` with serve's `arguments`, on a free port unless they name one."""
        self.base = folder / "run"
        self.error_path = folder / "stderr"
        self._pids: set[int] = set()  # every process ever seen
        options = ["--runtime-dir", str(self.base), "--port", "0"]
        with self.error_path.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *command, *options, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @property
    def errors(self) -> str:
        return self.error_path.read_text()

    def wait_ready(self) -> str:
        """The ready line. Fails with the server's log when it ends before; the test's timeout is the deadline."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server ended with {self.process.wait(DEADLINE_S)}:\n{self.errors}"
        self.status()
        return line

    def port_of(self, ready_line: str) -> int:
        found = re.search(r":(\d+) ", ready_line)
        assert found is not None, ready_line
        return int(found[1])

    def status(self) -> Status:
        """As the operator sees it."""
        *_, reply = ask(find_server(str(self.base), None), AskStatus(), DEADLINE_S)
        assert isinstance(reply, Status)
        self._pids |= {process.pid for process in reply.processes if process.pid}
        return reply

    def of(self, role: str) -> list[ProcessStatus]:
        return [process for process in self.status().processes if process.role == role]

    def scale(
        self, num_workers: int | None = None, pools: int | None = None, spares: int | None = None
    ) -> Scaled | Refused:
        *_, reply = self.replies_to(AskScale(num_workers, spares, pools))
        assert isinstance(reply, Scaled | Refused)
        self.status()
        return reply

    def replies_to(self, request: Request) -> list[Reply]:
        """Everything the server says to an operator's command."""
        return list(ask(find_server(str(self.base), None), request, DEADLINE_S))

    def replaced(self, role: str, pid: int) -> list[ProcessStatus]:
        """The processes of a role once all serve and none has `pid` any more."""

        def look() -> list[ProcessStatus]:
            found = self.of(role)
            good = all(process.state == "ready" and process.pid != pid for process in found)
            return found if good and self.status().ready else []

        return eventually(look, f"a new {role}\n{self.errors}")

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def wait(self) -> int:
        """Its exit code, once it has ended and nothing of it is left."""
        code = self.process.wait(DEADLINE_S)
        self.check_nothing_left()
        return code

    def check_nothing_left(self, deadline_s: float = 3.0) -> None:
        """No process, no file, within `deadline_s`."""
        eventually(lambda: not self._running(), f"processes gone: {self._running()}", deadline_s)
        eventually(lambda: not self._files(), f"files gone: {self._files()}", deadline_s)

    def close(self) -> None:
        """End it, however it stands. Its children end with it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.check_nothing_left(10.0)

    def _running(self) -> list[int]:
        return [pid for pid in self._pids if is_running(pid)]

    def _files(self) -> list[Path]:
        return list(self.base.iterdir()) if self.base.exists() else []


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=5.0).close()
    except OSError:
        return False
    return True
