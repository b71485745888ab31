"""The stored responses as the event loop sees them: every call runs in the store's one thread, and what goes wrong
there fails the request that called, and nothing else."""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import orjson

from frontend.responses.input_items import MAX_SHOWN
from frontend.responses.status import Body, without_logprobs
from frontend.responses.table import Limits, ResponseTable, Stored
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError, StartupError

log = logging.getLogger("zerolane.frontend.responses.store")
T = TypeVar("T")

FILE = "responses.sqlite"
MAX_CHAIN = 1000  # responses of one conversation
MAX_SHARE = 8  # one response takes at most this part of the store's bytes
RETRY_AFTER_S = 2.0
_ID = re.compile(r"resp_[0-9a-f]{32}")  # what `new_id` makes: nothing else is ever looked for


class ResponseStore:
    """Made with the process; the file is opened by the first call that needs it. Every method raises RequestError
    STORE_FAILED when SQLite cannot do it."""

    def __init__(self, config: FrontendConfig) -> None:
        self._path = Path(config.responses_store or Path(config.runtime_dir) / FILE).expanduser()
        self._limits = Limits(config.responses_max_count, config.responses_max_age, config.responses_max_bytes)
        self._max_chain_bytes = config.max_body_bytes  # a conversation is bounded as if it were sent whole
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="responses")
        self._table: ResponseTable | None = None

    def check(self) -> None:
        """At the start of the process: raises StartupError when the operator's file cannot be used."""
        try:
            self._thread.submit(self._opened).result()
        except (sqlite3.Error, OSError) as error:
            message = f"The store of responses --responses-store {self._path} cannot be opened: {error}"
            raise StartupError(message) from error

    def close(self) -> None:
        """At the end of the process: blocks until what was begun is written."""
        self._thread.submit(self._close_table).result()
        self._thread.shutdown()

    @property
    def is_enabled(self) -> bool:
        return self._limits.max_count > 0

    @property
    def max_response_bytes(self) -> int:
        """Of one response's input and body."""
        return self._limits.max_bytes // MAX_SHARE

    def check_size(self, num_bytes: int) -> None:
        """Raises RequestError when a request is too large to be stored."""
        if num_bytes > self.max_response_bytes:
            message = f"The response would take {num_bytes} bytes in the store, where one may have "
            advice = f"{self.max_response_bytes}. Send less, or 'store': false."
            raise RequestError(ErrorCode.INVALID_REQUEST, message + advice, "input")

    def bounded(self, body: Body) -> Body:
        """What is stored of a response: all of it, or if that is too large, what is left without logprobs."""
        return body if len(orjson.dumps(body)) <= self.max_response_bytes else without_logprobs(body)

    async def insert(self, stored: Stored) -> None:
        await self._call(lambda table: table.insert(stored))

    async def get(self, response_id: str, owner: str) -> Stored:
        """Raises RequestError RESPONSE_NOT_FOUND."""
        stored: Stored | None = None
        if self._may_have(response_id):
            stored = await self._call(lambda table: table.get(response_id, owner))
        if stored is None:
            raise not_found(response_id)
        return stored

    async def chain(self, response_id: str, owner: str) -> list[Stored]:
        """The response and all before it, the oldest first. Raises RequestError naming `previous_response_id`."""
        param = "previous_response_id"
        found: list[Stored] | None = None
        if self._may_have(response_id):
            found = await self._call(lambda table: table.chain(response_id, owner, MAX_CHAIN, self._max_chain_bytes))
        if found is None:
            message = f"Previous response with id '{response_id[:MAX_SHOWN]}' not found."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
        if len(found) > MAX_CHAIN or sum(stored.size for stored in found) > self._max_chain_bytes:
            message = f"The conversation has more than {MAX_CHAIN} responses or {self._max_chain_bytes} bytes."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
        return found

    async def update(self, body: Body, first: int = 0, events: Sequence[bytes] = ()) -> bool:
        """Writes the new body of a running response and its events `first`, `first` + 1, ...
        False: it does not run any more, or was deleted."""
        return await self._call(lambda table: table.update(body["id"], body, first, events))

    async def append(self, response_id: str, first: int, events: Sequence[bytes]) -> bool:
        """As `update`, without a new body."""
        return await self._call(lambda table: table.append(response_id, first, events))

    async def is_running(self, response_id: str, owner: str) -> bool:
        """Raises RequestError RESPONSE_NOT_FOUND."""
        is_running: bool | None = None
        if self._may_have(response_id):
            is_running = await self._call(lambda table: table.is_running(response_id, owner))
        if is_running is None:
            raise not_found(response_id)
        return is_running

    async def keep_alive(self, response_ids: Sequence[str]) -> set[str]:
        """Says that they are being computed. Returns those that still shall be."""
        return await self._call(lambda table: table.keep_alive(response_ids))

    async def delete(self, response_id: str, owner: str) -> None:
        """Raises RequestError RESPONSE_NOT_FOUND."""
        if not (self._may_have(response_id) and await self._call(lambda table: table.delete(response_id, owner))):
            raise not_found(response_id)

    async def events_after(self, response_id: str, number: int, max_events: int) -> list[tuple[int, bytes]]:
        return await self._call(lambda table: table.events_after(response_id, number, max_events))

    def _close_table(self) -> None:
        if self._table is not None:
            self._table.close()

    def _may_have(self, response_id: str) -> bool:
        return self.is_enabled and _ID.fullmatch(response_id) is not None

    async def _call(self, work: Callable[[ResponseTable], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: work(self._opened()))
        except (sqlite3.Error, OSError) as error:
            log.error("the responses' store failed", extra={"fields": {"path": str(self._path), "error": str(error)}})
            message = "The store of responses failed; the server's log says why."
            raise RequestError(ErrorCode.STORE_FAILED, message, retry_after_s=RETRY_AFTER_S) from error

    def _opened(self) -> ResponseTable:
        """In the store's thread."""
        if self._table is None:
            self._table = ResponseTable(self._path, self._limits)
        return self._table


def not_found(response_id: str) -> RequestError:
    message = f"Response with id '{response_id[:MAX_SHOWN]}' not found."
    return RequestError(ErrorCode.RESPONSE_NOT_FOUND, message, "response_id")
