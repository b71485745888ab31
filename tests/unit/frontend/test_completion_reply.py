"""A completions reply in parts: what each event tells when streams end while a prompt's log-probabilities are read."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from frontend import completion_choice
from frontend.byte_tokenizer import ByteTokenizer
from frontend.drawn_logprobs import Drawn, spell
from frontend.generate import Choices, Order, Prompt
from frontend.logprob_rules import completion_logprobs
from frontend.request_rules import generate_rules
from frontend.routes_completions import _Reply
from frontend.schema_completions import CompletionRequest
from frontend.serving import Serving
from frontend.text_model import TextModel
from ipc.config import FrontendConfig
from ipc.fake_card import fake_card
from ipc.messages import FinishReason, PromptLogprobs
from ipc.metrics_page import MetricsPage

DEADLINE_S = 10.0
CONFIG = FrontendConfig(
    frontend_id=0,
    epoch=1,
    metrics_slot=0,
    scheduler_address="ipc:///nowhere",
    runtime_dir="",
    max_body_bytes=1024,
    shutdown_timeout_s=1.0,
)
PROMPT = b"pro"


def streamed_echo() -> tuple[Choices, _Reply]:
    """One choice with its prompt and log-probabilities."""
    fields = CompletionRequest(model="m", prompt="pro", echo=True, logprobs=0, stream=True)
    card = fake_card(0, "m", "fake:generate", 1000, 16, 0)
    model = TextModel(card, ByteTokenizer(), None)
    rules = generate_rules(fields, card, completion_logprobs(fields, 20))
    order = Order(model, rules, "r", "", b"", None, False, "prompt")
    choices = Choices(Serving(CONFIG, MetricsPage.create(["m"], 1)), order, [Prompt(list(PROMPT), 9)])
    return choices, _Reply(choices, fields, [spell(list(PROMPT), model.tokenizer, None)])


async def ends(events: AsyncGenerator[bytes]) -> list[str]:
    """The finish reasons that were told, in order."""
    told = b"".join([event async for event in events])
    bodies: list[dict[str, Any]] = [orjson.loads(event.removeprefix(b"data: ")) for event in told.split(b"\n\n")[:-1]]
    return [choice["finish_reason"] for body in bodies for choice in body["choices"] if choice["finish_reason"]]


def test_a_choice_that_ends_while_its_prompt_is_read_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end was told with the prompt's log-probabilities, and again with the news of it."""
    drawn = Drawn(-1.0, 1, [])

    async def both() -> list[str]:
        choices, reply = streamed_echo()
        stream = choices.streams[0]

        async def meanwhile(num_chars: int, work: Any) -> Any:
            stream.push(ord("b"), FinishReason.LENGTH, 0, drawn)
            return work()

        monkeypatch.setattr(completion_choice, "off_loop", meanwhile)
        stream.push_prompt(PromptLogprobs(0, 1, 0, bytes(8), bytes(8), b"", b""))  # two tokens have one
        stream.push(ord("a"), FinishReason.NONE, 0, drawn)
        async with asyncio.timeout(DEADLINE_S):
            return await ends(reply.events())

    assert asyncio.run(both()) == ["length"]
