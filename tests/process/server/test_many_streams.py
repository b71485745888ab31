"""Many clients at once: each gets exactly its own tokens, complete and in order."""

import asyncio

import httpx
import pytest

from tests.support.fake_text import expected_text
from tests.support.running_server import StartServer
from tests.support.sse_client import Streamed, stream_completion

NUM_STREAMS = 256
MAX_TOKENS = 48


@pytest.mark.parametrize("num_frontends", [1, 2])
def test_256_streams_at_once(start_server: StartServer, num_frontends: int) -> None:
    server = start_server("fake:generate", "--frontends", str(num_frontends), "--fake-step-ms", "2")
    prompts = [f"client {number} says {'x' * (number % 90)}" for number in range(NUM_STREAMS)]

    async def ask_all() -> list[Streamed]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, timeout=60.0, limits=limits) as client:
            bodies = [
                {"prompt": prompt, "max_tokens": MAX_TOKENS, "ignore_eos": True, "temperature": 0} for prompt in prompts
            ]
            return await asyncio.gather(*(stream_completion(client, body) for body in bodies))

    for prompt, streamed in zip(prompts, asyncio.run(ask_all()), strict=True):
        assert streamed.errors == []
        assert streamed.text == expected_text(prompt, MAX_TOKENS, ignore_eos=True)
        assert streamed.finish_reasons == ["length"]
        assert streamed.is_done
