"""What browsers ask before they let a page of another origin call us, and what they want to read in every reply."""

from sanic import HTTPResponse, Request
from sanic.response import BaseHTTPResponse

from ipc.config import FrontendConfig

MAX_AGE_S = 600  # browsers need not ask again for so long
SHOWN_HEADERS = "X-Request-Id, Retry-After"  # pages may read them, besides the few that are always readable
EVERY = "*"


class Cors:
    """The rules of one server. With no allowed origin it sends no header, and browsers refuse every other origin."""

    def __init__(self, config: FrontendConfig) -> None:
        self._origins = frozenset(config.allowed_origins)
        self._methods = ", ".join(config.allowed_methods)
        self._headers = ", ".join(config.allowed_headers)
        self._credentials = config.allow_credentials

    def preflight(self, request: Request, methods: str) -> HTTPResponse:
        """The reply to OPTIONS on a path that has `methods` ("GET, HEAD, OPTIONS")."""
        reply = HTTPResponse(status=204, headers={"Allow": methods})
        asked = request.headers.get("access-control-request-method")
        if asked is None or self._allowed_origin(request) is None:
            return reply
        wildcard_methods = EVERY in self._methods
        reply.headers["Access-Control-Allow-Methods"] = methods if wildcard_methods else self._methods
        wanted = request.headers.get("access-control-request-headers", "")
        if headers := wanted if EVERY in self._headers else self._headers:
            reply.headers["Access-Control-Allow-Headers"] = headers
        reply.headers["Access-Control-Max-Age"] = str(MAX_AGE_S)
        return reply

    def add_headers(self, request: Request, reply: BaseHTTPResponse) -> None:
        """For every reply to a request that a browser sent for a page."""
        if self._origins and EVERY not in self._origins:
            reply.headers["Vary"] = "Origin"  # caches must not give one origin's reply to another
        origin = self._allowed_origin(request)
        if origin is None:
            return
        reply.headers["Access-Control-Allow-Origin"] = origin
        reply.headers["Access-Control-Expose-Headers"] = SHOWN_HEADERS
        if self._credentials:
            reply.headers["Access-Control-Allow-Credentials"] = "true"

    def _allowed_origin(self, request: Request) -> str | None:
        """What the reply says."""
        origin = request.headers.get("origin")
        if not origin:
            return None
        if EVERY in self._origins:
            return EVERY
        return origin if origin in self._origins else None
