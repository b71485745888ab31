"""A chat model and a reranker on one port, one scheduler and one worker: each gets its own answers."""

import asyncio
import math
from typing import Any

import httpx

from tests.support.fake_text import expected_text
from tests.support.running_server import StartServer
from tests.support.sse_client import stream_completion


def test_streams_and_scores_at_once(start_server: StartServer) -> None:
    server = start_server("chat=fake:generate", "rank=fake:score", "--fake-step-ms", "2")

    async def ask_all() -> tuple[list[Any], list[httpx.Response]]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
            bodies = [
                {"model": "chat", "prompt": f"stream {number}", "max_tokens": 60, "ignore_eos": True, "temperature": 0}
                for number in range(12)
            ]
            pairs = [
                {"model": "rank", "text_1": f"query {n}", "text_2": [f"text {i}" for i in range(40)]} for n in range(6)
            ]
            streams = asyncio.gather(*(stream_completion(client, body) for body in bodies))
            scores = asyncio.gather(*(client.post("/v1/score", json=body) for body in pairs))
            return await streams, await scores

    streams, scores = asyncio.run(ask_all())
    for number, streamed in enumerate(streams):
        assert streamed.text == expected_text(f"stream {number}", 60, ignore_eos=True)
    alone = httpx.post(f"{server.url}/score", json={"text_1": "query 3", "text_2": "text 7"}, timeout=30.0).json()
    together = scores[3].json()["data"][7]["score"][0]
    assert math.isclose(alone["data"][0]["score"][0], together)
    assert len({item["score"][0] for item in scores[0].json()["data"]}) > 30
