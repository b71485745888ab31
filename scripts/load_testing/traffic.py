"""When requests are sent: a closed loop keeps a number of them open, an open loop sends at random moments."""

import asyncio
import time
from collections.abc import Iterator

from scripts.load_testing.bodies import Bodies
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.prompt_text import arrival_gaps
from scripts.load_testing.records import RequestRecord
from scripts.load_testing.server import Server


class Traffic:
    """All requests of one step. `records` fills up while `send_all` runs, and stays valid when it is cancelled."""

    def __init__(self, server: Server, bodies: Bodies, options: LoadOptions, group: str = "load") -> None:
        self.records: list[RequestRecord] = []
        self.began = 0.0
        self._server = server
        self._bodies = bodies
        self._options = options
        self._group = group
        self._clock = time.perf_counter
        self._cpu_began = 0.0
        self._indexes: Iterator[int] = iter(range(options.num_requests))

    @property
    def elapsed(self) -> float:
        return self._clock() - self.began

    @property
    def cpu_seconds(self) -> float:
        """Processor time this program used since `send_all` began."""
        return time.process_time() - self._cpu_began

    async def send_all(self) -> None:
        """Until all requests are answered, or nothing new may start and those open have ended."""
        self.began, self._cpu_began = self._clock(), time.process_time()
        if self._options.is_open_loop:
            await self._send_at_random()
        else:
            lanes = min(self._options.concurrency, self._options.num_requests)
            between = self._options.spread / self._options.concurrency
            await asyncio.gather(*(self._send_in_turn(lane * between) for lane in range(lanes)))

    async def _send_in_turn(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        for index in self._indexes:
            if self.elapsed >= self._options.duration:
                return
            await self._send(index, None)

    async def _send_at_random(self) -> None:
        due = self.began
        async with asyncio.TaskGroup() as sending:
            gaps = arrival_gaps(self._options.seed, self._options.rate)
            for index in self._indexes:
                due += next(gaps)
                if due - self.began >= self._options.duration:
                    return
                await asyncio.sleep(due - self._clock())
                sending.create_task(self._send(index, due))

    async def _send(self, index: int, due: float | None) -> None:
        """`due` None: now, once the request is made."""
        call = self._bodies.call(self._group, index)
        now = self._clock()
        record = RequestRecord(now if due is None else due, call.kind, call.num_texts, sent=now)
        self.records.append(record)
        await self._server.ask(call.path, call.body, record)
