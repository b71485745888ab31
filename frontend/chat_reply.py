"""A chat answer in the form of /v1/chat/completions, in chunks or whole."""

import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import orjson

from frontend.answer_parts import Content
from frontend.chat_answer import ChatAnswer
from frontend.chat_choice import ChoiceNews, ChoiceResult
from frontend.chunk_encoder import NO_LOGPROBS, ChatChunkEncoder
from frontend.generate import Choices
from frontend.logprobs_body import TokenNames, chat_logprobs, prompt_logprobs
from frontend.schema_chat import ChatRequest
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

    def events(self) -> AsyncGenerator[bytes]:
        """The chunks, several at a time when they come together."""
        answer, rules = self._answer, self._rules
        kind = "chat.completion.chunk"
        encoder = ChatChunkEncoder(self._reply_id, kind, self._created, self._model, rules.include_usage)
        plain = answer.plain_streams if self._is_plain and not rules.continuous_usage else None
        return self._parts(encoder) if plain is None else self._plain_parts(plain, encoder)

    async def _parts(self, encoder: ChatChunkEncoder) -> AsyncGenerator[bytes]:
        answer = self._answer
        has_begun = [False] * answer.num_choices
        while answer.is_open:
            changed = await answer.changed()
            if self._rules.continuous_usage:
                encoder.show_usage(chat_usage_body(answer.usage()))
            chunks: list[bytes] = []
            for news in changed:
                if not has_begun[news.choice]:
                    has_begun[news.choice] = True
                    chunks.append(encoder.role(news.choice, self._prompt_token_ids()))
                chunks.append(self._chunks(news, encoder))
            yield b"".join(chunks)
        if self._rules.include_usage:
            yield encoder.usage(chat_usage_body(answer.usage()))

    async def _plain_parts(self, choices: Choices, encoder: ChatChunkEncoder) -> AsyncGenerator[bytes]:
        """The fast path: the streams' text is all there is to tell."""
        has_begun = [False] * len(choices.streams)
        while choices.is_open:
            chunks: list[bytes] = []
            for stream in await choices.changed():
                if not has_begun[stream.choice]:
                    has_begun[stream.choice] = True
                    chunks.append(encoder.role(stream.choice))
                text = stream.take_text()
                if stream.finish_reason is None:
                    chunks.append(encoder.text(stream.choice, text))
                else:
                    chunks.append(encoder.finish(stream.choice, text, stream.finish_reason, stream.stop_reason))
            yield b"".join(chunks)
        if self._rules.include_usage:
            yield encoder.usage(chat_usage_body(self._answer.usage()))

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

    def _chunks(self, news: ChoiceNews, encoder: ChatChunkEncoder) -> bytes:
        """A chunk for each part; the last one of a choice carries the finish reason, and the last part if that is
        text. The first one tells of all tokens."""
        parts, reason = news.parts, news.finish_reason
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
