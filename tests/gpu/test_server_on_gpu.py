"""Several workers on one GPU: one copy of the memory, and their deaths are not noticed."""

import os
import signal

import pytest
import torch

from tests.support.gpu_load import EXACT, LOADED_S, answers_while, scores, undisturbed
from tests.support.metrics_client import metric
from tests.support.running_server import StartServer
from tests.support.served import eventually

NUM_WORKERS = 3
POOL_BYTES = 8 << 30  # far more than what each process' own context takes
CONTEXT_BYTES = 2 << 30  # of one process, generously
GPU = ("--device", "cuda", "--workers", str(NUM_WORKERS), "--kv-cache-memory", str(POOL_BYTES))


@pytest.mark.timeout(300)
def test_workers_share_one_pool(start_server: StartServer) -> None:
    free_before, _ = torch.cuda.mem_get_info()
    server = start_server(*GPU, "--max-num-seqs", "4096")
    pool_bytes = sum(model.kv_mib + model.weights_mib for model in server.served.status().models) * (1 << 20)
    free_now, _ = torch.cuda.mem_get_info()
    taken = free_before - free_now
    assert pool_bytes <= taken < pool_bytes + (NUM_WORKERS + 1) * CONTEXT_BYTES
    assert len(server.served.of("worker")) == NUM_WORKERS


@pytest.mark.timeout(300)
def test_killed_workers_and_a_killed_keeper_are_not_noticed(start_server: StartServer) -> None:
    server = start_server("--device", "cuda", "--workers", "2", "--kv-cache-memory", "1GiB", *EXACT)
    expected, expected_scores = undisturbed(server), scores(server)

    def kill_worker() -> None:
        pid = server.served.of("worker")[0].pid
        os.kill(pid, signal.SIGKILL)
        server.served.replaced("worker", pid)

    for _ in range(3):
        assert answers_while(server, kill_worker) == expected
    assert metric(server.url, "zerolane_reprefilled_tokens_total") == 0

    def kill_keeper() -> None:
        os.kill(server.served.of("keeper")[0].pid, signal.SIGKILL)

    assert answers_while(server, kill_keeper) == expected
    eventually(lambda: server.served.status().ready, "the server is whole again", LOADED_S)
    assert scores(server) == pytest.approx(expected_scores, abs=1e-4)
    server.served.signal(signal.SIGINT)
    assert server.served.wait() == 0
