"""The handlers of /v1/messages."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.anthropic.blocks import Event
from frontend.anthropic.run import MessageRun
from frontend.anthropic.schema import CountTokensRequest, MessagesRequest
from frontend.anthropic.to_chat import chat_request
from frontend.chat_answer import ChatAnswer, open_chat
from frontend.chat_prompt import chat_prompt
from frontend.deadline import deadline_of
from frontend.http_reply import json_reply
from frontend.read_body import read_body
from frontend.renamed_fields import renamed_fields
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.serving import Serving
from frontend.sse import ANTHROPIC_EVENTS, deliver
from frontend.tenant import tenant_of
from frontend.tokenize import off_loop

# a chat request's field: the field of ours that it was made of
FIELD_NAMES = {
    "max_completion_tokens": "max_tokens",
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "chat_template_kwargs": "thinking",
}


async def create_message(serving: Serving, request: Request) -> HTTPResponse | None:
    """POST /v1/messages."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, MessagesRequest, unsupported_fields.MESSAGES)
    deadline_of(request).tighten(fields.timeout)
    with await _open(serving, request, fields, len(body)) as answer:
        run = MessageRun(answer, fields.stop_sequences or ())
        if fields.stream:
            await deliver(request, _encoded(run), ANTHROPIC_EVENTS)
            return None
        return json_reply(await run.finished())


async def count_tokens(serving: Serving, request: Request) -> HTTPResponse:
    """POST /v1/messages/count_tokens: the length of the prompt, with everything the template adds."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, CountTokensRequest, unsupported_fields.MESSAGES)
    deadline_of(request).tighten(fields.timeout)
    model = serving.models.pick(fields.model, "generate", request.path)
    trusts = serving.config.trust_request_chat_template
    with renamed_fields(FIELD_NAMES):
        chat = await off_loop(len(body), lambda: chat_request(fields))
        rendered = await chat_prompt(chat, model, trusts, len(body))
    return json_reply({"input_tokens": len(rendered.token_ids)})


async def _open(serving: Serving, request: Request, fields: MessagesRequest, num_chars: int) -> ChatAnswer:
    user = fields.metadata.user_id if fields.metadata else None
    with renamed_fields(FIELD_NAMES):
        chat = await off_loop(num_chars, lambda: chat_request(fields))
        tenant = tenant_of(request, user)
        return await open_chat(serving, chat, num_chars, request_id(request), tenant, bool(fields.stream))


async def _encoded(run: MessageRun) -> AsyncGenerator[bytes]:
    async with aclosing(run.events()) as all_events:
        async for events in all_events:
            yield b"".join(_encode(event) for event in events)


def _encode(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
