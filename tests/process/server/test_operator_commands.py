"""What an operator does to a whole server while clients stream: nobody is refused, and every text is exact."""

import asyncio
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from ipc.operator_protocol import (
    AskDrain,
    AskRollingRestart,
    CommandProgress,
    Ended,
    ProcessStatus,
    Refused,
    Restarted,
    Scaled,
)
from tests.support.children import ROOT
from tests.support.fake_text import expected_text
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import DEADLINE_S, eventually
from tests.support.sse_client import stream_completion

NUM_CLIENTS = 8
STEP_MS = "5"


class StreamingClients:
    """Each streams one completion after the other over a connection that is kept alive."""

    def __init__(self, server: Server, max_tokens: int = 60) -> None:
        self._server = server
        self._max_tokens = max_tokens
        self.are_enough = False
        self.num_streams = 0

    async def run_during(self, command: Callable[[], None]) -> None:
        """All of them, until `command` has come back and each has ended its stream."""
        async with httpx.AsyncClient(base_url=self._server.url, timeout=DEADLINE_S) as client:
            tasks = [asyncio.create_task(self._stream(client, number)) for number in range(NUM_CLIENTS)]
            await asyncio.to_thread(self._wait_for_tokens)
            try:
                await asyncio.to_thread(command)
            finally:
                self.are_enough = True
                await asyncio.gather(*tasks)

    async def _stream(self, client: httpx.AsyncClient, number: int) -> None:
        for round_number in range(10_000):
            if self.are_enough:
                return
            prompt = f"client {number}, stream {round_number}"
            body = {"prompt": prompt, "max_tokens": self._max_tokens, "ignore_eos": True, "temperature": 0}
            streamed = await stream_completion(client, body)
            assert streamed.errors == []
            assert streamed.text == expected_text(prompt, self._max_tokens, ignore_eos=True)
            self.num_streams += 1

    def _wait_for_tokens(self) -> None:
        url = self._server.url
        eventually(lambda: metric(url, "zerolane_generation_tokens_total") >= NUM_CLIENTS, "tokens flow")


def pids(processes: list[ProcessStatus]) -> set[int]:
    return {process.pid for process in processes}


def test_a_rolling_restart_replaces_every_process_under_load(start_server: StartServer) -> None:
    options = ["--workers", "2", "--spares", "1", "--frontends", "2", "--fake-step-ms", STEP_MS]
    server = start_server("fake:generate", *options)
    before = server.served.status().processes
    replies = []
    clients = StreamingClients(server)
    asyncio.run(clients.run_during(lambda: replies.extend(server.served.replies_to(AskRollingRestart()))))
    assert isinstance(replies[-1], Restarted)
    assert (replies[-1].workers, replies[-1].spares, replies[-1].frontends) == (2, 1, 2)
    assert replies[-1].frontends_killed == 0
    assert clients.num_streams >= NUM_CLIENTS
    after = server.served.status().processes
    supervisor = before[0].pid
    assert pids(before) & pids(after) == {supervisor}
    assert sorted(process.role for process in before) == sorted(process.role for process in after)
    assert all(process.state == "ready" for process in after[1:])
    assert metric(server.url, "zerolane_worker_deaths_total") == 0
    assert metric(server.url, "zerolane_http_requests_total", status="503") == 0


def test_a_frontend_that_does_not_finish_in_time_is_killed_and_counted(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", "20")
    body = {"prompt": "long", "max_tokens": 4000, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=DEADLINE_S) as response:
        lines = response.iter_lines()
        next(lines)
        *_, reply = server.served.replies_to(AskRollingRestart(timeout_s=0.2))
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert isinstance(reply, Restarted)
    assert reply.frontends_killed == 1
    eventually(lambda: metric(server.url, "zerolane_num_requests_running") == 0, "its stream is aborted")


def test_a_ready_spare_is_put_to_work_and_replaced(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--spares", "1", "--fake-step-ms", STEP_MS)
    spare = server.served.of("spare")[0]

    def scale() -> None:
        reply = server.served.scale(2)
        assert isinstance(reply, Scaled)
        assert (reply.workers, reply.spares, reply.started) == (2, 1, 1)

    asyncio.run(StreamingClients(server).run_during(scale))
    assert spare.pid in pids(server.served.of("worker"))
    assert pids(server.served.of("spare")).isdisjoint({spare.pid})
    assert isinstance(server.served.scale(spares=0), Scaled)
    assert server.served.of("spare") == []


def test_pools_are_added_spread_over_and_removed(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--workers", "4", "--fake-step-ms", STEP_MS)
    pages = metric(server.url, "zerolane_kv_pages_total")

    def scale() -> None:
        reply = server.served.scale(pools=2)
        assert isinstance(reply, Scaled)
        assert (reply.workers, reply.pools, reply.started, reply.stopped) == (4, 2, 0, 0)
        assert sorted(process.pool or 0 for process in server.served.of("worker")) == [0, 0, 1, 1]
        eventually(lambda: metric(server.url, "zerolane_kv_pages_total") == 2 * pages, "the gauge follows")
        assert isinstance(server.served.scale(2, pools=1), Scaled)

    asyncio.run(StreamingClients(server).run_during(scale))
    assert [process.pool for process in server.served.of("worker")] == [0, 0]
    eventually(lambda: metric(server.url, "zerolane_kv_pages_used") == 0, "all pages are free")
    assert metric(server.url, "zerolane_kv_pages_total") == pages


def test_more_pools_than_workers_are_refused_before_anything_changes(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--workers", "2")
    reply = server.served.scale(pools=3)
    assert isinstance(reply, Refused)
    assert reply.message == "3 pools need as many workers, and there would be 2."
    assert "--workers 3" in reply.advice
    assert server.served.status().pools == 1


def test_drain_finishes_open_requests_and_ends_with_0(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", STEP_MS)
    clients = StreamingClients(server, max_tokens=200)
    replies = []

    def drain() -> None:
        clients.are_enough = True  # a new request would be refused
        replies.extend(server.served.replies_to(AskDrain()))

    asyncio.run(clients.run_during(drain))
    assert CommandProgress(f"{NUM_CLIENTS} requests are open") in replies
    assert isinstance(replies[-1], Ended)
    assert (replies[-1].exit_code, replies[-1].requests_ended) == (0, 0)
    assert clients.num_streams == NUM_CLIENTS
    assert server.served.wait() == 0


def test_drain_ends_what_does_not_finish_in_time(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", "20")
    body = {"prompt": "long", "max_tokens": 4000, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=DEADLINE_S) as response:
        lines = response.iter_lines()
        next(lines)
        *_, reply = server.served.replies_to(AskDrain(timeout_s=0.2))
        assert any("shutting_down" in line for line in lines)
    assert isinstance(reply, Ended)
    assert (reply.exit_code, reply.requests_ended) == (0, 1)
    assert server.served.wait() == 0


def test_the_live_table_goes_on_until_the_server_ends(start_server: StartServer) -> None:
    server = start_server("fake:generate")
    command = [sys.executable, "-m", "zerolane", "status", "--watch", "0.1", "--runtime-dir", str(server.served.base)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        num_tables = 0
        for line in watching.stdout:
            num_tables += line.startswith("ROLE")
            if num_tables == 2:
                break
        server.served.replies_to(AskDrain())
        rest = watching.stdout.read()
        assert watching.wait(DEADLINE_S) == 0
    assert rest.splitlines()[-1].startswith("The server ")
