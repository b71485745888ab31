"""POST /tokenize and /detokenize: texts and conversations as the tokens of a model, and back. Of every served model,
whatever it is for; nothing is computed by it."""

from collections.abc import Sequence
from typing import Any

import orjson
from sanic import HTTPResponse, Request

from frontend.chat_prompt import chat_prompt
from frontend.deadline import deadline_of
from frontend.http_reply import JSON, json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_rules import check_token_id
from frontend.schema_chat import ChatRequest
from frontend.schema_tokenize import MAX_CHARS, MAX_SPAN_CHARS, DetokenizeRequest, TokenizeRequest
from frontend.serving import Serving
from frontend.text_model import TextModel
from frontend.tokenize import TokenSpan, encode_text, off_loop
from ipc.errors import ErrorCode, RequestError

_FORMS = ("prompt", "messages", "inputs")
_OF_MESSAGES = ("add_generation_prompt", "continue_final_message", "chat_template", "chat_template_kwargs", "tools")


async def tokenize(serving: Serving, request: Request) -> HTTPResponse:
    """The tokens of a text or a conversation."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, TokenizeRequest, {})
    deadline_of(request).tighten(fields.timeout)
    _check_form(fields)
    model = _pick(serving, fields.model, wants_template=fields.messages is not None)
    if fields.inputs is not None:
        texts = [fields.inputs] if isinstance(fields.inputs, str) else fields.inputs
        _check_chars(sum(map(len, texts)), MAX_SPAN_CHARS, "inputs")
        add_special_tokens = fields.add_special_tokens is not False
        found = await off_loop(len(body), lambda: [_tei(model, text, add_special_tokens) for text in texts])
        return HTTPResponse(orjson.dumps(found), 200, None, JSON)
    token_ids = await _token_ids(serving, fields, model, len(body))
    return await off_loop(len(token_ids), lambda: _reply(token_ids, model, fields.return_token_strs is True))


async def detokenize(serving: Serving, request: Request) -> HTTPResponse:
    """The text of some tokens."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, DetokenizeRequest, {})
    deadline_of(request).tighten(fields.timeout)
    model = _pick(serving, fields.model, wants_template=False)
    if fields.tokens:
        check_token_id(max(fields.tokens), model.card, "tokens")  # the schema refuses negative ones
    text = await off_loop(len(body), lambda: model.tokenizer.decode(fields.tokens))
    return json_reply({"prompt": text})


def _reply(token_ids: Sequence[int], model: TextModel, tells_spellings: bool) -> HTTPResponse:
    return json_reply(
        {
            "count": len(token_ids),
            "max_model_len": model.card.max_model_len,
            "tokens": token_ids,
            "token_strs": [model.tokenizer.token_spelling(index) for index in token_ids] if tells_spellings else None,
        }
    )


def _check_form(fields: TokenizeRequest) -> None:
    """Raises RequestError unless exactly one form is given."""
    given = [name for name in _FORMS if getattr(fields, name) is not None]
    if not given:
        message = "Missing required field 'prompt' (or 'messages')."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "prompt")
    if len(given) > 1:
        message = f"'{given[0]}' and '{given[1]}' exclude each other."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, given[1])
    if fields.messages is None:
        for name in _OF_MESSAGES:
            if getattr(fields, name) is not None:
                raise RequestError(ErrorCode.INVALID_REQUEST, f"'{name}' goes with 'messages' only.", name)
    if fields.inputs is not None and fields.return_token_strs:
        message = "'return_token_strs' is of no use with 'inputs': the tokens' texts are told anyway."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "return_token_strs")


def _check_chars(num_chars: int, most: int, param: str) -> None:
    if num_chars > most:
        message = f"'{param}' may hold at most {most} characters here; these are {num_chars}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def _pick(serving: Serving, name: str | None, wants_template: bool) -> TextModel:
    """The model by name; without one the first, or the first that has a chat template. Raises RequestError."""
    models = serving.models
    if name:
        return models.named(name)
    with_template = (model for model in models.models if model.chat_template is not None)
    return next(with_template, models.models[0]) if wants_template else models.models[0]


async def _token_ids(serving: Serving, fields: TokenizeRequest, model: TextModel, num_body_chars: int) -> Sequence[int]:
    if fields.messages is None:
        return await encode_text(model.tokenizer, fields.prompt or "", fields.add_special_tokens is not False)
    chat = ChatRequest(
        messages=fields.messages,
        add_special_tokens=fields.add_special_tokens,
        add_generation_prompt=fields.add_generation_prompt,
        continue_final_message=fields.continue_final_message,
        chat_template=fields.chat_template,
        chat_template_kwargs=fields.chat_template_kwargs,
        tools=fields.tools,
    )
    _check_chars(num_body_chars, MAX_CHARS, "messages")
    trusts = serving.config.trust_request_chat_template
    return (await chat_prompt(chat, model, trusts, num_body_chars)).token_ids


def _tei(model: TextModel, text: str, add_special_tokens: bool) -> list[dict[str, Any]]:
    return [_tei_token(span, text) for span in model.tokenizer.encode_spans(text, add_special_tokens)]


def _tei_token(span: TokenSpan, text: str) -> dict[str, Any]:
    """As text-embeddings-inference writes it: a token's own part of the text, and no place for special ones."""
    is_special = span.is_special
    return {
        "id": span.token_id,
        "text": span.spelling if is_special else text[span.start : span.stop],
        "special": is_special,
        "start": None if is_special else span.start,
        "stop": None if is_special else span.stop,
    }
