"""Start, readiness, waiting for a scheduler, draining, stopping, and losing the supervisor."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ipc.control_messages import Drain, Drained, Ping, Pong, Readiness, SchedulerGone
from ipc.messages import FinishReason, SubmitGenerate
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text, token_rows

pytestmark = pytest.mark.process

Pair = tuple[FrontendUnderTest, ScriptedScheduler]


@pytest.fixture
def frontend(own_pair: Pair) -> FrontendUnderTest:
    return own_pair[0]


@pytest.fixture
def scheduler(own_pair: Pair) -> ScriptedScheduler:
    return own_pair[1]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def test_alive_before_models_are_loaded(runtime_dir: Path) -> None:
    scheduler = ScriptedScheduler(runtime_dir)
    frontend = FrontendUnderTest(runtime_dir, scheduler.address, fake_cards())
    try:
        assert httpx.get(f"{frontend.url}/health").status_code == 200
        for reply in (
            httpx.get(f"{frontend.url}/ready"),
            httpx.get(f"{frontend.url}/v1/models"),
            httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "x"}),
            httpx.post(f"{frontend.url}/v1/score", json={"text_1": "x", "text_2": "y"}),
        ):
            assert reply.status_code == 503
            assert reply.json()["error"]["code"] == "not_ready"
            assert "models are loading" in reply.json()["error"]["message"]
            assert int(reply.headers["retry-after"]) >= 1
        frontend.load_models()
        scheduler.answer = answers_text("ok")
        assert httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "x"}).status_code == 200
        assert frontend.stop() == 0
    finally:
        frontend.close()
        scheduler.close()


def test_ready_follows_the_supervisor(frontend: FrontendUnderTest) -> None:
    frontend.link.send(Readiness(False, "worker 0 is being restarted"))
    wait_until(lambda: httpx.get(f"{frontend.url}/ready").status_code == 503)
    assert "worker 0 is being restarted" in httpx.get(f"{frontend.url}/ready").text
    assert httpx.get(f"{frontend.url}/health").status_code == 200
    frontend.link.send(Readiness(True))
    wait_until(lambda: httpx.get(f"{frontend.url}/ready").status_code == 200)


def test_a_request_waits_for_the_next_scheduler(
    runtime_dir: Path, scheduler: ScriptedScheduler, frontend: FrontendUnderTest, pool: ThreadPoolExecutor
) -> None:
    scheduler.close()
    frontend.link.send(SchedulerGone(2))
    waiting = pool.submit(httpx.post, f"{frontend.url}/v1/completions", json={"prompt": "x"}, timeout=DEADLINE_S)
    wait_until(lambda: frontend.counted("zerolane_http_requests_in_flight", "/v1/completions") == 1)
    successor = ScriptedScheduler(runtime_dir, epoch=2)
    try:
        successor.answer = answers_text("late")
        assert waiting.result(DEADLINE_S).json()["choices"][0]["text"] == "late"
    finally:
        successor.close()


def test_no_scheduler_is_a_503(runtime_dir: Path) -> None:
    silent = ScriptedScheduler(runtime_dir, welcomes=False)
    frontend = FrontendUnderTest(runtime_dir, silent.address, fake_cards())
    try:
        frontend.load_models()
        reply = httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "x"}, timeout=DEADLINE_S)
        assert reply.status_code == 503
        assert reply.json()["error"]["code"] == "not_ready"
        assert silent.num_hellos > 3
    finally:
        frontend.close()
        silent.close()


def test_a_ping_is_answered_at_once(frontend: FrontendUnderTest) -> None:
    for number in (7, 8):
        frontend.link.send(Ping(number))
        assert frontend.wait_for(Pong) == Pong(number)


def test_drain_finishes_what_is_open_and_refuses_the_rest(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, pool: ThreadPoolExecutor
) -> None:
    running = pool.submit(httpx.post, f"{frontend.url}/v1/completions", json={"prompt": "x"}, timeout=DEADLINE_S)
    submit = scheduler.next(SubmitGenerate)
    frontend.link.send(Drain())
    wait_until(lambda: httpx.get(f"{frontend.url}/ready").status_code == 503)
    refused = httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "y"})
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "shutting_down"
    assert refused.headers["connection"] == "close"
    assert frontend.link.poll() is None
    scheduler.send(token_rows((submit.stream_id, 0, 97, FinishReason.LENGTH)))
    frontend.wait_for(Drained)
    assert running.result(DEADLINE_S).json()["choices"][0]["text"] == "a"
    assert frontend.stop() == 0


def test_stop_tells_open_requests(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, pool: ThreadPoolExecutor
) -> None:
    running = pool.submit(httpx.post, f"{frontend.url}/v1/completions", json={"prompt": "x"}, timeout=DEADLINE_S)
    scheduler.next(SubmitGenerate)
    assert frontend.stop() == 0
    assert running.result(DEADLINE_S).status_code == 503
    assert running.result().json()["error"]["code"] == "shutting_down"


def test_a_dead_supervisor_takes_the_runtime_folder_along(frontend: FrontendUnderTest, runtime_dir: Path) -> None:
    frontend.link.close()
    assert frontend.process.wait(DEADLINE_S) == 1
    assert not runtime_dir.exists()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
