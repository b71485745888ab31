"""The stored responses: one SQLite file that all frontends of the server share, in write-ahead mode.

    queued, in_progress --update--> completed, incomplete, failed
            |-------------cancel--> cancelled
            |--nobody keeps it alive for DEAD_S--> failed, marked by whoever looks next

Only responses that run in the background are stored before they have ended. Everything here blocks; `store.py` calls it
from a thread.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from frontend.responses.events import encode_event
from frontend.responses.input_items import Item
from frontend.responses.status import RUNNING, Body, fail

DEAD_S = 15.0  # a frontend that did not say for so long that it computes a response is dead, or as good as
BUSY_S = 5.0  # wait for another process' transaction
RETRY_S = 0.02  # between looks, where SQLite does not wait by itself
LOST = "The server process that computed this response ended before it was done."

_TABLES = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,          -- the account of the API key it was made with
    previous TEXT,                -- id of the response before it in the conversation
    status TEXT NOT NULL,
    created_at REAL NOT NULL,     -- Unix seconds
    alive_at REAL NOT NULL,       -- Unix seconds, when its frontend last said that it computes it
    size INTEGER NOT NULL,        -- bytes of input, body and events
    has_events INTEGER NOT NULL,  -- its events are stored too
    input BLOB NOT NULL,          -- JSON: its own input items
    body BLOB NOT NULL            -- JSON: the response object
);
CREATE INDEX IF NOT EXISTS responses_by_age ON responses (created_at, size);
CREATE TABLE IF NOT EXISTS events (
    response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    event BLOB NOT NULL,          -- as it is sent
    PRIMARY KEY (response, number)
) WITHOUT ROWID;
"""
_COLUMNS = "id, owner, previous, status, created_at, alive_at, has_events, input, body"


@dataclass(frozen=True)
class Limits:
    """What the store keeps. The oldest responses go first."""

    max_count: int
    max_age_s: float
    max_bytes: int


@dataclass(frozen=True)
class Stored:
    """One response as it is stored. `input` and `body` are decoded when they are asked for."""

    id: str
    owner: str
    previous: str | None
    status: str
    created_at: float
    alive_at: float
    has_events: bool  # 0 or 1 when it comes from the file
    input_json: bytes
    body_json: bytes

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING

    @property
    def size(self) -> int:
        return len(self.input_json) + len(self.body_json)

    def input(self) -> list[Item]:
        items: list[Item] = orjson.loads(self.input_json)
        return items

    def body(self) -> Body:
        body: Body = orjson.loads(self.body_json)
        return body


class ResponseTable:
    """One connection, used by one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(self, path: Path, limits: Limits) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its own files beside it the same mode
        self._limits = limits
        self._link = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._set_up()
        except BaseException:
            self._link.close()
            raise

    def close(self) -> None:
        self._link.close()

    def _set_up(self) -> None:
        """Waits for others that open the file: SQLite itself does not wait when it changes the journal's mode."""
        give_up_at = time.monotonic() + BUSY_S
        while True:
            try:
                for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                    self._link.execute(f"PRAGMA {pragma}")
                self._link.executescript(_TABLES)
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the rest says why
                if not is_busy or time.monotonic() > give_up_at:
                    raise
            time.sleep(RETRY_S)

    def insert(self, stored: Stored) -> None:
        """Enters a new response, and lets go of what is too old or too much."""
        with self._writing():
            values = (stored.id, stored.owner, stored.previous, stored.status, stored.created_at, stored.alive_at)
            blobs = (stored.size, stored.has_events, stored.input_json, stored.body_json)
            self._link.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, *blobs))
            self._make_room(stored.id)

    def get(self, response_id: str, owner: str) -> Stored | None:
        """The response, if there is one that this owner may see; failed, if its frontend died."""
        query = f"SELECT {_COLUMNS} FROM responses WHERE id = ? AND owner = ? AND created_at > ?"
        row = self._link.execute(query, (response_id, owner, self._oldest())).fetchone()
        if row is None:
            return None
        stored = Stored(*row)
        if not stored.is_running or time.time() - stored.alive_at < DEAD_S:
            return stored
        self._mark_lost(stored)
        return self.get(response_id, owner)

    def is_running(self, response_id: str, owner: str) -> bool | None:
        """As `get` would tell, without reading the response. None: there is none that this owner may see."""
        query = "SELECT status, alive_at FROM responses WHERE id = ? AND owner = ? AND created_at > ?"
        row = self._link.execute(query, (response_id, owner, self._oldest())).fetchone()
        if row is None:
            return None
        status, alive_at = row
        if status not in RUNNING or time.time() - alive_at < DEAD_S:
            return status in RUNNING
        stored = self.get(response_id, owner)  # marks it as failed
        return None if stored is None else stored.is_running

    def chain(self, response_id: str, owner: str, max_count: int, max_bytes: int) -> list[Stored] | None:
        """The response and all before it, the oldest first; None when one of them is not there.

        Stops, with what it has, as soon as that is more than `max_count` responses or `max_bytes`.
        """
        found: list[Stored] = []
        num_bytes = 0
        next_id: str | None = response_id
        while next_id is not None and len(found) <= max_count and num_bytes <= max_bytes:
            stored = self.get(next_id, owner)
            if stored is None:
                return None
            found.append(stored)
            num_bytes += stored.size
            next_id = stored.previous
        return found[::-1]

    def update(self, response_id: str, body: Body, first: int = 0, events: Sequence[bytes] = ()) -> bool:
        """Writes the new body of a running response and its events `first`, `first` + 1, ...; both or nothing.
        False: it does not run any more, or was deleted."""
        encoded = orjson.dumps(body)
        num_bytes = len(encoded) + sum(map(len, events))
        change = "SET status = ?, size = size + ? - length(body), body = ?, alive_at = ?"
        values = (body["status"], num_bytes, encoded, time.time(), response_id)
        query = f"UPDATE responses {change} WHERE id = ? AND status IN ('queued', 'in_progress')"
        with self._writing():
            if self._link.execute(query, values).rowcount == 0:
                return False
            self._insert_events(response_id, first, events)
            return True

    def append(self, response_id: str, first: int, events: Sequence[bytes]) -> bool:
        """As `update`, but the body stays as it is."""
        change = "SET size = size + ?, alive_at = ?"
        query = f"UPDATE responses {change} WHERE id = ? AND status IN ('queued', 'in_progress')"
        with self._writing():
            if self._link.execute(query, (sum(map(len, events)), time.time(), response_id)).rowcount == 0:
                return False
            self._insert_events(response_id, first, events)
            return True

    def keep_alive(self, response_ids: Iterable[str]) -> set[str]:
        """Says that they are being computed. Returns those that still shall be."""
        with self._writing():
            query = "UPDATE responses SET alive_at = ? WHERE id = ? AND status IN ('queued', 'in_progress')"
            return {
                response_id
                for response_id in response_ids
                if self._link.execute(query, (time.time(), response_id)).rowcount == 1
            }

    def delete(self, response_id: str, owner: str) -> bool:
        """False: there was none. One that runs is given up by its frontend at its next `keep_alive`."""
        query = "DELETE FROM responses WHERE id = ? AND owner = ? AND created_at > ?"
        return self._link.execute(query, (response_id, owner, self._oldest())).rowcount == 1

    def events_after(self, response_id: str, number: int, max_events: int) -> list[tuple[int, bytes]]:
        """Events with higher numbers, in order."""
        query = "SELECT number, event FROM events WHERE response = ? AND number > ? ORDER BY number LIMIT ?"
        return self._link.execute(query, (response_id, number, max_events)).fetchall()

    def _insert_events(self, response_id: str, first: int, events: Sequence[bytes]) -> None:
        rows = [(response_id, first + place, event) for place, event in enumerate(events)]
        self._link.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)

    def _mark_lost(self, stored: Stored) -> None:
        body = stored.body()
        fail(body, "server_error", LOST)
        query = "SELECT coalesce(max(number) + 1, 0) FROM events WHERE response = ?"
        number = self._link.execute(query, (stored.id,)).fetchone()[0]
        event = {"type": "response.failed", "response": body}
        self.update(stored.id, body, number, [encode_event(event, number)] if stored.has_events else [])

    def _oldest(self) -> float:
        return time.time() - self._limits.max_age_s

    def _make_room(self, new_id: str) -> None:
        """The oldest go that do not run, or whose frontend died; never the one that has just come."""
        self._link.execute("DELETE FROM responses WHERE created_at <= ?", (self._oldest(),))
        while True:
            count, size = self._link.execute("SELECT count(*), sum(size) FROM responses").fetchone()
            if count <= self._limits.max_count and size <= self._limits.max_bytes:
                return
            may_go = "(status NOT IN ('queued', 'in_progress') OR alive_at < ?) AND id != ?"
            oldest = f"SELECT id FROM responses WHERE {may_go} ORDER BY created_at LIMIT ?"
            values = (time.time() - DEAD_S, new_id, max(1, count - self._limits.max_count))
            if self._link.execute(f"DELETE FROM responses WHERE id IN ({oldest})", values).rowcount == 0:
                return  # all others run: the queue's limits hold for these

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction."""
        self._link.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._link.execute("ROLLBACK")
            raise
        self._link.execute("COMMIT")


def new_stored(owner: str, body: Body, input_json: bytes, has_events: bool = False) -> Stored:
    """As it is entered now. Raises TypeError for a body that is not JSON."""
    now = time.time()
    previous: Any = body["previous_response_id"]
    return Stored(body["id"], owner, previous, body["status"], now, now, has_events, input_json, orjson.dumps(body))
