"""POST /v1/completions."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import uuid4

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.chunk_encoder import ChunkEncoder
from frontend.completion_choice import CompletionChoice, CompletionForm
from frontend.completion_prompts import CompletionPrompt, completion_prompts
from frontend.constraint import constraint
from frontend.deadline import deadline_of
from frontend.detokenize import NONE_SHOWN
from frontend.drawn_logprobs import SpelledPrompt, spell
from frontend.generate import Choices, Order
from frontend.http_reply import json_reply
from frontend.logprob_rules import completion_logprobs
from frontend.logprobs_body import TokenNames
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.request_rules import GenerateRules, generate_rules
from frontend.schema_completions import CompletionRequest
from frontend.serving import Serving
from frontend.sse import deliver
from frontend.stream_group import Sink
from frontend.tenant import tenant_of
from frontend.text_model import TextModel
from frontend.token_stream import TokenStream
from frontend.tokenize import off_loop
from frontend.usage_body import usage_body
from frontend.worker_rules import worker_rules
from ipc.token_rules import encode_rules

ENDPOINT = "/v1/completions"


async def completions(serving: Serving, request: Request) -> HTTPResponse | None:
    """Continues one or several prompts, each n times."""
    check_content_type(request.headers.get("content-type"))
    models = serving.models
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, CompletionRequest, unsupported_fields.COMPLETIONS)
    deadline_of(request).tighten(fields.timeout)
    model = models.pick(fields.model, "generate", ENDPOINT)
    rules = generate_rules(fields, model.card, completion_logprobs(fields, serving.config.max_logprobs))
    prompts = await completion_prompts(fields, model, rules.num_drawn)
    order = await _order(fields, model, rules, request, len(body))
    choices = Choices(serving, order, [prompt.prompt for prompt in prompts])
    reply = _Reply(choices, fields, await _echoed(fields, order, prompts))
    await serving.to_scheduler.wait_for_scheduler()
    with choices:
        choices.submit()
        if rules.stream:
            await deliver(request, reply.events(), direct=reply.write_directly)
            return None
        return json_reply(await reply.whole())


async def _order(
    fields: CompletionRequest, model: TextModel, rules: GenerateRules, request: Request, num_chars: int
) -> Order:
    grammar = await constraint(fields, model, num_body_chars=num_chars)
    asked = await off_loop(num_chars, lambda: encode_rules(worker_rules(fields, model, grammar)))
    return Order(
        model=model,
        rules=rules,
        request_id=request_id(request),
        tenant=tenant_of(request, fields.user),
        worker_rules=asked,
        shown=NONE_SHOWN if rules.hides_special else None,
        goes_on=not fields.suffix,
        param="prompt",
    )


async def _echoed(
    fields: CompletionRequest, order: Order, prompts: Sequence[CompletionPrompt]
) -> list[SpelledPrompt | None]:
    """For each prompt what of it stands before the completion's text."""
    if not fields.echo:
        return [None] * len(prompts)
    num_tokens = sum(len(prompt.prompt.token_ids) for prompt in prompts)
    return await off_loop(num_tokens, lambda: [_spelled(prompt, order) for prompt in prompts])


def _spelled(prompt: CompletionPrompt, order: Order) -> SpelledPrompt:
    spelled = spell(prompt.prompt.token_ids, order.model.tokenizer, order.shown)
    return spelled if prompt.text is None else spelled._replace(text=prompt.text)


class _Reply:
    """What one request is answered, in parts or whole."""

    def __init__(self, choices: Choices, fields: CompletionRequest, echoed: Sequence[SpelledPrompt | None]) -> None:
        rules = choices.order.rules
        self._choices = choices
        self._echoed = echoed
        self._form = CompletionForm(
            names=TokenNames(choices.order.model.tokenizer, bool(fields.return_tokens_as_token_ids)),
            num_logprobs=rules.logprobs.num_output,
            num_prompt_logprobs=-1 if fields.prompt_logprobs is None else fields.prompt_logprobs,
            tells_token_ids=rules.returns_token_ids,
        )
        self._head = (f"cmpl-{uuid4().hex}", "text_completion", int(time.time()), choices.order.model.card.name)
        self._encoder = ChunkEncoder(*self._head, rules.include_usage)
        self._parts = [self._choice(stream) for stream in choices.streams]
        self._tells_prompt = rules.logprobs.num_prompt >= 0

    async def events(self) -> AsyncGenerator[bytes]:
        """The chunks, several at a time when they come together."""
        choices = self._choices
        while choices.is_open:
            changed = await choices.changed()
            if self._tells_prompt:
                for stream in changed:
                    await self._parts[stream.choice].prepare()
            chunks = self._chunks(changed)
            if chunks:
                yield chunks
        if choices.order.rules.include_usage:
            yield self._encoder.usage(usage_body(choices.usage()))

    def write_directly(self, sink: Sink) -> None:
        """See `deliver`. A prompt's log-probabilities are prepared in a thread, by `events`."""
        if not self._tells_prompt:
            self._choices.write_directly(self._chunks, sink)

    def _chunks(self, changed: Sequence[TokenStream]) -> bytes:
        if self._choices.order.rules.continuous_usage:
            self._encoder.show_usage(usage_body(self._choices.usage()))
        return b"".join([self._parts[stream.choice].chunk(self._encoder) for stream in changed])

    async def whole(self) -> dict[str, Any]:
        """The body, when every choice has ended."""
        streams = await self._choices.finished()
        return await off_loop(self._choices.num_told, lambda: self._body(streams))

    def _body(self, streams: Sequence[TokenStream]) -> dict[str, Any]:
        reply_id, kind, created, model = self._head
        return {
            "id": reply_id,
            "object": kind,
            "created": created,
            "model": model,
            "choices": [self._choice(stream).reply(index) for index, stream in enumerate(streams)],
            "usage": usage_body(self._choices.usage()),
        }

    def _choice(self, stream: TokenStream) -> CompletionChoice:
        prompt = stream.choice // self._choices.order.rules.num_drawn
        return CompletionChoice(stream, self._choices, self._form, prompt, self._echoed[prompt])
