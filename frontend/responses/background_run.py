"""A response that is computed in the background: into the store, and from the store to whoever follows it.

Its events are stored a few at a time, so any frontend can tell them, from any place on; the last ones are written
together with the final body.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from frontend.bugs import NOT_BUGS
from frontend.request_log import log_bug
from frontend.responses.background import ROUTE
from frontend.responses.events import EventEncoder
from frontend.responses.output_items import Event
from frontend.responses.run import ResponseRun
from frontend.responses.store import ResponseStore
from frontend.responses.table import Stored
from ipc.errors import ErrorCode, RequestError

WRITE_S = 0.1  # events are written this often at most
LOOK_S = 0.1  # a follower looks for new events this often
MAX_EVENTS_A_LOOK = 1000
BUG = "Internal error. The server's log has details under the id of this response."


class EventRecord:
    """Events on their way into the store. `is_wanted`: somebody may follow them."""

    def __init__(self, store: ResponseStore, is_wanted: bool) -> None:
        self._store = store
        self._is_wanted = is_wanted
        self._encoder = EventEncoder()
        self._waiting: list[bytes] = []
        self._wrote_at = 0.0
        self._num_bytes = 0

    async def add(self, run: ResponseRun, events: list[Event]) -> bool:
        """False: the response shall not be computed any more."""
        if not self._is_wanted:
            return True
        self._waiting += [self._encoder.encode(event) for event in events]
        now = asyncio.get_running_loop().time()
        if now - self._wrote_at < WRITE_S:
            return True
        self._wrote_at = now
        return await self.write(run)

    async def write(self, run: ResponseRun) -> bool:
        """The run's body and what waits. False: the response does not run any more. Raises RequestError."""
        events, self._waiting = self._waiting, []
        first = self._encoder.num_events - len(events)
        self._num_bytes += sum(map(len, events))
        if self._num_bytes > self._store.max_response_bytes:
            events = []  # whoever follows learns the end from the response itself
        return await self._store.update(self._store.bounded(run.body), first, events)

    async def end(self, run: ResponseRun, events: list[Event]) -> None:
        """The last events and the final body."""
        if self._is_wanted:
            self._waiting += [self._encoder.encode(event) for event in (*events, run.last_event())]
        await self.write(run)


async def run_in_background(run: ResponseRun, record: EventRecord) -> None:
    """Computes a response that is stored as queued. Cancelled from outside when nobody wants it any more."""
    last: list[Event] = []
    run.body["status"] = "in_progress"
    if not await record.write(run):
        return
    try:
        async with aclosing(run.growing()) as growing:
            async for events in growing:
                if run.body["status"] != "in_progress":
                    last = events
                elif not await record.add(run, events):
                    return
    except NOT_BUGS:
        raise
    except RequestError as error:
        last = run.fail(error)
    except BaseException as error:  # noqa: BLE001 - the border of a request: a bug ends this one response only
        log_bug(run.body["id"], ROUTE, error)
        last = run.fail(RequestError(ErrorCode.STEP_FAILED, BUG))
    await record.end(run, last)


async def follow(store: ResponseStore, stored: Stored, after: int) -> AsyncGenerator[bytes]:
    """The events with higher numbers than `after`, as they come. Raises RequestError when the response is deleted."""
    while True:
        is_running = (await store.get(stored.id, stored.owner)).is_running  # before its events: none is missed
        events = await store.events_after(stored.id, after, MAX_EVENTS_A_LOOK)
        if events:
            after = events[-1][0]
            yield b"".join(event for _, event in events)
        elif not is_running:
            return
        else:
            await asyncio.sleep(LOOK_S)
