"""Pools and phases at the start: who maps what, who works where."""

from typing import Any

from tests.process.supervisor.conftest import StandInServed, Start


def records(server: StandInServed, process: str, kind: str) -> list[dict[str, Any]]:
    return [record for name, _, noted, record in server.notes if (name, noted) == (process, kind)]


def test_workers_take_turns_over_the_pools_and_map_all_of_them(start: Start) -> None:
    server = start("--pools", "2", "--workers", "3")
    server.wait_ready()
    assert server.told("scheduler")[:3] == ["ModelsReady", "AddPool", "AddPool"]
    assert [record["pool"] for record in records(server, "scheduler", "AddPool")] == [0, 1]
    places = {record["worker_id"]: record["pool"] for record in records(server, "scheduler", "AddWorker")}
    assert places == {0: 0, 1: 1, 2: 0}
    told = [(record["pool"], record["more"]) for record in records(server, "worker 1", "PoolReady")]
    assert told == [(0, True), (1, False)]


def test_each_pool_has_its_share_of_the_memory(start: Start) -> None:
    pages = []
    for pools in ("1", "2"):
        server = start("--pools", pools, "--kv-cache-memory", "64KiB", "--max-model-len", "1024", "--workers", "2")
        server.wait_ready()
        pages.append(server.last("scheduler", "ModelsReady")["cards"][0]["num_pages"])
    assert pages[0] == 2 * pages[1] > 0


def test_prefill_and_decode_have_workers_of_their_own(start: Start) -> None:
    server = start("--pools", "2", "--prefill-workers", "1", "--decode-workers", "2")
    server.wait_ready()
    added = {record["worker_id"]: record for record in records(server, "scheduler", "AddWorker")}
    assert [(added[i]["phases"], added[i]["pool"]) for i in range(3)] == [("prefill", 0), ("decode", 1), ("decode", 1)]


def test_one_phase_alone_is_refused(start: Start) -> None:
    server = start("--prefill-workers", "1")
    assert server.wait() in (1, 2)
    assert "--decode-workers" in server.errors
