"""Runs that nobody waits for end when they are done, when they are stopped, and when the store says so."""

import asyncio
from collections.abc import Sequence

from frontend.responses.background import BackgroundRuns
from frontend.responses.store import ResponseStore
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError


class ScriptedStore(ResponseStore):
    """Says of every response that it is wanted, but for `unwanted`; fails as often as `failures` says."""

    def __init__(self) -> None:
        super().__init__(
            FrontendConfig(
                frontend_id=0,
                epoch=1,
                metrics_slot=0,
                scheduler_address="",
                runtime_dir="",
                max_body_bytes=1000,
                shutdown_timeout_s=1.0,
            )
        )
        self.unwanted: set[str] = set()
        self.failures = 0
        self.num_beats = 0

    async def keep_alive(self, response_ids: Sequence[str]) -> set[str]:
        self.num_beats += 1
        if self.failures:
            self.failures -= 1
            raise RequestError(ErrorCode.STORE_FAILED, "busy")
        return set(response_ids) - self.unwanted


def test_what_the_store_does_not_want_any_more_ends() -> None:
    async def run() -> None:
        store = ScriptedStore()
        store.unwanted, store.failures = {"b"}, 2
        runs = BackgroundRuns(store, heartbeat_s=0.001)
        ended: asyncio.Queue[str] = asyncio.Queue()
        done = asyncio.Event()

        async def work(until: asyncio.Event) -> None:
            await until.wait()

        runs.start("a", work(done), lambda: ended.put_nowait("a"))
        runs.start("b", work(asyncio.Event()), lambda: ended.put_nowait("b"))
        runs.start("c", work(asyncio.Event()), lambda: ended.put_nowait("c"))
        runs.stop("c")
        runs.stop("unknown")
        async with asyncio.timeout(5.0):
            assert [await ended.get(), await ended.get()] == ["c", "b"]
            done.set()
            assert await ended.get() == "a"
        assert store.num_beats >= 3

    asyncio.run(run())


def test_hearts_beat_only_while_something_runs() -> None:
    async def run() -> None:
        store = ScriptedStore()
        runs = BackgroundRuns(store, heartbeat_s=0.001)
        for _ in range(2):
            ended = asyncio.Event()
            runs.start("a", asyncio.sleep(0.01), ended.set)
            async with asyncio.timeout(5.0):
                await ended.wait()
                while len(asyncio.all_tasks()) > 1:
                    await asyncio.sleep(0)
        assert store.num_beats >= 2

    asyncio.run(run())
