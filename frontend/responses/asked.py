"""One request to create a response, understood: its conversation, its chat request and what will be told back of it."""

from dataclasses import dataclass

import orjson
from sanic import Request

from frontend.chat_answer import ChatAnswer, open_chat
from frontend.chat_prompt import chat_prompt
from frontend.renamed_fields import renamed_fields
from frontend.request_id import request_id
from frontend.responses.body import new_body
from frontend.responses.input_items import Item, input_items, new_id
from frontend.responses.schema import ResponsesRequest
from frontend.responses.status import Body
from frontend.responses.table import Stored, new_stored
from frontend.responses.to_chat import chat_request
from frontend.responses.truncation import shortened
from frontend.schema_chat import ChatRequest
from frontend.serving import Serving
from frontend.tenant import tenant_of
from frontend.text_model import TextModel
from frontend.tokenize import off_loop
from ipc.errors import ErrorCode, RequestError

ENDPOINT = "/v1/responses"
# a chat request's field: the field of ours that it was made of
FIELD_NAMES = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}


@dataclass(frozen=True)
class Asked:
    """`owner`: the account of its API key; `num_chars`: how much text there is to go through, about."""

    fields: ResponsesRequest
    model: TextModel
    chat: ChatRequest
    body: Body
    input_json: bytes
    owner: str
    num_chars: int

    @property
    def is_stored(self) -> bool:
        is_stored: bool = self.body["store"]
        return is_stored

    def stored(self, body: Body, has_events: bool = False) -> Stored:
        """How it is entered into the store."""
        return new_stored(self.owner, body, self.input_json, has_events)


async def understood(serving: Serving, request: Request, fields: ResponsesRequest, num_chars: int) -> Asked:
    """Raises RequestError for everything that is wrong before the conversation is looked at."""
    owner = tenant_of(request, None)
    model = serving.models.pick(fields.model, "generate", ENDPOINT)
    is_stored = fields.store is not False and serving.responses.is_enabled
    if fields.background and not is_stored:
        message = "A background response is kept in the store: 'store' must not be false, and the server must have one."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "background")
    chain: list[Stored] = []
    if fields.previous_response_id is not None:
        chain = await serving.responses.chain(fields.previous_response_id, owner)
        num_chars += sum(stored.size for stored in chain)
    asked = await off_loop(num_chars, lambda: _asked(fields, model, chain, owner, is_stored, num_chars))
    if is_stored:
        serving.responses.check_size(asked.stored(asked.body).size)
    return asked


def _asked(
    fields: ResponsesRequest, model: TextModel, chain: list[Stored], owner: str, is_stored: bool, num_chars: int
) -> Asked:
    own_items = input_items(fields.input)
    earlier = [item for stored in chain for item in _items_of(stored)]
    chat = chat_request(fields, earlier + own_items)
    try:
        body = new_body(fields, new_id("resp"), model.card, is_stored)
        orjson.dumps(body)
        input_json = orjson.dumps(own_items)
    except (TypeError, RecursionError) as error:  # lone surrogates, integers beyond 64 bits, deep nesting
        raise RequestError(ErrorCode.INVALID_REQUEST, f"The request holds what cannot be told back: {error}.") from None
    return Asked(fields, model, chat, body, input_json, owner, num_chars)


async def open_answer(serving: Serving, request: Request, asked: Asked) -> ChatAnswer:
    """Submits it. Raises RequestError in the words of this API."""
    streams = bool(asked.fields.stream)
    tenant = tenant_of(request, asked.fields.user)
    with renamed_fields(FIELD_NAMES):
        try:
            return await open_chat(serving, asked.chat, asked.num_chars, request_id(request), tenant, streams)
        except RequestError as error:
            if asked.fields.truncation != "auto" or error.code is not ErrorCode.CONTEXT_LENGTH_EXCEEDED:
                raise
            shorter = await shortened(serving, asked.chat, asked.model, asked.num_chars)
            if shorter is None:
                raise
        return await open_chat(serving, shorter, asked.num_chars, request_id(request), tenant, streams)


async def num_input_tokens(serving: Serving, asked: Asked) -> int:
    """Length of the prompt. Raises RequestError."""
    with renamed_fields(FIELD_NAMES):
        trusts = serving.config.trust_request_chat_template
        return len((await chat_prompt(asked.chat, asked.model, trusts, asked.num_chars)).token_ids)


def _items_of(stored: Stored) -> list[Item]:
    """What an earlier response adds to the conversation. A call that was cut short was never made."""
    body = stored.body()
    if body["status"] not in ("completed", "incomplete"):
        message = f"The response '{stored.id}' is {body['status']}: only one that has an answer can be gone on with."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "previous_response_id")
    output = [item for item in body["output"] if item["type"] != "function_call" or item["status"] == "completed"]
    return stored.input() + output
