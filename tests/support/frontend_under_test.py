"""One real frontend process, with the test in the supervisor's place."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

import httpx
from msgspec import Struct

from ipc.config import FrontendConfig
from ipc.control_link import ControlLink
from ipc.control_messages import ModelsReady, Readiness, Ready, StartFrontend, Stop
from ipc.fake_card import fake_card
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0
R = TypeVar("R", bound=Struct)


def fake_cards() -> list[ModelCard]:
    """A chat model "chat" and a reranker "rank", both with room for 4,096 tokens."""
    return [fake_card(0, "chat", "fake:generate", 0, 16, 1234), fake_card(1, "rank", "fake:score", 0, 16, 1234)]


def new_listener() -> socket.socket:
    """As the supervisor's."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


class FrontendUnderTest:
    """Started by the constructor; `close` in any case.

    `listener`: a listening socket it shares with others, which stays the caller's. `module` is run in the place of
    zerolane; `config` is FrontendConfig's.
    """

    def __init__(
        self,
        runtime_dir: Path,
        scheduler_address: str,
        cards: list[ModelCard],
        listener: socket.socket | None = None,
        module: str = "zerolane",
        **config: Any,
    ) -> None:
        self.cards = cards
        self.page = MetricsPage.create([card.name for card in cards], 1)
        self.link, child_fd = ControlLink.pair()
        own_listener = listener is None
        listener = listener or new_listener()
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        settings: dict[str, Any] = {
            "frontend_id": 0,
            "epoch": 1,
            "metrics_slot": 0,
            "scheduler_address": scheduler_address,
            "runtime_dir": str(runtime_dir),
            "max_body_bytes": 1 << 20,
            "shutdown_timeout_s": 5.0,
            "log_level": "warning",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "frontend", "--control-fd", str(child_fd)], cwd=ROOT, pass_fds=[child_fd]
        )
        os.close(child_fd)
        record = StartFrontend(FrontendConfig(**(settings | config)))
        self.link.send(record, [listener.fileno(), self.page.segment.fd])
        if own_listener:
            listener.close()
        self.wait_for(Ready)

    def load_models(self) -> None:
        """Until every model answers."""
        self.link.send(ModelsReady(self.cards))
        self.wait_for(Ready)
        self.link.send(Readiness(True))
        deadline = time.monotonic() + DEADLINE_S
        while httpx.get(f"{self.url}/ready").status_code != 200:
            assert time.monotonic() < deadline, "the frontend never became ready"

    def wait_for(self, kind: type[R]) -> R:
        """The next record of the frontend, which must be of this kind."""
        received = self.link.receive(DEADLINE_S)
        assert received is not None, f"no {kind.__name__} within {DEADLINE_S} s"
        assert isinstance(received.record, kind), received.record
        return received.record

    def stop(self) -> int:
        """Asks it to leave; its exit status."""
        self.link.send(Stop())
        return self.process.wait(DEADLINE_S)

    def counted(self, family: str, *labels: str) -> float:
        """A number of the metrics page."""
        return next(reading.values[labels] for reading in self.page.read() if reading.family.name == family)

    def statuses(self) -> set[tuple[str, ...]]:
        """Route and status of every reply that was counted."""
        readings = (reading for reading in self.page.read() if reading.family.name == "zerolane_http_requests_total")
        return {labels for reading in readings for labels, count in reading.values.items() if count}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self.link.close()
        self.page.close()
