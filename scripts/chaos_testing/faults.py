"""Kills and stops processes of the server, one after the other, each once the server is whole again."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from ipc.operator_protocol import ProcessStatus, Status
from scripts.chaos_testing import processes
from scripts.chaos_testing.http_client import Attempt
from scripts.chaos_testing.load import Load
from scripts.chaos_testing.options import ChaosOptions, Target
from scripts.chaos_testing.server import POLL_S, WHOLE_S, ServerError, ServerUnderTest

ROLES: dict[Target, tuple[str, ...]] = {
    "workers": ("worker",),
    "scheduler": ("scheduler",),
    "frontends": ("frontend",),
    "forkserver": ("forkserver",),
    "any": ("worker", "spare", "scheduler", "frontend", "forkserver"),
}
LONGEST_PAUSE = 4.0  # times the mean one: an exponential distribution has no end
QUIET_S = 0.3  # after a fault before the server is asked how it is: asking takes some of its time


class Fault(Struct, frozen=True):
    """One process was killed or stopped. `at` is a moment of `time.perf_counter`."""

    role: str
    id: int
    pid: int
    signal: str
    at: float
    whole_after_s: float  # until its replacement was ready
    num_open_requests: int


class Faults:
    """Strikes `options.kills` times, until `deadline` (a moment of `time.perf_counter`) at most."""

    def __init__(self, options: ChaosOptions, server: ServerUnderTest, load: Load) -> None:
        self._options = options
        self._server = server
        self._load = load
        self._source = random.Random(f"{options.seed}/faults")
        self.struck: list[Fault] = []

    async def run(self, deadline: float) -> None:
        """Raises ServerError when the server does not become whole again."""
        while len(self.struck) < self._options.kills and time.perf_counter() < deadline:
            await asyncio.sleep(self._pause_s())
            await self._strike(await self._grown_up(self._victim(await self._server.wait_whole())))

    def killed(self) -> Counter[str]:
        """How many processes of each role."""
        return Counter(fault.role for fault in self.struck)

    def _pause_s(self) -> float:
        mean_s = self._options.interval
        return min(self._source.expovariate(1 / mean_s), LONGEST_PAUSE * mean_s)

    def _victim(self, status: Status) -> ProcessStatus:
        """Any process of a role drawn first: there may be many workers and there is one scheduler."""
        by_role = {
            role: found
            for role in ROLES[self._options.target]
            if (found := [process for process in status.processes if process.role == role and process.pid])
        }
        return self._source.choice(by_role[self._source.choice(list(by_role))])

    async def _grown_up(self, victim: ProcessStatus) -> ProcessStatus:
        """The victim, once it has lived long enough."""
        await asyncio.sleep(max(0.0, self._options.min_life - victim.uptime_s))
        return victim

    async def _strike(self, victim: ProcessStatus) -> None:
        signum = self._signal()
        were_open = self._load.open_attempts
        if victim.role == "frontend":
            self._excuse_its_connections(victim.pid)
        at = time.perf_counter()
        os.kill(victim.pid, signum)
        await asyncio.sleep(QUIET_S)
        await self._server.wait_whole(without=victim.pid)
        whole_after_s = time.perf_counter() - at
        self.struck.append(Fault(victim.role, victim.id, victim.pid, signum.name, at, whole_after_s, len(were_open)))
        if victim.role == "scheduler":
            await _all_go_on(were_open, at)

    def _excuse_its_connections(self, pid: int) -> None:
        """Stopped first, so that it accepts none that we do not see; connections nobody has accepted survive it."""
        os.kill(pid, signal.SIGSTOP)
        self._load.excuse(processes.ports_of(pid, self._server.port))

    def _signal(self) -> signal.Signals:
        choices: Sequence[signal.Signals] = {
            "kill": (signal.SIGKILL,),
            "stop": (signal.SIGSTOP,),
            "mixed": (signal.SIGKILL, signal.SIGSTOP),
        }[self._options.fault]
        return self._source.choice(choices)


async def _all_go_on(attempts: Sequence[Attempt], at: float) -> None:
    """Until every stream has text from after `at`, or has ended; all are prefilled again, which takes its time.

    Striking earlier would try another thing: requests that were aboard several deaths without a token fail on purpose.
    """
    deadline = time.perf_counter() + WHOLE_S
    while any(attempt.is_streamed and not _goes_on(attempt, at) for attempt in attempts):
        if time.perf_counter() > deadline:
            raise ServerError(f"streams do not go on within {WHOLE_S:g} s after the scheduler's death")
        await asyncio.sleep(POLL_S)


def _goes_on(attempt: Attempt, at: float) -> bool:
    has_text = any(times[-1] > at for times in attempt.text_times.values())
    return has_text or attempt.ended is not None
