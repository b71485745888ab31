"""Workers and whole KV memories come and go while clients wait."""

import asyncio

from ipc.operator_protocol import Scaled
from tests.support.fake_load import MODELS, answered_while, check_answers, mixed_load
from tests.support.metrics_client import metric
from tests.support.running_server import StartServer
from tests.support.served import eventually

STEP = ("--fake-step-ms", "5")
LOAD = mixed_load(16, num_tokens=200)


def test_one_to_four_to_one_twice(start_server: StartServer) -> None:
    server = start_server(*MODELS, *STEP)

    async def disturb() -> None:
        for num_workers in (4, 1, 4, 1):
            assert isinstance(await asyncio.to_thread(server.served.scale, num_workers), Scaled)

    check_answers(LOAD, asyncio.run(answered_while(server, LOAD, disturb)))
    assert len(server.served.of("worker")) == 1
    assert metric(server.url, "zerolane_worker_deaths_total") == 0
    assert metric(server.url, "zerolane_reprefilled_tokens_total") == 0


def test_a_pool_is_removed_and_added_twice(start_server: StartServer) -> None:
    server = start_server(*MODELS, *STEP, "--pools", "2", "--workers", "2")
    pages = metric(server.url, "zerolane_kv_pages_total")

    async def disturb() -> None:
        for num_pools in (1, 2, 1, 2):
            assert isinstance(await asyncio.to_thread(server.served.scale, pools=num_pools), Scaled)

    check_answers(LOAD, asyncio.run(answered_while(server, LOAD, disturb)))
    assert metric(server.url, "zerolane_migrated_pages_total") > 0
    assert metric(server.url, "zerolane_reprefilled_tokens_total") == 0
    eventually(lambda: metric(server.url, "zerolane_kv_pages_used") == 0, "all pages are free")
    assert metric(server.url, "zerolane_kv_pages_total") == pages
