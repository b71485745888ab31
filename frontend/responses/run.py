"""One response on its way: from the news of its chat answer to events and a final body."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from frontend.chat_answer import ChatAnswer
from frontend.logprobs_body import TokenNames
from frontend.responses.body import finish
from frontend.responses.output import Output
from frontend.responses.output_items import Event
from frontend.responses.status import Body, fail_with
from ipc.errors import ErrorCode, RequestError

ABORTED = "The answer was ended before it was complete."


class ResponseRun:
    """`body` is the response object as it is now. The answer stays its caller's, who closes it. `num_logprobs`:
    alternatives to each token of the text; None: no logprobs at all."""

    def __init__(self, answer: ChatAnswer, body: Body, num_logprobs: int | None) -> None:
        self.body = body
        self.has_begun = False  # something was told of it
        self._answer = answer
        names = None if num_logprobs is None else TokenNames(answer.model.tokenizer, as_ids=False)
        self._output = Output(names, num_logprobs or 0)

    async def growing(self) -> AsyncGenerator[list[Event]]:
        """All events but the last one; then the body is final. Raises the RequestError with which the answer failed."""
        while self._answer.is_open:
            for news in await self._answer.changed():
                events = self._begin() + self._output.push(news)
                if news.finish_reason is not None:
                    events += self._finish(news.finish_reason)
                yield events

    async def finished(self) -> Body:
        """The final body; nobody wants events. Raises the RequestError with which the answer failed."""
        async with aclosing(self.growing()) as growing:
            async for _ in growing:
                pass
        return self.body

    def fail(self, error: RequestError) -> list[Event]:
        """Ends it with an error. What was said so far stays."""
        events = self._begin() + self._output.finish("incomplete")
        self.body["output"] = self._output.items()
        fail_with(self.body, error)
        return events

    def last_event(self) -> Event:
        """Tells the final body."""
        return {"type": f"response.{self.body['status']}", "response": self.body}

    def _begin(self) -> list[Event]:
        if self.has_begun:
            return []
        self.has_begun = True
        told = dict(self.body)  # the body goes on growing before this event is written
        return [{"type": f"response.{kind}", "response": told} for kind in ("created", "in_progress")]

    def _finish(self, finish_reason: str) -> list[Event]:
        if finish_reason == "abort":
            raise RequestError(ErrorCode.STEP_FAILED, ABORTED)
        events = self._output.finish("incomplete" if finish_reason == "length" else "completed")
        finish(self.body, self._output.items(), finish_reason, self._answer.usage())
        return events
