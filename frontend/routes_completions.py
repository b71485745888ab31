"""POST /v1/completions."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast
from uuid import uuid4

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.chunk_encoder import ChunkEncoder
from frontend.generate import Choices, Prompt
from frontend.http_reply import json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.request_rules import (
    COMPLETIONS_MAX_TOKENS,
    GenerateRules,
    check_num_streams,
    check_prompt,
    check_token_id,
    generate_rules,
    output_limit,
)
from frontend.schema_completions import CompletionRequest
from frontend.serving import Serving
from frontend.sse import deliver
from frontend.text_model import TextModel
from frontend.tokenize import encode_text
from ipc.errors import ErrorCode, RequestError

ENDPOINT = "/v1/completions"


async def completions(serving: Serving, request: Request) -> HTTPResponse | None:
    """Continues one or several prompts, each n times."""
    check_content_type(request.headers.get("content-type"))
    models = serving.models
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, CompletionRequest, unsupported_fields.COMPLETIONS)
    model = models.pick(fields.model, "generate", ENDPOINT)
    rules = generate_rules(fields, model.card)
    prompts = await _prompts(fields, model, rules)
    await serving.to_scheduler.wait_for_scheduler()
    with Choices(serving, model, prompts, rules, request_id(request)) as choices:
        choices.submit()
        reply_id, created = f"cmpl-{uuid4().hex}", int(time.time())
        if rules.stream:
            encoder = ChunkEncoder(reply_id, "text_completion", created, model.card.name, rules.include_usage)
            await deliver(request, _events(choices, encoder, rules.include_usage))
            return None
        await choices.finished()
        return json_reply(_reply(choices, reply_id, created, model.card.name))


async def _events(choices: Choices, encoder: ChunkEncoder, include_usage: bool) -> AsyncGenerator[bytes]:
    while choices.is_open:
        chunks: list[bytes] = []
        for stream in await choices.changed():
            text = stream.take_text()
            if stream.finish_reason is None:
                chunks.append(encoder.text(stream.choice, text))
            else:
                chunks.append(encoder.finish(stream.choice, text, stream.finish_reason, stream.stop_reason))
        yield b"".join(chunks)
    if include_usage:
        yield encoder.usage(choices.usage())


def _reply(choices: Choices, reply_id: str, created: int, model: str) -> dict[str, Any]:
    return {
        "id": reply_id,
        "object": "text_completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": stream.choice,
                "text": stream.take_text(),
                "logprobs": None,
                "finish_reason": stream.finish_reason,
                "stop_reason": stream.stop_reason,
            }
            for stream in choices.streams
        ],
        "usage": choices.usage(),
    }


async def _prompts(fields: CompletionRequest, model: TextModel, rules: GenerateRules) -> list[Prompt]:
    """All prompts as token ids, checked against the model's limits. Raises RequestError naming the prompt."""
    given, is_list = _as_list(fields.prompt)
    check_num_streams(len(given), rules.num_choices, "prompt")
    add_special_tokens = fields.add_special_tokens is not False
    prompts: list[Prompt] = []
    for number, one in enumerate(given):
        param = f"prompt[{number}]" if is_list else "prompt"
        if isinstance(one, str):
            token_ids: Sequence[int] = await encode_text(model.tokenizer, one, add_special_tokens)
        else:
            token_ids = one
            check_token_id(max(one, default=0), model.card, param)  # the schema refuses negative ones
        check_prompt(token_ids, param)
        limit = output_limit(len(token_ids), fields.max_tokens, COMPLETIONS_MAX_TOKENS, model.card, "prompt", param)
        prompts.append(Prompt(token_ids, limit))
    return prompts


def _as_list(prompt: str | list[Any]) -> tuple[list[str | list[int]], bool]:
    """The prompts, and whether the request gave a list of them. One list of token ids is one prompt."""
    if isinstance(prompt, str):
        return [prompt], False
    if not prompt:
        raise RequestError(ErrorCode.INVALID_REQUEST, "'prompt' is an empty list.", "prompt")
    if all(isinstance(part, int) for part in prompt):
        return [prompt], False
    if any(isinstance(part, int) for part in prompt):
        message = "'prompt' mixes token ids with texts or lists; give one list of token ids, or a list of prompts."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "prompt")
    return cast("list[str | list[int]]", prompt), True
