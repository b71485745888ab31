"""Vectors through all four rooms: each text gets its own, also when a worker dies on the way."""

import os
import signal
import threading
from typing import Any

import httpx
import numpy as np
import pytest

from ipc.fake_card import FAKE_WIDTH
from tests.support.running_server import StartServer
from workers.fake_model import fake_embedding

pytestmark = pytest.mark.process
TEXTS = [f"text number {number}" for number in range(300)]


def expected() -> Any:
    rows = np.array([fake_embedding(list(text.encode()), FAKE_WIDTH) for text in TEXTS])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_killed_worker_loses_no_vector(start_server: StartServer) -> None:
    server = start_server("fake:embed", "--workers", "2", "--fake-step-ms", "30", "--max-num-seqs", "16")
    replies: list[httpx.Response] = []

    def embed() -> None:
        replies.append(httpx.post(f"{server.url}/v1/embeddings", json={"input": TEXTS}, timeout=60.0))

    thread = threading.Thread(target=embed)
    thread.start()
    pid = server.served.of("worker")[0].pid  # the request takes ten steps of each worker
    os.kill(pid, signal.SIGKILL)
    thread.join(60.0)
    assert replies[0].status_code == 200, replies[0].text
    found = np.array([item["embedding"] for item in replies[0].json()["data"]])
    np.testing.assert_allclose(found, expected(), atol=1e-6)
    server.served.replaced("worker", pid)
