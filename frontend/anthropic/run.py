"""One message on its way: from the news of its chat answer to events and the whole message.

message_start, content blocks ..., message_delta (why it stopped, usage), message_stop
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from frontend.anthropic.blocks import Blocks, Event
from frontend.chat_answer import ChatAnswer, ChoiceNews
from ipc.errors import ErrorCode, RequestError

ABORTED = "The answer was ended before it was complete."
STOP_REASONS = {"length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use"}


class MessageRun:
    """The answer stays its caller's, who closes it. `stop_sequences`: what the client asked for."""

    def __init__(self, answer: ChatAnswer, stop_sequences: Sequence[str]) -> None:
        self._answer = answer
        self._stop_sequences = stop_sequences
        self._blocks = Blocks()
        self._id = f"msg_{uuid4().hex}"
        self._has_begun = False
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None

    async def events(self) -> AsyncGenerator[list[Event]]:
        """All events, as they come. Raises the RequestError with which the answer failed."""
        while self._answer.is_open:
            for news in await self._answer.changed():
                events = self._begin() + self._blocks.push(news.parts)
                if news.finish_reason is not None:
                    events += self._finish(news)
                yield events

    async def finished(self) -> dict[str, Any]:
        """The whole message; nobody wants events."""
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        return self._message()

    def _begin(self) -> list[Event]:
        if self._has_begun:
            return []
        self._has_begun = True
        return [{"type": "message_start", "message": self._message()}]

    def _finish(self, news: ChoiceNews) -> list[Event]:
        if news.finish_reason == "abort":
            raise RequestError(ErrorCode.STEP_FAILED, ABORTED)
        closed = self._blocks.finish()
        self._stop_reason = STOP_REASONS[news.finish_reason or "stop"]
        if news.finish_reason == "stop":
            if news.stop_reason in self._stop_sequences:
                self._stop_reason, self._stop_sequence = "stop_sequence", str(news.stop_reason)
            elif self._blocks.has_calls:
                self._stop_reason = "tool_use"
        delta = {"stop_reason": self._stop_reason, "stop_sequence": self._stop_sequence}
        return [*closed, {"type": "message_delta", "delta": delta, "usage": self._usage()}, {"type": "message_stop"}]

    def _message(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._answer.model.card.name,
            "content": list(self._blocks.blocks()),
            "stop_reason": self._stop_reason,
            "stop_sequence": self._stop_sequence,
            "usage": self._usage(),
        }

    def _usage(self) -> dict[str, Any]:
        """`input_tokens` are those that were not in a cache, as Anthropic counts."""
        usage = self._answer.usage()
        return {
            "input_tokens": usage.prompt_tokens - usage.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.completion_tokens,
        }
