"""The responses that this frontend computes in the background: nobody waits for them but the store.

A heartbeat writes into the store that they are alive and reads which of them still shall be: a response that was
cancelled or deleted through another frontend ends here within HEARTBEAT_S. When this process dies the heartbeats end,
and whoever looks at the response later marks it as failed (`table.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from frontend.request_log import log_bug
from frontend.responses.store import ResponseStore
from ipc.errors import RequestError

HEARTBEAT_S = 0.5
ROUTE = "/v1/responses"


class BackgroundRuns:
    """Lives on the event loop."""

    def __init__(self, store: ResponseStore, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._heart: asyncio.Task[None] | None = None

    def start(self, response_id: str, run: Coroutine[Any, Any, None], on_end: Callable[[], None]) -> None:
        """Runs it until it ends or is stopped; `on_end` is called in any case."""
        task = asyncio.get_running_loop().create_task(run)
        self._runs[response_id] = task
        task.add_done_callback(lambda task: self._ended(response_id, task, on_end))
        if self._heart is None:
            self._heart = asyncio.get_running_loop().create_task(self._beat())

    def stop(self, response_id: str) -> None:
        """Gives it up, if it runs here."""
        if (task := self._runs.get(response_id)) is not None:
            task.cancel()

    def _ended(self, response_id: str, task: asyncio.Task[None], on_end: Callable[[], None]) -> None:
        del self._runs[response_id]
        on_end()
        if not task.cancelled() and (error := task.exception()) is not None:
            log_bug(response_id, ROUTE, error)

    async def _beat(self) -> None:
        while self._runs:
            await asyncio.sleep(self._heartbeat_s)
            runs = list(self._runs)
            try:
                wanted = await self._store.keep_alive(runs)
            except RequestError:  # logged by the store; there may be a next time
                continue
            for response_id in runs:
                if response_id not in wanted:
                    self.stop(response_id)
        self._heart = None
