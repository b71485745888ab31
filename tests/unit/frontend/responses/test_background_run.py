"""What a background run tells the store: the body twice, its events soon and in order."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from frontend.responses.background_run import WRITE_S, EventRecord, follow, run_in_background
from frontend.responses.output_items import Event
from frontend.responses.run import ResponseRun
from frontend.responses.status import Body
from frontend.responses.store import ResponseStore
from frontend.responses.table import ResponseTable, Stored, new_stored
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError

RESPONSE_ID = "resp_" + "0" * 32
CONFIG = FrontendConfig(
    frontend_id=0,
    epoch=1,
    metrics_slot=0,
    scheduler_address="",
    runtime_dir="",
    max_body_bytes=1000,
    shutdown_timeout_s=1.0,
)
Script = Callable[[], AsyncGenerator[list[Event]]]


class ScriptedRun(ResponseRun):
    """Its events are those of a script; then it is completed."""

    def __init__(self, body: Body, script: Script) -> None:
        self.body = body
        self._script = script

    async def growing(self) -> AsyncGenerator[list[Event]]:
        async for events in self._script():
            yield events
        self.body["status"] = "completed"
        yield [event("last")]

    def fail(self, error: RequestError) -> list[Event]:
        self.body["status"] = "failed"
        return []


def event(name: str) -> Event:
    return {"type": name}


def in_a_store(
    folder: Path, script: Script, work: Callable[[ResponseStore, Stored, Any], Coroutine[Any, Any, None]]
) -> None:
    """Calls `work` with a store, a queued response in it, and its run as a coroutine."""

    async def go() -> None:
        store = ResponseStore(structs.replace(CONFIG, runtime_dir=str(folder)))
        body: Body = {"id": RESPONSE_ID, "status": "queued", "previous_response_id": None, "output": []}
        stored = new_stored("me", body, b"[]", has_events=True)
        await store.insert(stored)
        run = run_in_background(ScriptedRun(body, script), EventRecord(store, RESPONSE_ID, is_wanted=True))
        try:
            async with asyncio.timeout(10.0):
                await work(store, stored, run)
        finally:
            store.close()

    asyncio.run(go())


async def told(store: ResponseStore) -> list[tuple[int, str]]:
    found = await store.events_after(RESPONSE_ID, -1, 100)
    return [(number, text.split(b"\n")[0].decode().removeprefix("event: ")) for number, text in found]


def test_events_that_wait_are_written_though_no_other_comes(tmp_path: Path) -> None:
    """They waited for the next event, however long that took."""
    goes_on = asyncio.Event()

    async def script() -> AsyncGenerator[list[Event]]:
        for name in ("a", "b"):
            yield [event(name)]
        await asyncio.sleep(WRITE_S / 4)
        yield [event("c")]
        await goes_on.wait()

    async def work(store: ResponseStore, stored: Stored, run: Any) -> None:
        task = asyncio.create_task(run)
        while len(await told(store)) < 3:
            await asyncio.sleep(WRITE_S / 4)
        goes_on.set()
        await task
        assert await told(store) == [(0, "a"), (1, "b"), (2, "c"), (3, "last"), (4, "response.completed")]

    in_a_store(tmp_path, script, work)


def test_the_body_is_written_at_the_beginning_and_the_end_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flush wrote all of it, and each look of a follower read it."""
    calls: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(ResponseTable, name)

        def call(*args: Any) -> Any:
            calls.append(name)
            return method(*args)

        return call

    for name in ("update", "get"):
        monkeypatch.setattr(ResponseTable, name, counted(name))

    async def script() -> AsyncGenerator[list[Event]]:
        for number in range(3):
            yield [event(str(number))]
            await asyncio.sleep(WRITE_S * 1.5)

    async def work(store: ResponseStore, stored: Stored, run: Any) -> None:
        task = asyncio.create_task(run)
        text = b"".join([some async for some in follow(store, stored, -1)])
        await task
        assert [line for line in text.decode().split("\n") if line.startswith("event")] == [
            f"event: {name}" for name in ("0", "1", "2", "last", "response.completed")
        ]
        assert calls == ["update", "update"]

    in_a_store(tmp_path, script, work)


def test_a_response_that_is_cancelled_elsewhere_ends_with_the_next_events(tmp_path: Path) -> None:
    cancelled = asyncio.Event()

    async def script() -> AsyncGenerator[list[Event]]:
        yield [event("a")]
        await cancelled.wait()
        while True:
            yield [event("more")]
            await asyncio.sleep(WRITE_S / 4)

    async def work(store: ResponseStore, stored: Stored, run: Any) -> None:
        task = asyncio.create_task(run)
        while not await told(store):
            await asyncio.sleep(WRITE_S / 4)
        assert await store.update(stored.body() | {"status": "cancelled"})
        cancelled.set()
        await task
        assert await told(store) == [(0, "a")]

    in_a_store(tmp_path, script, work)


def test_events_whose_writing_failed_are_written_with_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*args: Any) -> bool:
        raise RequestError(ErrorCode.STORE_FAILED, "busy")

    async def script() -> AsyncGenerator[list[Event]]:
        while True:
            yield [event("a")]
            await asyncio.sleep(WRITE_S / 4)

    async def work(store: ResponseStore, stored: Stored, run: Any) -> None:
        monkeypatch.setattr(store, "append", failing)
        await run
        assert await told(store) == [(0, "a"), (1, "a"), (2, "response.failed")]

    in_a_store(tmp_path, script, work)
