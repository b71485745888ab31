"""The store as the event loop sees it: errors are one request's, nobody else's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from frontend.responses.store import ResponseStore
from frontend.responses.table import new_stored
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError, StartupError

RESPONSE_ID = "resp_" + "0" * 32


def config(folder: Path, **more: Any) -> FrontendConfig:
    settings = FrontendConfig(
        frontend_id=0,
        epoch=1,
        metrics_slot=0,
        scheduler_address="ipc:///nowhere",
        runtime_dir=str(folder),
        max_body_bytes=1000,
        shutdown_timeout_s=1.0,
    )
    return structs.replace(settings, **more)


def body_of(response_id: str, previous: str | None = None) -> dict[str, Any]:
    return {"id": response_id, "status": "completed", "previous_response_id": previous, "output": []}


def code_of(work: Any) -> ErrorCode:
    with pytest.raises(RequestError) as refused:
        asyncio.run(work)
    return refused.value.code


def test_a_file_that_cannot_be_opened_fails_requests_with_503(tmp_path: Path) -> None:
    store = ResponseStore(config(tmp_path, responses_store=str(tmp_path / "missing" / "file")))
    with pytest.raises(StartupError, match="responses-store"):
        store.check()
    assert code_of(store.get(RESPONSE_ID, "me")) is ErrorCode.STORE_FAILED
    (tmp_path / "missing").mkdir()
    assert code_of(store.get(RESPONSE_ID, "me")) is ErrorCode.RESPONSE_NOT_FOUND  # it is tried again


def test_a_file_that_is_no_database_fails_requests_with_503(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is not a database at all. " * 100)
    store = ResponseStore(config(tmp_path, responses_store=str(tmp_path / "text")))
    assert code_of(store.get(RESPONSE_ID, "me")) is ErrorCode.STORE_FAILED


@pytest.mark.parametrize("strange", ["", "x", "resp_' OR 1=1", "resp_\ud800", "resp_" + "0" * 10_000])
def test_ids_of_another_form_are_never_looked_for(tmp_path: Path, strange: str) -> None:
    store = ResponseStore(config(tmp_path))
    assert code_of(store.get(strange, "me")) is ErrorCode.RESPONSE_NOT_FOUND
    assert code_of(store.delete(strange, "me")) is ErrorCode.RESPONSE_NOT_FOUND
    assert code_of(store.chain(strange, "me")) is ErrorCode.INVALID_REQUEST
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_no_responses_knows_none(tmp_path: Path) -> None:
    store = ResponseStore(config(tmp_path, responses_max_count=0))
    assert not store.is_enabled
    assert code_of(store.get(RESPONSE_ID, "me")) is ErrorCode.RESPONSE_NOT_FOUND


def test_a_conversation_has_a_largest_size(tmp_path: Path) -> None:
    async def run() -> None:
        store = ResponseStore(config(tmp_path))
        second = RESPONSE_ID[:-1] + "1"
        await store.insert(new_stored("me", body_of(RESPONSE_ID), b"[1]"))
        assert [stored.id for stored in await store.chain(RESPONSE_ID, "me")] == [RESPONSE_ID]
        await store.insert(new_stored("me", body_of(second, RESPONSE_ID), b"[" + b" " * 1000 + b"]"))
        await store.chain(second, "me")

    assert code_of(run()) is ErrorCode.INVALID_REQUEST


def test_one_response_takes_its_share_at_most(tmp_path: Path) -> None:
    store = ResponseStore(config(tmp_path, responses_max_bytes=8000))
    store.check_size(1000)
    with pytest.raises(RequestError, match="'store': false"):
        store.check_size(1001)


def test_a_file_of_the_operators_outlives_the_process(tmp_path: Path) -> None:
    path = str(tmp_path / "kept.sqlite")
    before, after = (ResponseStore(config(tmp_path / folder, responses_store=path)) for folder in ("one", "two"))
    before.check()
    asyncio.run(before.insert(new_stored("me", body_of(RESPONSE_ID), b"[]")))
    before.close()
    assert asyncio.run(after.get(RESPONSE_ID, "me")).body()["id"] == RESPONSE_ID
    after.close()
