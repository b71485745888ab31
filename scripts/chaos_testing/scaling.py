"""Adds and removes workers, or a whole KV memory, under load, and looks at time and memory meanwhile."""

import asyncio
import time
from collections.abc import Iterator, Mapping

from msgspec import Struct

from ipc.operator_protocol import AskScale, Reply, Scaled, Status
from scripts.chaos_testing import processes
from scripts.chaos_testing.options import ChaosOptions
from scripts.chaos_testing.server import ServerError, ServerUnderTest, roles

COMMAND_S = 120.0
FIRST_STEP_S = 10.0  # a new worker that computes nothing for so long gets no work
POLL_S = 0.02


class Change(Struct, frozen=True):
    """One scale command. Memory in MiB, over all processes together, after it."""

    workers: int
    pools: int
    seconds: float  # until the server said that it is done
    first_step_s: (
        float | None
    )  # from the command until all new workers have computed, or gave up waiting; None: no new ones
    weights_pss_mib: float
    other_segments_pss_mib: float  # without KV pages: which of them were ever touched says nothing about workers
    own_pss_mib: float  # in no segment: interpreters, libraries, stacks

    @property
    def segments_pss_mib(self) -> float:
        return self.weights_pss_mib + self.other_segments_pss_mib


class Scaling:
    """Carries out `options.scale` and `options.pools_remove_add`, `options.rounds` times."""

    def __init__(self, options: ChaosOptions, server: ServerUnderTest) -> None:
        self._options = options
        self._server = server
        self.changes: list[Change] = []

    async def run(self, deadline: float) -> None:
        """Until done, or until `deadline` (a moment of `time.perf_counter`). Raises ServerError for a refusal."""
        for command in self._commands():
            if time.perf_counter() > deadline:
                return
            await asyncio.sleep(self._options.interval)
            await self._scale(command)

    @property
    def is_complete(self) -> bool:
        return len(self.changes) == len(list(self._commands()))

    def _commands(self) -> Iterator[AskScale]:
        for _ in range(self._options.rounds):
            for workers in self._options.scale[1:]:
                yield AskScale(workers=workers)
            if self._options.pools_remove_add:
                yield AskScale(pools=self._options.pools - 1)
                yield AskScale(pools=self._options.pools)

    async def _scale(self, command: AskScale) -> None:
        watch = StepWatch(_workers(await asyncio.to_thread(self._server.status)))
        began = time.perf_counter()
        asking = asyncio.create_task(asyncio.to_thread(self._ask, command))
        is_done = False
        while not is_done or (watch.is_waiting and time.perf_counter() < began + FIRST_STEP_S):
            is_done = asking.done()  # before the look: the last one sees all that came
            watch.look(await asyncio.to_thread(self._server.status))
            await asyncio.sleep(POLL_S)
        reply, answered = asking.result()
        if not isinstance(reply, Scaled):
            raise ServerError(f"{command} was answered with {reply}")
        status = await asyncio.to_thread(self._server.status)
        self._server.whole = roles(status)
        seen = time.perf_counter() if watch.is_waiting else watch.last_first_step
        first_step_s = seen - began if seen is not None else None
        self.changes.append(await asyncio.to_thread(_measured, status, reply, answered - began, first_step_s))

    def _ask(self, command: AskScale) -> tuple[Reply, float]:
        reply = self._server.ask(command, COMMAND_S)
        return reply, time.perf_counter()


class StepWatch:
    """Sees when workers that were not there before compute their first step."""

    def __init__(self, known: Mapping[int, int]) -> None:
        """`known`: pids of the workers that were there before."""
        self._known = known
        self._at_first: dict[int, int] = {}  # pid -> steps of its seat, by earlier lives, when it was first seen
        self._has_stepped: set[int] = set()
        self.last_first_step: float | None = None  # a moment of `time.perf_counter`

    @property
    def is_waiting(self) -> bool:
        """Some new worker has not computed yet."""
        return len(self._has_stepped) < len(self._at_first)

    def look(self, status: Status) -> None:
        """One look at the server. A worker that is gone is not waited for."""
        steps = _workers(status)
        for pid in steps.keys() - self._known.keys():
            at_first = self._at_first.setdefault(pid, steps[pid])
            if steps[pid] > at_first and pid not in self._has_stepped:
                self._has_stepped.add(pid)
                self.last_first_step = time.perf_counter()
        self._at_first = {pid: count for pid, count in self._at_first.items() if pid in steps}
        self._has_stepped &= steps.keys()


def _workers(status: Status) -> dict[int, int]:
    """Pids of the workers, each with the steps of its seat. A new one is seen before it can have computed any."""
    return {process.pid: process.steps or 0 for process in status.processes if process.role == "worker" and process.pid}


def _measured(status: Status, reply: Scaled, seconds: float, first_step_s: float | None) -> Change:
    shares = [processes.segment_pss_mib(process.pid) for process in status.processes if process.pid]
    totals: dict[str, float] = {}
    for name, mib in (pair for share in shares for pair in share.items()):
        kind = next((word for word in ("weights", "KV") if word in name), "other") if name else "own"
        totals[kind] = totals.get(kind, 0.0) + mib
    return Change(
        workers=reply.workers,
        pools=reply.pools,
        seconds=seconds,
        first_step_s=first_step_s,
        weights_pss_mib=totals.get("weights", 0.0),
        other_segments_pss_mib=totals.get("other", 0.0),
        own_pss_mib=totals.get("own", 0.0),
    )
