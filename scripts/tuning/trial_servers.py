"""The servers that are measured: each started for one candidate, with a port and a runtime directory of its own.

Two are kept where memory allows it, so that two sides alternate without being started again; else one. A server that
is no longer needed and differs only in its workers is scaled instead of replaced.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ipc.operator_protocol import AskScale, Scaled
from scripts.chaos_testing.server import ServerError, ServerUnderTest
from scripts.tuning.candidate import Candidate
from scripts.tuning.objective import TrialFailed
from zerolane.operator_client import NoServer

SPARE_MEMORY = 1.3  # a second server is kept where so many times the first one's memory is left
NO_KEYS = {"ZEROLANE_API_KEY": "", "VLLM_API_KEY": ""}  # the load sends none


class TrialServers:
    """Owns every server it starts. Close it."""

    def __init__(self, folder: Path, arguments: Sequence[str], start_s: float, keeps_one: bool = False) -> None:
        """`folder`: for logs. `arguments`: of serve, for all candidates. `keeps_one`: even where memory allows two, as
        on a GPU, whose memory cannot be looked at from here."""
        self.num_started = self.num_scaled = 0
        self.problems: list[str] = []  # sentences about what ended badly or was left behind
        self._folder = folder
        self._arguments = arguments
        self._start_s = start_s
        self._capacity = 1 if keeps_one else 0  # 0: found out with the first server
        self._running: dict[Candidate, ServerUnderTest] = {}  # the one that was wanted last is last

    @property
    def keeps_two(self) -> bool:
        return self._capacity == 2

    def runs(self, candidate: Candidate) -> bool:
        """A call of `url` starts nothing."""
        return candidate in self._running

    async def url(self, candidate: Candidate) -> str:
        """Where a server with these settings answers, until a call for another candidate. Raises TrialFailed."""
        server = self._running.pop(candidate, None)
        if server is None:
            server = await self._make(candidate)
        self._running[candidate] = server
        return server.url

    async def discard(self, candidate: Candidate) -> None:
        """End its server, if there is one: the next call starts another."""
        server = self._running.pop(candidate, None)
        if server is not None:
            await self._end(server)

    async def close(self) -> None:
        """End all."""
        for candidate in list(self._running):
            await self.discard(candidate)

    async def _make(self, candidate: Candidate) -> ServerUnderTest:
        if self._capacity and len(self._running) >= self._capacity:
            scaled = await self._scaled(candidate)
            if scaled is not None:
                return scaled
            await self.discard(next(iter(self._running)))
        return await self._start(candidate)

    async def _scaled(self, candidate: Candidate) -> ServerUnderTest | None:
        """The server unused for longest, if only its workers must change. Not where the other side of a duel would be
        changed: it has seen the requests. A worker keeps its threads, so their number must have been said."""
        oldest = next(iter(self._running))
        differs_in = candidate.differences(oldest).keys()
        if not self.keeps_two or differs_in != {"workers"} or not candidate.value("threads"):
            return None
        server = self._running[oldest]
        try:
            reply = await asyncio.to_thread(server.ask, AskScale(int(candidate.value("workers"))))
        except NoServer:
            return None
        if not isinstance(reply, Scaled):
            return None
        self.num_scaled += 1
        return self._running.pop(oldest)

    async def _start(self, candidate: Candidate) -> ServerUnderTest:
        memory_before = available_memory()
        arguments = [*self._arguments, *serve_arguments(dict(candidate.changes))]
        log_file = self._folder / f"server-{self.num_started}.log"
        self.num_started += 1
        starting = asyncio.create_task(
            asyncio.to_thread(ServerUnderTest, arguments, NO_KEYS, log_file, self._start_s, has_own_group=True)
        )
        try:
            server = await asyncio.shield(starting)
        except ServerError as error:
            raise TrialFailed(_reason(str(error))) from error
        except asyncio.CancelledError:
            await self._end_when_started(starting)
            raise
        if not self._capacity:
            taken = memory_before - available_memory()
            self._capacity = 2 if available_memory() > SPARE_MEMORY * taken else 1
        return server

    async def _end_when_started(self, starting: "asyncio.Task[ServerUnderTest]") -> None:
        """A thread cannot be cancelled: its server would stay. Nor does another cancellation end this: the caller
        raises the first one."""
        while not starting.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([starting])
        if starting.exception() is None:
            await self._end(starting.result())

    async def _end(self, server: ServerUnderTest) -> None:
        self.problems += await asyncio.to_thread(server.close)


def serve_arguments(settings: Mapping[str, object]) -> list[str]:
    """Settings as one types them."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


def available_memory() -> int:
    """Bytes that programs could still take."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _reason(text: str) -> str:
    """Of a server's log: what the server itself says at its end, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("zerolane: ") for line in lines if line.startswith("zerolane: ")]
    return [*lines, *said][-1]
