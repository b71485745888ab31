"""Requests of all kinds to the fake models, each with its one right answer, computed here and not by the server."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np

from frontend.label_activation import activated
from frontend.request_rules import SEED_MASK, SEED_STRIDE
from ipc.fake_card import FAKE_EOS
from scripts.chaos_testing.answers import Answer, ChoiceText
from scripts.chaos_testing.http_client import Attempt, ask
from scripts.chaos_testing.questions import COMPLETIONS, SCORE, Question
from tests.support.metrics_client import metric
from tests.support.running_server import Server
from tests.support.served import eventually
from workers.fake_model import fake_continuation, fake_score

MODELS = ("fake:generate", "fake:score")
Disturb = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Asked:
    """A question and what must come back."""

    question: Question
    answer: Answer


def mixed_load(number: int, num_tokens: int, prompt_bytes: int = 40) -> list[Asked]:
    """`number` requests: streams greedy, seeded and with n=2, whole answers, and scores."""
    makers = (_greedy, _seeded, _two_choices, _whole, _scores)
    return [makers[index % len(makers)](index, num_tokens, prompt_bytes) for index in range(number)]


def completion(prompt: str, num_tokens: int, **fields: Any) -> Asked:
    """A completion of `num_tokens` tokens, with the answer to `fields` (seed, temperature, n, stream)."""
    body = {"model": "fake-generate", "prompt": prompt, "max_tokens": num_tokens, "ignore_eos": True, **fields}
    if fields.get("stream"):
        body["stream_options"] = {"include_usage": True}
    num_choices = int(fields.get("n", 1))
    choices = tuple(
        ChoiceText(_text(prompt, num_tokens, choice, fields.get("seed", 0), fields["temperature"]), "length")
        for choice in range(num_choices)
    )
    answer = Answer(choices, len(prompt.encode()), num_choices * num_tokens)
    return Asked(Question(prompt[:20], COMPLETIONS, msgspec.json.encode(body), num_choices), answer)


def scores(query: str, documents: list[str]) -> Asked:
    """One score request."""
    body = {"model": "fake-score", "text_1": query, "text_2": documents}
    logits = [[fake_score([*query.encode(), FAKE_EOS, *text.encode()])] for text in documents]
    right = tuple(activated(np.array(logits), "sigmoid")[:, 0].tolist())
    return Asked(Question(query[:20], SCORE, msgspec.json.encode(body), 1, len(documents)), Answer(scores=right))


async def answered_while(server: Server, load: Sequence[Asked], disturb: Disturb) -> list[Attempt]:
    """Ask everything at once, disturb once tokens flow, and wait for all answers."""
    begin = metric(server.url, "zerolane_generation_tokens_total")
    asking = [asyncio.create_task(ask(port_of(server), asked.question)) for asked in load]
    await asyncio.to_thread(wait_for_tokens, server, begin + 2 * len(load))
    await disturb()
    return await asyncio.gather(*asking)


def wait_for_tokens(server: Server, count: float) -> None:
    """Until so many output tokens are committed."""
    eventually(lambda: metric(server.url, "zerolane_generation_tokens_total") >= count, "tokens flow")


def check_answers(load: Sequence[Asked], attempts: Sequence[Attempt]) -> None:
    """Every attempt has the one right answer."""
    for asked, attempt in zip(load, attempts, strict=True):
        assert attempt.failure == "", asked.question.name
        assert attempt.answer == asked.answer, asked.question.name


async def undisturbed() -> None:
    """For `answered_while` where the server was told at its start what is to happen."""


def port_of(server: Server) -> int:
    return urlsplit(server.url).port or 0


def _text(prompt: str, num_tokens: int, choice: int, seed: int, temperature: float) -> str:
    own_seed = (seed + choice * SEED_STRIDE) & SEED_MASK
    tokens = fake_continuation(list(prompt.encode()), num_tokens, own_seed, temperature, ignore_eos=True)
    return bytes(token for token in tokens if token != FAKE_EOS).decode()


def _prompt(index: int, num_bytes: int) -> str:
    return f"client {index} has a prompt ".ljust(num_bytes + index % 7, "x")


def _greedy(index: int, num_tokens: int, prompt_bytes: int) -> Asked:
    return completion(_prompt(index, prompt_bytes), num_tokens, stream=True, temperature=0)


def _seeded(index: int, num_tokens: int, prompt_bytes: int) -> Asked:
    return completion(_prompt(index, prompt_bytes), num_tokens, stream=True, temperature=1.0, seed=index)


def _two_choices(index: int, num_tokens: int, prompt_bytes: int) -> Asked:
    return completion(_prompt(index, prompt_bytes), num_tokens, stream=True, temperature=1.0, seed=index, n=2)


def _whole(index: int, num_tokens: int, prompt_bytes: int) -> Asked:
    return completion(_prompt(index, prompt_bytes), num_tokens, temperature=1.0, seed=index)


def _scores(index: int, num_tokens: int, prompt_bytes: int) -> Asked:
    return scores(f"query {index}", [f"document {pair} ".ljust(prompt_bytes + pair, "y") for pair in range(num_tokens)])
