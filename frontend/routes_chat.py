"""POST /v1/chat/completions."""

import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.chat_choice import ChatChoice
from frontend.chunk_encoder import ChatChunkEncoder
from frontend.generate import Choices, Prompt
from frontend.http_reply import json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.request_rules import check_prompt, generate_rules, output_limit
from frontend.schema_chat import ChatRequest
from frontend.serving import Serving
from frontend.sse import deliver
from frontend.text_model import TextModel
from frontend.tokenize import encode_text, off_loop
from ipc.errors import ErrorCode, RequestError

ENDPOINT = "/v1/chat/completions"


async def chat_completions(serving: Serving, request: Request) -> HTTPResponse | None:
    """Answers a conversation n times."""
    check_content_type(request.headers.get("content-type"))
    models = serving.models
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, ChatRequest, unsupported_fields.CHAT)
    model = models.pick(fields.model, "generate", ENDPOINT)
    rules = generate_rules(fields, model.card)
    prompt, finds_calls = await _prompt(fields, model, len(body))
    await serving.to_scheduler.wait_for_scheduler()
    with Choices(serving, model, [prompt], rules, request_id(request)) as choices:
        choices.submit()
        one_call = fields.parallel_tool_calls is False
        parsed = [ChatChoice(stream, finds_calls, one_call) for stream in choices.streams]
        reply_id, created = f"chatcmpl-{uuid4().hex}", int(time.time())
        if rules.stream:
            encoder = ChatChunkEncoder(reply_id, "chat.completion.chunk", created, model.card.name, rules.include_usage)
            await deliver(request, _events(choices, parsed, encoder, rules.include_usage))
            return None
        await choices.finished()
        return json_reply(_reply(choices, parsed, reply_id, created, model.card.name))


async def _events(
    choices: Choices, parsed: list[ChatChoice], encoder: ChatChunkEncoder, include_usage: bool
) -> AsyncGenerator[bytes]:
    has_begun = [False] * len(parsed)
    while choices.is_open:
        chunks: list[bytes] = []
        for stream in await choices.changed():
            if not has_begun[stream.choice]:
                has_begun[stream.choice] = True
                chunks.append(encoder.role(stream.choice))
            chunks.append(parsed[stream.choice].chunks(encoder))
        yield b"".join(chunks)
    if include_usage:
        yield encoder.usage(choices.usage())


def _reply(choices: Choices, parsed: list[ChatChoice], reply_id: str, created: int, model: str) -> dict[str, Any]:
    return {
        "id": reply_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice.reply() for choice in parsed],
        "usage": choices.usage(),
    }


async def _prompt(fields: ChatRequest, model: TextModel, num_chars: int) -> tuple[Prompt, bool]:
    """The conversation as token ids, and whether tool calls must be looked for in the answer. Raises RequestError."""
    template = model.chat_template
    if template is None:
        message = f"The model '{model.card.name}' has no chat template; start the server with --chat-template."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "messages")
    tools = [] if fields.tool_choice == "none" else fields.tools or []
    add_generation_prompt = fields.add_generation_prompt is not False
    text = await off_loop(num_chars, lambda: template.prompt(fields.messages, tools, add_generation_prompt))
    # the template writes the model's special tokens itself
    token_ids = await encode_text(model.tokenizer, text, fields.add_special_tokens is True)
    check_prompt(token_ids, "messages")
    wanted = fields.max_tokens if fields.max_completion_tokens is None else fields.max_completion_tokens
    limit = output_limit(len(token_ids), wanted, None, model.card, "messages", "messages")
    return Prompt(token_ids, limit), bool(tools) and template.writes_tool_calls
