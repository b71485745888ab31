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
    """What the store is told of one run: the body at its beginning and its end, and its events on the way, if
    `is_wanted`: somebody may follow them. It must be closed."""

    def __init__(self, store: ResponseStore, response_id: str, is_wanted: bool) -> None:
        self._store = store
        self._id = response_id
        self._is_wanted = is_wanted
        self._encoder = EventEncoder()
        self._num_bytes = 0  # of all events
        self._waiting: list[bytes] = []
        self._num_written = 0
        self._writer: asyncio.Task[bool] | None = None
        self._writing = asyncio.Lock()  # whoever holds it writes what waits

    async def begin(self, run: ResponseRun) -> bool:
        """False: the response shall not be computed. Raises RequestError."""
        return await self._store.update(self._store.bounded(run.body))

    def add(self, events: list[Event]) -> bool:
        """They are written soon, whether or not others come. False: the response shall not be computed any more.
        Raises the RequestError with which the writing failed."""
        if not self._is_wanted:
            return True
        self._encode(events)
        if self._writer is not None and not self._writer.done():
            return True
        if self._writer is not None and not self._writer.result():
            return False
        self._writer = asyncio.get_running_loop().create_task(self._write_waiting())
        return True

    async def end(self, run: ResponseRun, events: list[Event]) -> None:
        """The last events and the final body. Raises RequestError."""
        if self._is_wanted:
            self._encode([*events, run.last_event()])
        async with self._writing:
            await self._store.update(self._store.bounded(run.body), self._num_written, self._waiting)
            self._waiting = []

    async def close(self) -> None:
        """What still waits is not written."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def _encode(self, events: list[Event]) -> None:
        for event in events:
            encoded = self._encoder.encode(event)
            self._num_bytes += len(encoded)
            if self._num_bytes <= self._store.max_response_bytes:  # else followers learn the end from the response
                self._waiting.append(encoded)

    async def _write_waiting(self) -> bool:
        while self._waiting:
            async with self._writing:
                events = self._waiting.copy()
                if not await self._store.append(self._id, self._num_written, events):
                    return False
                del self._waiting[: len(events)]
                self._num_written += len(events)
            await asyncio.sleep(WRITE_S)
        return True


async def run_in_background(run: ResponseRun, record: EventRecord) -> None:
    """Computes a response that is stored as queued. Cancelled from outside when nobody wants it any more."""
    try:
        await _run(run, record)
    finally:
        await record.close()


async def _run(run: ResponseRun, record: EventRecord) -> None:
    last: list[Event] = []
    run.body["status"] = "in_progress"
    if not await record.begin(run):
        return
    try:
        async with aclosing(run.growing()) as growing:
            async for events in growing:
                if run.body["status"] != "in_progress":
                    last = events
                elif not record.add(events):
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
        is_running = await store.is_running(stored.id, stored.owner)  # before its events: none is missed
        events = await store.events_after(stored.id, after, MAX_EVENTS_A_LOOK)
        if events:
            after = events[-1][0]
            yield b"".join(event for _, event in events)
        elif not is_running:
            return
        else:
            await asyncio.sleep(LOOK_S)
