"""How a server comes up, and how it says that it cannot."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.process.supervisor.conftest import Start
from tests.support.served import accepts_connections, eventually


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder that looks like a model; the stand-in loader never opens it."""
    folder = tmp_path / "some-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({}))
    return str(folder)


def test_ready_line_names_address_models_and_time(start: Start) -> None:
    server = start("fake:generate", "ranker=fake:score")
    line = server.wait_ready()
    assert line.startswith("zerolane is ready on http://127.0.0.1:")
    assert line.rstrip().endswith("s: fake-generate (generate), ranker (score)")
    assert accepts_connections(server.port_of(line))


def test_processes_are_told_in_order(start: Start) -> None:
    server = start("--frontends", "2", "--workers", "2")
    server.wait_ready()
    for frontend in ("frontend 0", "frontend 1"):
        assert server.told(frontend)[0] == "ModelsReady"
        assert server.last(frontend, "Readiness") == {"type": "readiness", "ready": True, "reason": ""}
    assert server.told("scheduler") == ["ModelsReady", "AddPool", "AddWorker", "AddWorker"]
    assert server.told("forkserver") == ["ModelsReady", "ForkWorker", "ForkWorker"]
    assert server.told("worker 0") == server.told("worker 1") == ["PoolReady", "LinkWorker"]


def test_a_model_with_weights_among_fake_ones(start: Start, model: str) -> None:
    server = start("fake:score", f"real={model}", "--max-num-seqs", "4")
    server.wait_ready()
    cards = server.last("scheduler", "ModelsReady")["cards"]
    assert [(card["index"], card["name"], card["path"]) for card in cards] == [
        (0, "fake-score", "fake"),
        (1, "real", "nowhere"),
    ]
    assert cards[1]["num_pages"] == 4 * 64 // 16  # four streams of full length: more would never be used
    assert "WeightSegments" in server.told("loader")
    assert not server.of("loader")


@pytest.mark.parametrize("role", ["frontend", "scheduler", "forkserver", "worker", "loader"])
@pytest.mark.parametrize("mode", ["fatal", "die"])
def test_a_child_that_cannot_start_ends_the_start(start: Start, model: str, role: str, mode: str) -> None:
    server = start("fake:generate", model, **{role: mode})
    assert server.wait() == 1
    said = {"fatal": "cannot go on", "die": "ended with exit code 3 during the start"}[mode]
    assert said in server.errors
    assert {"fatal": "Ask somebody.", "die": "See what it wrote above."}[mode] in server.errors
    assert "Traceback" not in server.errors


def test_a_child_that_never_gets_ready_is_named(start: Start) -> None:
    server = start("--startup-timeout", "1.5", frontend="silent")
    assert server.wait() == 1
    assert "not ready: frontend 0" in server.errors
    assert "--startup-timeout" in server.errors


def test_too_little_kv_memory_says_which_number_to_change(start: Start, model: str) -> None:
    server = start(model, "--kv-cache-memory", "6KiB")
    assert server.wait() == 1
    assert "--max-model-len 48 or less" in server.errors


def test_a_port_in_use_is_said(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = start("--port", str(port))
        assert server.wait() == 1
        assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use." in server.errors
        assert "take another --port" in server.errors


def test_it_listens_on_ipv6(start: Start) -> None:
    server = start("--host", "::1")
    line = server.wait_ready()
    assert "http://[::1]:" in line
    assert accepts_connections(server.port_of(line), "::1")


def test_a_start_that_is_stopped_leaves_nothing(start: Start) -> None:
    server = start(worker="silent")
    eventually(lambda: "StartWorker" in [note[2] for note in server.notes], "a worker that was started")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
