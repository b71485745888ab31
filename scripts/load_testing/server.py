"""One HTTP session with the server: sends a request and notes in its record what came back, and when."""

import os
import time
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

from scripts.load_testing.answers import Answer, ErrorBody, Model, decode_answer, decode_models, decode_tokenized
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.records import RequestRecord
from scripts.load_testing.sse import SseParser

DETAIL_LENGTH = 300  # characters of an error's text that are kept
METRICS_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)  # msgspec says the second one to a text that is not UTF-8


class ServerError(Exception):
    """The server cannot be measured: not there, or without a model for the endpoint. The text is for the person."""


class Server:
    """Use as a context manager inside the loop that uses it."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        key = os.environ.get("OPENAI_API_KEY", "")
        self._clock = time.perf_counter
        self._session = aiohttp.ClientSession(
            options.url,
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=aiohttp.ClientTimeout(total=options.timeout),
        )

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def models(self) -> list[Model]:
        """What the server lists. Raises ServerError."""
        try:
            async with self._session.get("/v1/models") as response:
                return decode_models(await response.read()).data
        except (aiohttp.ClientError, TimeoutError, *_UNREADABLE) as error:
            raise ServerError(
                f"{self._options.url} does not list its models: {error or type(error).__name__}"
            ) from error

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Tokens of a text by /tokenize, which zerolane and vLLM have; None: the server does not say."""
        try:
            body = msgspec.json.encode({"model": model, "prompt": text})
            async with self._session.post("/tokenize", data=body, headers=_JSON) as response:
                return decode_tokenized(await response.read()).count if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, *_UNREADABLE):
            return None

    async def metrics(self) -> str | None:
        """Prometheus' text of the server now; None: it has none, or does not answer."""
        try:
            async with self._session.get("/metrics", timeout=METRICS_TIMEOUT) as response:
                return await response.text() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
            return None

    async def ask(self, path: str, body: dict[str, Any], record: RequestRecord) -> None:
        """Send one request. What goes wrong is noted in the record, never raised."""
        try:
            async with self._session.post(path, data=msgspec.json.encode(body), headers=_JSON) as response:
                if response.status != 200:
                    self._note_status(response.status, await response.read(), record)
                elif response.content_type == "text/event-stream":
                    await self._read_events(response, record)
                else:
                    self._note_answer(decode_answer(await response.read()), record)
        except TimeoutError:
            record.fail(self._clock(), f"timeout after {self._options.timeout:g} s")
        except aiohttp.ClientError as error:
            record.fail(self._clock(), type(error).__name__, str(error)[:DETAIL_LENGTH])
        except _UNREADABLE as error:
            record.fail(self._clock(), "unreadable answer", str(error)[:DETAIL_LENGTH])

    async def _read_events(self, response: aiohttp.ClientResponse, record: RequestRecord) -> None:
        parser = SseParser()
        is_done = False
        async for piece in response.content.iter_any():
            now = self._clock()
            for data in parser.feed(piece):
                if data == b"[DONE]":
                    is_done = True
                elif not record.error:
                    self._note_event(decode_answer(data), record, now)
        if record.error:
            return
        if is_done:
            record.succeed(self._clock())
        else:
            record.fail(self._clock(), "the stream ended without [DONE]")

    def _note_event(self, event: Answer, record: RequestRecord, now: float) -> None:
        if event.error is not None:
            self._note_error("error in the stream", event.error, record)
        elif any(choice.has_text for choice in event.choices):
            record.text_came(now)
        _note_usage(event, record)

    def _note_answer(self, answer: Answer, record: RequestRecord) -> None:
        if answer.error is not None:
            self._note_error("error in an answer with status 200", answer.error, record)
            return
        _note_usage(answer, record)
        record.succeed(self._clock())

    def _note_status(self, status: int, body: bytes, record: RequestRecord) -> None:
        try:
            error = decode_answer(body).error
        except _UNREADABLE:
            error = None
        shown = error or ErrorBody(body[:DETAIL_LENGTH].decode("utf-8", "replace"))
        self._note_error(f"HTTP {status}", shown, record)

    def _note_error(self, kind: str, error: ErrorBody, record: RequestRecord) -> None:
        has_name = isinstance(error.code, str) and error.code
        record.fail(self._clock(), f"{kind} {error.code}" if has_name else kind, error.message[:DETAIL_LENGTH])


def _note_usage(answer: Answer, record: RequestRecord) -> None:
    if answer.usage is None:
        return
    if answer.usage.prompt_tokens is not None:
        record.num_prompt_tokens = answer.usage.prompt_tokens
    if answer.usage.completion_tokens is not None:
        record.num_output_tokens = answer.usage.completion_tokens


_JSON = {"Content-Type": "application/json"}
