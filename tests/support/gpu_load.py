"""Long greedy answers of a served model, and what happens to the server while they are computed.

The same for a fake GPU and a real one: only the flags differ.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.metrics_client import metric
from tests.support.running_server import Server
from tests.support.served import eventually

MODEL = "tiny-chat"
NUM_TOKENS = 200
PROMPTS = [f"Tell me about number {number}: " for number in range(6)]
EXACT = ("--dtype", "float32")  # a greedy choice must not hang on how a sum is rounded in another batch
ANSWER_S = 100.0
LOADED_S = 90.0  # a keeper is replaced: libraries are imported on a busy machine


def answer(server: Server, prompt: str) -> str:
    """Fails unless the answer has all its tokens."""
    body = {"model": MODEL, "prompt": prompt, "max_tokens": NUM_TOKENS, "temperature": 0, "ignore_eos": True}
    reply = httpx.post(f"{server.url}/v1/completions", json=body, timeout=ANSWER_S)
    assert reply.status_code == 200, reply.text
    assert reply.json()["usage"]["completion_tokens"] == NUM_TOKENS
    text: str = reply.json()["choices"][0]["text"]
    return text


def answers_while(server: Server, disturb: Callable[[], None]) -> list[str]:
    """The answers to all PROMPTS at once; `disturb` runs when tokens flow."""
    before = metric(server.url, "zerolane_generation_tokens_total")
    with ThreadPoolExecutor(len(PROMPTS)) as pool:
        futures = [pool.submit(answer, server, prompt) for prompt in PROMPTS]
        eventually(
            lambda: metric(server.url, "zerolane_generation_tokens_total") > before + 2 * len(PROMPTS), "tokens flow"
        )
        disturb()
        return [future.result(ANSWER_S) for future in futures]


def undisturbed(server: Server) -> list[str]:
    return answers_while(server, threading.Event().set)


def scores(server: Server) -> list[float]:
    """Two pairs of tiny-rerank."""
    body = {"model": "tiny-rerank", "text_1": "What is the capital of France?", "text_2": ["Paris.", "A river."]}
    reply = httpx.post(f"{server.url}/v1/score", json=body, timeout=ANSWER_S)
    assert reply.status_code == 200, reply.text
    return [float(row["score"][0]) for row in reply.json()["data"]]
