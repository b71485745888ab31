"""The file of stored responses: who may read what, what is kept, and which state follows which."""

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontend.responses.table import DEAD_S, Limits, ResponseTable, Stored, new_stored

LIMITS = Limits(max_count=5, max_age_s=3600.0, max_bytes=1 << 20)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ResponseTable]:
    table = ResponseTable(tmp_path / "responses.sqlite", LIMITS)
    yield table
    table.close()


def response(name: str, status: str = "completed", previous: str | None = None, **more: Any) -> Stored:
    body = {"id": name, "status": status, "previous_response_id": previous, "output": [name], **more}
    return new_stored("me", body, orjson.dumps([f"input of {name}"]))


def kept(table: ResponseTable, *names: str) -> list[str]:
    return [name for name in names if table.get(name, "me") is not None]


def test_only_its_owner_sees_a_response(table: ResponseTable) -> None:
    table.insert(response("a"))
    found = table.get("a", "me")
    assert found is not None
    assert found.body()["output"] == ["a"]
    assert found.input_json == b'["input of a"]'
    assert table.get("a", "somebody else") is None
    assert table.get("a", "") is None
    assert not table.delete("a", "somebody else")
    assert table.delete("a", "me")
    assert table.get("a", "me") is None


def test_the_file_is_its_owners_alone(table: ResponseTable, tmp_path: Path) -> None:
    table.insert(response("a"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3  # with the write-ahead files


def test_a_chain_is_told_oldest_first_and_bounded(table: ResponseTable) -> None:
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        table.insert(response(name, previous=previous))
    chain = table.chain("c", "me", 10, 1 << 20)
    assert chain is not None
    assert [stored.id for stored in chain] == ["a", "b", "c"]
    cut = table.chain("c", "me", 1, 1 << 20)
    assert cut is not None
    assert [stored.id for stored in cut] == ["b", "c"]  # one more than allowed: the caller sees that it is too long
    assert len(table.chain("c", "me", 10, 1) or []) == 1
    assert table.chain("c", "somebody else", 10, 1 << 20) is None
    table.delete("a", "me")
    assert table.chain("c", "me", 10, 1 << 20) is None


def test_the_oldest_go_when_there_are_too_many(table: ResponseTable) -> None:
    names = [str(number) for number in range(8)]
    for number, name in enumerate(names):
        table.insert(replace(response(name), created_at=time.time() - 100 + number))
    assert kept(table, *names) == names[3:]


def test_the_oldest_go_when_they_are_too_large(tmp_path: Path) -> None:
    table = ResponseTable(tmp_path / "small.sqlite", replace(LIMITS, max_bytes=2500))
    for number, name in enumerate("abc"):
        table.insert(replace(response(name, text="x" * 1000), created_at=time.time() - 100 + number))
    assert kept(table, *"abc") == ["b", "c"]
    table.close()


def test_what_is_too_old_is_not_there(table: ResponseTable) -> None:
    table.insert(response("new"))
    table.insert(replace(response("old"), created_at=time.time() - LIMITS.max_age_s - 1))
    assert kept(table, "old", "new") == ["new"]
    table.insert(response("newer"))
    assert table.keep_alive(["old"]) == set()  # and is gone with the next one that comes


def test_what_runs_is_not_thrown_out(table: ResponseTable) -> None:
    table.insert(replace(response("running", "in_progress"), created_at=time.time() - 100))
    for number in range(7):
        table.insert(replace(response(str(number)), created_at=time.time() - 50 + number))
    assert kept(table, "running", "0", "1", "2", "3", "4", "5", "6") == ["running", "3", "4", "5", "6"]


def test_what_died_makes_room(table: ResponseTable) -> None:
    """Rows of dead frontends that nobody looked at were kept for ever, and each new response was thrown out at once."""
    dead = [str(number) for number in range(LIMITS.max_count)]
    for number, name in enumerate(dead):
        row = replace(response(name, "in_progress"), created_at=time.time() - 100 + number)
        table.insert(replace(row, alive_at=time.time() - DEAD_S - 1))
    table.insert(response("new"))
    assert kept(table, *dead, "new") == [*dead[1:], "new"]


def test_what_has_just_come_stays(table: ResponseTable) -> None:
    running = [str(number) for number in range(LIMITS.max_count)]
    for name in running:
        table.insert(response(name, "in_progress"))
    table.insert(response("new"))
    assert kept(table, *running, "new") == [*running, "new"]
    table.insert(response("newer"))
    assert kept(table, *running, "new", "newer") == [*running, "newer"]


def test_whether_it_runs_is_told_without_its_body(table: ResponseTable) -> None:
    for name, status in (("done", "completed"), ("runs", "queued")):
        table.insert(response(name, status))
    table.insert(replace(response("dead", "in_progress"), alive_at=time.time() - DEAD_S - 1))
    assert [table.is_running(name, "me") for name in ("done", "runs", "dead")] == [False, True, False]
    assert table.is_running("runs", "somebody else") is table.is_running("unknown", "me") is None
    found = table.get("dead", "me")
    assert found is not None
    assert found.status == "failed"


def test_whoever_ends_it_first_is_right(table: ResponseTable) -> None:
    queued = response("a", "queued")
    table.insert(queued)
    assert table.update("a", queued.body() | {"status": "in_progress"})
    assert table.keep_alive(["a", "unknown"]) == {"a"}
    assert table.update("a", queued.body() | {"status": "cancelled"})
    assert table.keep_alive(["a"]) == set()
    assert not table.update("a", queued.body() | {"status": "completed"}, 0, [b"event"])
    found = table.get("a", "me")
    assert found is not None
    assert found.body()["status"] == found.status == "cancelled"
    assert table.events_after("a", -1, 10) == []


def test_a_response_whose_frontend_died_has_failed(table: ResponseTable) -> None:
    lost = replace(response("a", "in_progress"), alive_at=time.time() - DEAD_S - 1, has_events=True)
    table.insert(lost)
    found = table.get("a", "me")
    assert found is not None
    assert found.status == "failed"
    assert found.body()["error"]["code"] == "server_error"
    [(number, event)] = table.events_after("a", -1, 10)
    assert number == 0
    assert b"response.failed" in event


def test_events_are_told_in_order_from_any_place(table: ResponseTable) -> None:
    running = response("a", "in_progress")
    table.insert(running)
    assert table.update("a", running.body(), 0, [b"zero", b"one"])
    assert table.update("a", running.body() | {"status": "completed"}, 2, [b"two"])
    assert table.events_after("a", -1, 10) == [(0, b"zero"), (1, b"one"), (2, b"two")]
    assert table.events_after("a", 0, 1) == [(1, b"one")]
    table.delete("a", "me")
    assert table.events_after("a", -1, 10) == []


def test_events_are_appended_without_the_body(table: ResponseTable, tmp_path: Path) -> None:
    running = response("a", "in_progress")
    table.insert(replace(running, alive_at=time.time() - DEAD_S + 1))
    assert table.append("a", 0, [b"zero", b"one"])
    found = table.get("a", "me")
    assert found is not None
    assert found.body_json == running.body_json
    assert found.alive_at > running.alive_at - 1
    with sqlite3.connect(tmp_path / "responses.sqlite") as link:
        assert link.execute("SELECT size FROM responses").fetchone() == (running.size + len(b"zeroone"),)
    link.close()
    assert table.update("a", running.body() | {"status": "cancelled"})
    assert not table.append("a", 2, [b"two"])
    assert table.events_after("a", -1, 10) == [(0, b"zero"), (1, b"one")]


def test_a_new_file_that_another_process_uses_is_waited_for(tmp_path: Path) -> None:
    """Frontends that opened a new file together failed with "database is locked": SQLite does not wait there."""
    path = tmp_path / "responses.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    timer.start()
    ResponseTable(path, LIMITS).close()
    timer.join()
    other.close()


def test_a_file_that_is_never_free_is_not_waited_for_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend.responses.table.BUSY_S", 0.05)
    path = tmp_path / "responses.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ResponseTable(path, LIMITS)
    other.close()


def test_every_process_sees_the_same(table: ResponseTable, tmp_path: Path) -> None:
    other = ResponseTable(tmp_path / "responses.sqlite", LIMITS)
    table.insert(response("a"))
    assert other.get("a", "me") is not None
    other.delete("a", "me")
    assert table.get("a", "me") is None
    other.close()
