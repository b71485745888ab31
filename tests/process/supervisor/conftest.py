"""The real supervisor over stand-in children (`tests/support/stand_in_child.py`)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.children import ROOT
from tests.support.served import Served

SERVER = str(ROOT / "tests" / "support" / "stand_in_server.py")
Noted = tuple[str, int, str, dict[str, Any]]  # process, epoch, kind of record, record


class StandInServed(Served):
    """Also knows what its children were told."""

    def __init__(self, folder: Path, arguments: list[str], modes: dict[str, str]) -> None:
        self.note_path = folder / "notes"
        environment = {"STAND_IN_LOG": str(self.note_path), "STAND_IN_MODES": json.dumps(modes)}
        models = [] if arguments and not arguments[0].startswith("-") else ["fake:generate"]
        super().__init__([SERVER], [*models, *arguments], folder, environment)

    @property
    def notes(self) -> list[Noted]:
        """Every record a child was told, in the order they were read."""
        if not self.note_path.exists():
            return []
        return [tuple(json.loads(line)) for line in self.note_path.read_text().splitlines()]

    def told(self, process: str) -> list[str]:
        """The kinds of records one process was told, without its Start record."""
        return [kind for name, _, kind, _ in self.notes if name == process and not kind.startswith("Start")]

    def last(self, process: str, kind: str) -> dict[str, Any]:
        return [record for name, _, noted, record in self.notes if (name, noted) == (process, kind)][-1]


Start = Callable[..., StandInServed]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(*arguments, **modes): modes by role, or by process name with "_" for the space."""
    servers: list[StandInServed] = []

    def start_one(*arguments: str, **modes: str) -> StandInServed:
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        named = {name.replace("_", " "): mode for name, mode in modes.items()}
        servers.append(StandInServed(folder, list(arguments), named))
        return servers[-1]

    yield start_one
    for server in reversed(servers):
        server.close()
