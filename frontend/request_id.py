"""The id of an HTTP request: the client's X-Request-Id if it is a sane one, else a fresh one. Log lines carry it."""

import re
from uuid import uuid4

from sanic import Request

HEADER = "X-Request-Id"
MAX_CHARS = 128
PATTERN = r"[\x21-\x7e]{1,128}"  # printable ASCII without spaces
_SANE = re.compile(PATTERN)


def request_id(request: Request) -> str:
    """Made on the first call and kept for the life of the request."""
    known: str | None = getattr(request.ctx, "request_id", None)
    if known is None:
        sent = request.headers.get(HEADER, "")
        known = sent if _SANE.fullmatch(sent) else uuid4().hex
        request.ctx.request_id = known
    return known
