"""/admin/workers: closed without a key, and for who knows it the supervisor's answers over HTTP."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from ipc.operator_protocol import (
    AskScale,
    AskStatus,
    CommandProgress,
    ModelStatus,
    ProcessStatus,
    QueueStatus,
    Refused,
    Request,
    Scaled,
    Status,
)
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler
from tests.support.scripted_supervisor import ScriptedSupervisor

pytestmark = pytest.mark.process

KEY = "s3cret \N{KEY}".encode()
HEADERS = {b"Authorization": b"Bearer " + KEY}
STATUS = Status(
    version="1",
    address="http://here",
    ready=True,
    reason="",
    phase="serving",
    processes=[ProcessStatus("worker", 0, 17, 3, "ready", 2, 1.5)],
    models=[ModelStatus(0, "m", "generate", "A", "float32", "paged", 64, 1000, 1.0, 2.0, 4, 16)],
    queue=QueueStatus(1, 2, 3),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("admin")
    path.chmod(0o700)
    return path


@pytest.fixture(scope="module")
def frontend(folder: Path) -> Iterator[FrontendUnderTest]:
    scheduler = ScriptedScheduler(folder)
    frontend = FrontendUnderTest(folder, scheduler.address, fake_cards(), admin_key=KEY.decode())
    yield frontend
    frontend.close()
    scheduler.close()


@pytest.fixture
def supervisor(folder: Path) -> Iterator[ScriptedSupervisor]:
    supervisor = ScriptedSupervisor(folder)
    yield supervisor
    supervisor.close()
    (folder / "control.sock").unlink()


def url(frontend: FrontendUnderTest) -> str:
    return f"{frontend.url}/admin/workers"


def scale(frontend: FrontendUnderTest, body: Any) -> httpx.Response:
    return httpx.post(url(frontend), json=body, headers=HEADERS, timeout=DEADLINE_S)


def test_closed_without_a_key(shared_pair: tuple[FrontendUnderTest, ScriptedScheduler]) -> None:
    frontend, _ = shared_pair
    for reply in (
        httpx.get(url(frontend)),
        httpx.get(url(frontend), headers={"Authorization": "Bearer"}),
        httpx.post(url(frontend), json={"workers": 2}, headers=HEADERS),
    ):
        assert reply.status_code == 403
        assert reply.json()["error"]["code"] == "forbidden"
        assert "--admin-key" in reply.json()["error"]["message"]
    assert ("/admin/workers", "403") in frontend.statuses()


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer wrong", KEY, b"Basic " + KEY])
def test_a_wrong_key(frontend: FrontendUnderTest, header: bytes | None) -> None:
    headers = {} if header is None else {b"Authorization": header}
    for reply in (httpx.get(url(frontend), headers=headers), httpx.post(url(frontend), headers=headers, content="{")):
        assert reply.status_code == 401
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_the_picture(frontend: FrontendUnderTest, supervisor: ScriptedSupervisor) -> None:
    supervisor.answer = lambda request: [STATUS]
    reply = httpx.get(url(frontend), headers=HEADERS)
    assert reply.status_code == 200
    body = reply.json()
    assert (body["ready"], body["processes"][0]["pid"], body["models"][0]["name"]) == (True, 17, "m")
    assert body["queue"] == {"running": 1, "waiting": 2, "waiting_tokens": 3}
    assert "reply" not in body
    assert supervisor.received.get_nowait() == AskStatus()


def test_scaling_answers_when_it_is_done_and_others_do_not_wait(
    frontend: FrontendUnderTest, supervisor: ScriptedSupervisor
) -> None:
    is_done = threading.Event()

    def answer(request: Request) -> Iterable[Struct]:
        yield CommandProgress("worker 1 is starting")
        assert is_done.wait(DEADLINE_S)
        yield Scaled(3, 2, 0, 0.5, spares=1)

    supervisor.answer = answer
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(scale, frontend, {"workers": 3, "spares": 1, "pools": None})
        assert supervisor.received.get(timeout=DEADLINE_S) == AskScale(3, 1, None)
        assert httpx.get(f"{frontend.url}/health").status_code == 200
        assert not reply.done()
        is_done.set()
        assert reply.result(DEADLINE_S).json() == {
            "workers": 3,
            "started": 2,
            "stopped": 0,
            "seconds": 0.5,
            "spares": 1,
            "pools": 1,
        }


def test_a_refusal(frontend: FrontendUnderTest, supervisor: ScriptedSupervisor) -> None:
    supervisor.answer = lambda request: [Refused("Another scale command is under way.", "Try again when it is done.")]
    reply = scale(frontend, {"workers": 3})
    assert reply.status_code == 409
    error = reply.json()["error"]
    assert error["message"] == "Another scale command is under way. Try again when it is done."
    assert (error["type"], error["code"]) == ("invalid_request_error", "conflict")


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        ({}, "workers", "workers"),
        ({"workers": None}, "workers", "workers"),
        ({"workers": 0}, "workers", ">= 1"),
        ({"workers": 65}, "workers", "<= 64"),
        ({"workers": "2"}, "workers", "str"),
        ({"workers": 2.5}, "workers", "float"),
        ({"spares": -1}, "spares", ">= 0"),
        ({"workers": 1, "pools": 0}, "pools", ">= 1"),
        ({"worker": 3}, None, "worker"),
        ([3], None, "object"),
    ],
)
def test_a_bad_body(frontend: FrontendUnderTest, body: Any, param: str | None, word: str) -> None:
    reply = scale(frontend, body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == param
    assert word in error["message"]


def test_a_supervisor_that_does_not_answer(frontend: FrontendUnderTest, supervisor: ScriptedSupervisor) -> None:
    reply = httpx.get(url(frontend), headers=HEADERS)  # it closes the connection
    assert reply.status_code == 503
    assert "closed the connection" in reply.json()["error"]["message"]


def test_no_supervisor(frontend: FrontendUnderTest) -> None:
    reply = httpx.get(url(frontend), headers=HEADERS)
    assert reply.status_code == 503
    assert "/" not in reply.json()["error"]["message"]
