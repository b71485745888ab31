"""A whole server whose memory lies on a fake GPU: every rule CUDA has for sharing memory is checked while it runs."""

import os
import signal

import pytest

from tests.support.gpu_load import EXACT, LOADED_S, answers_while, scores, undisturbed
from tests.support.metrics_client import metric
from tests.support.running_server import StartServer
from tests.support.served import eventually

FAKE_GPU = ("--device", "fake-cuda", "--workers", "2", "--kv-cache-memory", "64MiB", "--max-num-seqs", "8")


@pytest.mark.timeout(300)  # three starts of processes that import torch
def test_workers_and_keeper_die_and_nobody_notices(start_server: StartServer) -> None:
    server = start_server(*FAKE_GPU, *EXACT)
    (keeper,) = server.served.of("keeper")
    assert {model.attention_backend for model in server.served.status().models} == {"gathered", "packed"}
    expected, expected_scores = undisturbed(server), scores(server)

    def kill_worker() -> None:
        pid = server.served.of("worker")[0].pid
        os.kill(pid, signal.SIGKILL)
        server.served.replaced("worker", pid)

    assert answers_while(server, kill_worker) == expected
    assert metric(server.url, "zerolane_reprefilled_tokens_total") == 0

    def kill_keeper() -> None:
        os.kill(keeper.pid, signal.SIGKILL)

    assert answers_while(server, kill_keeper) == expected
    eventually(lambda: server.served.status().ready, "the server is whole again", LOADED_S)
    (successor,) = server.served.of("keeper")
    assert (successor.epoch, successor.state) == (keeper.epoch + 1, "ready")
    assert scores(server) == expected_scores

    server.served.signal(signal.SIGINT)
    assert server.served.wait() == 0
    assert "cannot go on" not in server.served.errors, "a rule of device memory was broken"
