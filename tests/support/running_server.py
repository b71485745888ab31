"""Starts real servers for tests: all four rooms, real sockets; models are fake unless a test says otherwise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.served import Served


@dataclass(frozen=True)
class Server:
    """A running server and where it answers."""

    served: Served
    url: str


StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start a server with serve's arguments and wait until it is ready. All are stopped, and leave nothing."""
    running: list[Served] = []

    def start(*arguments: str, environment: dict[str, str] | None = None) -> Server:
        folder: Path = tmp_path_factory.mktemp("server")
        served = Served(["-m", "zerolane", "serve"], arguments, folder, environment or {})
        running.append(served)
        return Server(served, f"http://127.0.0.1:{served.port_of(served.wait_ready())}")

    yield start
    for served in running:
        served.close()
