"""One request kills whatever computes it, or raises an exception there: it fails alone."""

import asyncio

from scripts.chaos_testing.answers import Answer
from scripts.chaos_testing.http_client import Attempt, ask
from tests.support.fake_load import (
    MODELS,
    Asked,
    answered_while,
    check_answers,
    completion,
    mixed_load,
    port_of,
    scores,
)
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer

DEADLY, RAISING = "\x01", "\x02"  # bytes are the fake models' tokens
ENVIRONMENT = {"ZEROLANE_POISON_TOKEN": "1", "ZEROLANE_RAISE_TOKEN": "2"}
MOST_DEATHS = 4


def start(start_server: StartServer) -> Server:
    return start_server(*MODELS, "--fake-step-ms", "3", "--spares", "1", environment=ENVIRONMENT)


def asked_among_others(server: Server, bad: Asked) -> Attempt:
    """The answer to `bad`, asked while 31 others are being answered; theirs are right."""
    attempts: list[Attempt] = []

    async def ask_it() -> None:
        attempts.append(await ask(port_of(server), bad.question))

    load = mixed_load(31, num_tokens=100)
    check_answers(load, asyncio.run(answered_while(server, load, ask_it)))
    return attempts[0]


def test_a_deadly_request_fails_alone(start_server: StartServer) -> None:
    server = start(start_server)
    deaths = 0.0
    for bad in (completion(f"a prompt with {DEADLY}", 8, temperature=0), scores("query", ["b", f"a {DEADLY}", "c"])):
        attempt = asked_among_others(server, bad)
        assert (attempt.status, attempt.error_code) == (500, "worker_crash_loop")
        before, deaths = deaths, metric(server.url, "zerolane_worker_deaths_total")
        assert deaths - before <= MOST_DEATHS
    assert metric(server.url, "zerolane_requests_finished_total", reason="error") == 2


def test_an_exception_fails_its_request_alone(start_server: StartServer) -> None:
    server = start(start_server)
    for bad in (completion(f"a prompt with {RAISING}", 8, temperature=0), scores("query", [f"a {RAISING}", "b"])):
        attempt = asked_among_others(server, bad)
        assert (attempt.status, attempt.error_code, attempt.answer) == (500, "step_failed", None)
    assert metric(server.url, "zerolane_worker_deaths_total") == 0
    after = completion("afterwards", 5, temperature=0)
    assert asyncio.run(ask(port_of(server), after.question)).answer == after.answer != Answer()
