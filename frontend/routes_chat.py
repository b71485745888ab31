"""POST /v1/chat/completions."""

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.chat_answer import open_chat
from frontend.chat_reply import ChatReply
from frontend.deadline import deadline_of
from frontend.http_reply import json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.schema_chat import ChatRequest
from frontend.serving import Serving
from frontend.sse import deliver
from frontend.tenant import tenant_of


async def chat_completions(serving: Serving, request: Request) -> HTTPResponse | None:
    """Answers a conversation n times."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, ChatRequest, unsupported_fields.CHAT)
    deadline_of(request).tighten(fields.timeout)
    tenant = tenant_of(request, fields.user)
    with await open_chat(serving, fields, len(body), request_id(request), tenant) as answer:
        reply = ChatReply(answer, fields)
        if answer.rules.stream:
            await deliver(request, reply.events(), direct=reply.write_directly)
            return None
        return json_reply(await reply.whole())
