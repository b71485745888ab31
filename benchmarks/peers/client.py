"""The load: one run against one server, in a process of its own, without the harness's memory and threads.

    python -m benchmarks.peers.client < ClientOrder (JSON) > Answer (JSON)

While requests run it does next to nothing, because it shares the server's cores: pieces of the streams are kept with
the time they came, and are read when all streams are done.
"""

import asyncio
import sys
import time

import aiohttp
import msgspec
import uvloop

from benchmarks.peers.orders import Answer, ClientOrder, Order, Request, RequestTimes, Target
from benchmarks.peers.pieces import generate_times, score_times
from benchmarks.peers.processes import UsageWindow

REQUEST_S = 500.0


async def run(target: Target, order: Order) -> Answer:
    """Raises RuntimeError for a request that failed or did not give what was ordered."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    # A connection a request: a peer may close an idle one in the moment it is used again.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    bodies = [_body(target, order, request) for request in order.requests]
    window = UsageWindow(target.root_pid)
    async with aiohttp.ClientSession(target.url, connector=connector, timeout=timeout) as session:
        turn = asyncio.Semaphore(order.streams)
        start = time.perf_counter()
        waiting = [_send(session, target.path, body, turn) for body in bodies]
        exchanges = await asyncio.gather(*waiting)
        usage = window.close()
    return Answer([_times(order, exchange, start) for exchange in exchanges], usage)


Exchange = tuple[float, list[tuple[float, bytes]]]  # when it began; the pieces and when they came


async def _send(session: aiohttp.ClientSession, path: str, body: bytes, turn: asyncio.Semaphore) -> Exchange:
    clock = time.perf_counter
    pieces: list[tuple[float, bytes]] = []
    async with turn:
        began = clock()
        async with session.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {(await response.text())[:500]}")
            async for piece in response.content.iter_any():
                pieces.append((clock(), piece))
    return began, pieces


def _times(order: Order, exchange: Exchange, start: float) -> RequestTimes:
    began, pieces = exchange
    if order.kind == "score":
        return score_times(began, pieces, start)
    return generate_times(began, pieces, start)


def _body(target: Target, order: Order, request: Request) -> bytes:
    fields: dict[str, object] = {"model": target.model, **target.extra}
    match target.dialect:
        case "completions":
            fields |= {
                "prompt": request.text,
                "max_tokens": order.output_tokens,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        case "score":
            fields |= {"text_1": request.text, "text_2": request.documents}
        case "rerank":
            fields |= {"query": request.text, "documents": request.documents}
    return msgspec.json.encode(fields)


def main() -> None:
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=ClientOrder)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(asked.target, asked.order))))


if __name__ == "__main__":
    main()
