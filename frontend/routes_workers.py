"""GET and POST /admin/workers: what runs, and how many workers there should be."""

from typing import Any

import msgspec
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from frontend.http_reply import json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.schema_workers import ScaleRequest
from frontend.serving import Serving
from frontend.to_supervisor import ask
from ipc.errors import ErrorCode, RequestError
from ipc.operator_protocol import AskScale, AskStatus, FinalReply, Refused

STATUS_TIMEOUT_S = 10.0
SCALE_TIMEOUT_S = 900.0  # the supervisor has deadlines of its own, which come first
CONFLICT = 409


async def show_workers(serving: Serving, request: Request) -> HTTPResponse:
    """What `zerolane status --json` shows, except the processes' memory."""
    reply = await ask(serving.config.runtime_dir, AskStatus(), STATUS_TIMEOUT_S)
    return json_reply(_fields(reply))


async def scale_workers(serving: Serving, request: Request) -> HTTPResponse:
    """Answers when exactly so many serve. 409 when the supervisor refuses, or cannot do all of it."""
    check_content_type(request.headers.get("content-type"))
    wanted = decode_body(await read_body(request, serving.config.max_body_bytes), ScaleRequest, {})
    if wanted == ScaleRequest():
        raise RequestError(ErrorCode.INVALID_REQUEST, "Missing required field 'workers'.", "workers")
    reply = await ask(
        serving.config.runtime_dir, AskScale(wanted.workers, wanted.spares, wanted.pools), SCALE_TIMEOUT_S
    )
    return json_reply(_fields(reply))


def _fields(reply: FinalReply) -> dict[str, Any]:
    """The reply's fields. Raises SanicException with status 409 for a refusal."""
    if isinstance(reply, Refused):
        raise SanicException(f"{reply.message} {reply.advice}".strip(), status_code=CONFLICT)
    fields: dict[str, Any] = msgspec.to_builtins(reply)
    del fields["reply"]  # says on control.sock which record it is
    return fields
