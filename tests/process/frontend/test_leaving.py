"""A frontend that is replaced in a rolling restart: it accepts no connection, refuses no request, and leaves nobody."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from msgspec import Struct

from frontend.leaving import QUIET_S
from ipc.control_messages import Drain, Drained
from ipc.messages import FinishReason, SubmitGenerate
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text, token_rows

pytestmark = pytest.mark.process


@pytest.fixture
def frontend(own_pair: tuple[FrontendUnderTest, ScriptedScheduler]) -> FrontendUnderTest:
    return own_pair[0]


@pytest.fixture
def scheduler(own_pair: tuple[FrontendUnderTest, ScriptedScheduler]) -> ScriptedScheduler:
    return own_pair[1]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def client(frontend: FrontendUnderTest) -> httpx.Client:
    """One connection, kept alive."""
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    return httpx.Client(base_url=frontend.url, limits=limits, timeout=DEADLINE_S)


def test_a_stream_ends_and_the_next_request_on_its_connection_closes_it(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, client: httpx.Client
) -> None:
    scheduler.answer = begins
    with client, client.stream("POST", "/v1/completions", json={"prompt": "x", "stream": True}) as streamed:
        assert streamed.headers["connection"] == "keep-alive"
        submit = scheduler.next(SubmitGenerate)
        frontend.link.send(Drain(refuse=False))
        wait_until_it_accepts_nobody(frontend)
        scheduler.send(token_rows((submit.stream_id, 1, 98, FinishReason.LENGTH)))
        assert streamed.read().endswith(b"data: [DONE]\n\n")
        streamed.close()
        scheduler.answer = answers_text("after all")
        late = client.post("/v1/completions", json={"prompt": "y"})
    assert late.json()["choices"][0]["text"] == "after all"
    assert late.headers["connection"] == "close"
    frontend.wait_for(Drained)
    assert frontend.stop() == 0


def test_a_reply_that_has_not_begun_says_that_its_connection_closes(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, pool: ThreadPoolExecutor, client: httpx.Client
) -> None:
    running = pool.submit(client.post, "/v1/completions", json={"prompt": "x"})
    submit = scheduler.next(SubmitGenerate)
    frontend.link.send(Drain(refuse=False))
    wait_until_it_accepts_nobody(frontend)
    scheduler.send(token_rows((submit.stream_id, 0, 97, FinishReason.LENGTH)))
    assert running.result(DEADLINE_S).headers["connection"] == "close"
    frontend.wait_for(Drained)
    assert frontend.stop() == 0


def test_quiet_connections_are_closed_after_a_while(frontend: FrontendUnderTest, client: httpx.Client) -> None:
    with client:
        client.get("/health").raise_for_status()
        frontend.link.send(Drain(refuse=False))
        assert frontend.link.receive(QUIET_S / 2) is None
        assert client.get("/health").headers["connection"] == "close"
        frontend.wait_for(Drained)
    assert frontend.stop() == 0


def begins(record: Struct) -> Iterator[Struct]:
    """The first token of each stream."""
    if isinstance(record, SubmitGenerate):
        yield token_rows((record.stream_id, 0, 97, FinishReason.NONE))


def wait_until_it_accepts_nobody(frontend: FrontendUnderTest) -> None:
    """Only this process has the listening socket here, so it is gone when this one closes it."""
    for _ in range(1000):
        try:
            httpx.get(f"{frontend.url}/health", timeout=DEADLINE_S)
        except httpx.TransportError:
            return
    pytest.fail("it goes on accepting")
