"""A chat answer in the form of /v1/chat/completions, in chunks or whole."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import uuid4

import orjson

from frontend.answer_parts import Content
from frontend.chat_answer import ChatAnswer
from frontend.chat_choice import ChoiceNews, ChoiceResult
from frontend.chunk_encoder import NO_LOGPROBS, ChatChunkEncoder
from frontend.logprobs_body import TokenNames, chat_logprobs, prompt_logprobs
from frontend.schema_chat import ChatRequest
from frontend.stream_group import Sink
from frontend.token_stream import TokenStream
from frontend.tokenize import off_loop
from frontend.usage_body import chat_usage_body


class ChatReply:
    """What one request is answered."""

    def __init__(self, answer: ChatAnswer, request: ChatRequest) -> None:
        self._answer = answer
        self._rules = answer.rules
        self._names = TokenNames(answer.model.tokenizer, bool(request.return_tokens_as_token_ids))
        self._reply_id = f"chatcmpl-{uuid4().hex}"
        self._created = int(time.time())
        self._model = answer.model.card.name
        self._is_plain = self._rules.logprobs.num_output < 0 and not self._rules.returns_token_ids
        self._has_only_text = self._is_plain and answer.is_plain and not self._rules.continuous_usage
        self._has_begun = [False] * answer.num_choices
        kind = "chat.completion.chunk"
        self._encoder = ChatChunkEncoder(self._reply_id, kind, self._created, self._model, self._rules.include_usage)

    async def events(self) -> AsyncGenerator[bytes]:
        """The chunks, several at a time when they come together."""
        answer = self._answer
        while answer.is_open:
            chunks = self._chunks(await answer.changed_streams())
            if chunks:
                yield chunks
        if self._rules.include_usage:
            yield self._encoder.usage(chat_usage_body(answer.usage()))

    def write_directly(self, sink: Sink) -> None:
        """See `deliver`."""
        self._answer.write_directly(self._chunks, sink)

    def _chunks(self, changed: Sequence[TokenStream]) -> bytes:
        """What is new of these streams; nothing where all of it is held back."""
        if self._has_only_text:
            return b"".join([self._text_chunks(stream) for stream in changed])
        found = self._answer.news_of(changed)
        if found and self._rules.continuous_usage:
            self._encoder.show_usage(chat_usage_body(self._answer.usage()))
        return b"".join([self._begin(news.choice) + self._news_chunks(news) for news in found])

    def _begin(self, choice: int) -> bytes:
        """The chunk with the role, once a choice."""
        if self._has_begun[choice]:
            return b""
        self._has_begun[choice] = True
        return self._encoder.role(choice, self._prompt_token_ids())

    def _text_chunks(self, stream: TokenStream) -> bytes:
        """The fast path: a stream's text is all there is to tell."""
        choice, text, encoder = stream.choice, stream.take_text(), self._encoder
        if stream.finish_reason is not None:
            return self._begin(choice) + encoder.finish(choice, text, stream.finish_reason, stream.stop_reason)
        return (
            encoder.text(choice, text) if self._has_begun[choice] else self._begin(choice) + encoder.text(choice, text)
        )

    async def whole(self) -> dict[str, Any]:
        """The body, when every choice has ended."""
        results = await self._answer.finished()
        return await off_loop(self._answer.num_told, lambda: self._body(results))

    def _body(self, results: list[ChoiceResult]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": self._reply_id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [self._choice(result) for result in results],
            "usage": chat_usage_body(self._answer.usage()),
        }
        prompt_tokens = self._answer.prompt_logprobs
        if prompt_tokens is not None:
            body["prompt_logprobs"] = prompt_logprobs(prompt_tokens, self._names, self._rules.logprobs.num_prompt)
        if self._rules.returns_token_ids:
            body["prompt_token_ids"] = self._prompt_token_ids()
        return body

    def _prompt_token_ids(self) -> list[int] | None:
        return list(self._answer.prompt_token_ids) if self._rules.returns_token_ids else None

    def _news_chunks(self, news: ChoiceNews) -> bytes:
        """A chunk for each part; the last one of a choice carries the finish reason, and the last part if that is
        text. The first one tells of all tokens."""
        parts, reason, encoder = news.parts, news.finish_reason, self._encoder
        told = NO_LOGPROBS if self._is_plain else orjson.dumps(self._told(news))[1:-1]
        if reason is None:
            later = [encoder.part(news.choice, part) for part in parts[1:]]
            return b"".join([encoder.part(news.choice, parts[0], told), *later])
        last, rest = (parts[-1] if parts else None), ""
        if isinstance(last, Content):
            parts, rest = parts[:-1], last.text
        chunks = [encoder.part(news.choice, part, NO_LOGPROBS if place else told) for place, part in enumerate(parts)]
        finish = encoder.finish(news.choice, rest, reason, news.stop_reason, NO_LOGPROBS if parts else told)
        return b"".join([*chunks, finish])

    def _told(self, news: ChoiceNews | ChoiceResult) -> dict[str, Any]:
        """What a choice or a chunk tells of its tokens."""
        num_top = self._rules.logprobs.num_output
        members: dict[str, Any] = {"logprobs": None}
        if num_top >= 0:
            members["logprobs"] = chat_logprobs(news.tokens, self._names, num_top)
        if self._rules.returns_token_ids:
            members["token_ids"] = news.token_ids
        return members

    def _choice(self, result: ChoiceResult) -> dict[str, Any]:
        ended = {"finish_reason": result.finish_reason, "stop_reason": result.stop_reason}
        return {"index": result.choice, "message": _message(result)} | self._told(result) | ended


def _message(result: ChoiceResult) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": result.content,
        "refusal": None,
        "annotations": [],
    }
    if result.reasoning is not None:
        message |= {"reasoning": result.reasoning, "reasoning_content": result.reasoning}
    if result.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in result.calls
        ]
    return message
