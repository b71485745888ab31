"""More work than may wait: refused at once, with the time to come back; who waits is served."""

import asyncio

import httpx

from tests.support.running_server import Server, StartServer


async def post_all(server: Server, count: int) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
        bodies = [
            {"prompt": f"{number} " + "word " * 40, "max_tokens": 20, "ignore_eos": True} for number in range(count)
        ]
        return await asyncio.gather(*(client.post("/v1/completions", json=body) for body in bodies))


def test_429_with_retry_after(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--max-num-seqs", "1", "--max-waiting-tokens", "450", "--fake-step-ms", "5")
    responses = asyncio.run(post_all(server, 12))
    refused = [response for response in responses if response.status_code == 429]
    served = [response for response in responses if response.status_code == 200]
    assert len(refused) + len(served) == 12
    assert refused
    assert len(served) >= 2
    for response in refused:
        assert int(response.headers["Retry-After"]) >= 1
        assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert all(len(response.json()["choices"][0]["text"]) >= 1 for response in served)
