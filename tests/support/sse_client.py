"""A client that streams completions and keeps what it got, event by event."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Streamed:
    """One streamed completion: the pieces of text of choice 0, its end, and whether [DONE] came last."""

    pieces: list[str] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    is_done: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def take(self, line: str) -> None:
        """One line of the event stream."""
        if not line.startswith("data: "):
            return
        if self.is_done:
            raise AssertionError("an event after [DONE]")
        payload = line.removeprefix("data: ")
        if payload == "[DONE]":
            self.is_done = True
            return
        event = json.loads(payload)
        if "error" in event:
            self.errors.append(event["error"])
            return
        for choice in event["choices"]:
            self.pieces.append(choice["text"])
            if choice["finish_reason"] is not None:
                self.finish_reasons.append(choice["finish_reason"])


async def stream_completion(
    client: httpx.AsyncClient, body: dict[str, Any], leave_after: int | None = None
) -> Streamed:
    """Stream /v1/completions; leave without a word after `leave_after` lines, if given."""
    streamed = Streamed()
    async with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
        if response.status_code != 200:
            streamed.errors.append({"status": response.status_code, "body": (await response.aread()).decode()})
            return streamed
        num_lines = 0
        async for line in response.aiter_lines():
            streamed.take(line)
            num_lines += 1
            if leave_after is not None and num_lines >= leave_after:
                break
    return streamed
