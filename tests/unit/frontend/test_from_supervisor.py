"""A frontend that cannot load its tokenizers says so, whatever the reason."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct

from frontend import from_supervisor
from frontend.from_supervisor import SupervisorReceiver
from ipc.control_messages import Fatal


def test_a_bug_while_loading_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It died in its task before, and the start hung until its timeout."""

    def load(cards: Sequence[Any], template_path: str) -> None:
        raise KeyError("chat_template")

    monkeypatch.setattr(from_supervisor, "load_text_models", load)
    sent: list[Struct] = []
    stops: list[bool] = []
    link: Any = SimpleNamespace(send=sent.append)
    serving: Any = SimpleNamespace(config=SimpleNamespace(chat_template=""))
    scheduler: Any = None
    receiver = SupervisorReceiver(link, serving, scheduler, stop=lambda: stops.append(True))
    asyncio.run(receiver._load([]))
    assert sent == [Fatal("The tokenizers or chat templates cannot be loaded: KeyError: 'chat_template'")]
    assert (stops, receiver.exit_status) == ([True], 1)
