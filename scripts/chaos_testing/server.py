"""The server under test: started in a folder of its own, asked for its state, ended with everything it had."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ipc.operator_protocol import AskStatus, Reply, Request, Status
from scripts.chaos_testing.models import ROOT
from scripts.chaos_testing.processes import descendants, is_running
from zerolane.operator_client import ask, find_server

START_S = 300.0
STOP_S = 60.0
ASK_S = 30.0
WHOLE_S = 60.0  # a replacement that takes longer than this does not come
POLL_S = 0.1
IN_SERVICE = ("ready", "serving")
_READY = re.compile(r"ready on (http://\S+)")


class ServerError(Exception):
    """The server did not do what it must; the text says what."""


class ServerUnderTest:
    """One `zerolane serve`. Close it."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        start_s: float = START_S,
        has_own_group: bool = False,
    ) -> None:
        """Start it and wait until it is ready and whole. Raises ServerError with its log when it is not.

        `has_own_group`: a terminal's Ctrl-C does not reach it, and the caller ends it: two signals would kill it.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="zerolane-chaos-")
        self.runtime_dir = Path(self._folder.name) / "run"
        self.log = log
        self.pids: set[int] = set()  # every process ever seen
        command = ["-P", "-m", "zerolane", "serve", *arguments, "--port=0", f"--runtime-dir={self.runtime_dir}"]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0 if has_own_group else None,
            )
        self.pid = self._process.pid
        self.url = self._wait_ready(start_s)
        self.port = urlsplit(self.url).port or 0
        self.whole: Counter[str] = Counter()  # processes in service, by role, when nothing is missing

    def models(self) -> dict[str, str]:
        """Task of each model, by name, in order."""
        with urllib.request.urlopen(f"{self.url}/v1/models", timeout=ASK_S) as response:
            return {model["id"]: model["task"] for model in msgspec.json.decode(response.read())["data"]}

    def ask(self, request: Request, timeout_s: float = ASK_S) -> Reply:
        """The final reply to an operator's command. Raises NoServer."""
        *_, reply = ask(find_server(str(self.runtime_dir), None), request, timeout_s)
        return reply

    def status(self) -> Status:
        reply = self.ask(AskStatus())
        if not isinstance(reply, Status):
            raise ServerError(f"asked for its status the server said {reply}")
        self.pids |= {process.pid for process in reply.processes if process.pid}
        return reply

    async def wait_first_whole(self, num_workers: int, num_spares: int) -> Status:
        """Until so many workers and spares are in service: `whole` is what there is then. Raises ServerError."""

        def is_whole(status: Status) -> bool:
            found = roles(status)
            return (found["worker"], found["spare"]) == (num_workers, num_spares) and _all_in_service(status)

        status = await self._wait_until(is_whole)
        self.whole = roles(status)
        return status

    async def wait_whole(self, without: int = 0) -> Status:
        """Until all that belong to `whole` are in service and none has the pid `without`. Raises ServerError."""

        def is_whole(status: Status) -> bool:
            return roles(status) == self.whole and all(process.pid != without for process in status.processes)

        return await self._wait_until(is_whole)

    async def _wait_until(self, is_whole: Callable[[Status], bool]) -> Status:
        deadline = time.monotonic() + WHOLE_S
        while True:
            found = await asyncio.to_thread(self.status)
            if found.ready and is_whole(found):
                return found
            if time.monotonic() > deadline:
                states = [f"{process.role} {process.id} {process.state}" for process in found.processes]
                raise ServerError(f"not whole again within {WHOLE_S:g} s: {', '.join(states)}; {found.reason}")
            await asyncio.sleep(POLL_S)

    def close(self) -> list[str]:
        """End it and everything of it; sentences about what went wrong or was left."""
        own = set(descendants(self.pid))
        self._process.terminate()
        problems = []
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code != 0:
            problems.append(f"the server ended with {code}")
        left = [pid for pid in sorted(self.pids | own) if is_running(pid)]
        problems += [f"process {pid} is left" for pid in left]
        for pid in own.intersection(left):  # an older number may be another program's by now
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.runtime_dir.exists():
            problems += [f"file {path} is left" for path in self.runtime_dir.iterdir()]
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()
        return problems

    def _wait_ready(self, start_s: float) -> str:
        deadline = threading.Timer(start_s, self._process.kill)
        deadline.start()
        try:
            for line in self._process.stdout or ():
                found = _READY.search(line)
                if found is not None:
                    return found[1]
        finally:
            deadline.cancel()
        text = self.log.read_text()[-4000:]
        self.close()
        raise ServerError(f"the server did not start:\n{text}")


def roles(status: Status) -> Counter[str]:
    """How many processes of each role are in service."""
    return Counter(process.role for process in status.processes if process.state in IN_SERVICE)


def _all_in_service(status: Status) -> bool:
    return all(process.state in IN_SERVICE for process in status.processes)
