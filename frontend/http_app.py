"""Builds the Sanic app: its settings, its routes, and the one handler of every error Sanic raises itself."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import RequestCancelled, SanicException
from sanic.handlers import ErrorHandler
from sanic.response import BaseHTTPResponse

from frontend.cors import Cors
from frontend.http_endpoint import CLIENT_LEFT, Endpoint
from frontend.http_reply import http_error_reply, internal_error_reply
from frontend.read_body import connection
from frontend.request_id import HEADER, request_id
from frontend.request_log import log_bug
from frontend.route import Route, sanic_path
from frontend.routes import ROUTES
from frontend.routes_docs import docs_routes
from frontend.serving import Serving
from ipc.metric_families import OTHER
from ipc.metrics_page import MetricsWriter

KEEP_ALIVE_S = 120
HEADERS_TIMEOUT_S = 30  # a client that begins a request and does not send its headers
NEVER_S = 10 * 365 * 24 * 3600  # a completion takes as long as it takes; bodies have their own limit (read_body.py)
NOT_ALLOWED = 405
GRACEFUL_SHUTDOWN_S = 2.0  # after Stop: time for the last bytes of replies

App = Sanic[Any, Any]


def build_app(serving: Serving) -> App:
    """The app, ready to run; it listens nowhere yet."""
    for name in ("sanic.root", "sanic.server"):
        logging.getLogger(name).setLevel(logging.WARNING)  # its start and stop messages; ours say more
    app: App = Sanic("zerolane", configure_logging=False, error_handler=OpenAIErrors(serving.metrics))
    app.config.update(_settings(serving))
    cors = Cors(serving.config)
    docs = () if serving.config.disable_docs else docs_routes(ROUTES, serving.config.version)
    _add_routes(app, serving, cors, (*ROUTES, *docs))
    app.register_middleware(_finishing(serving, cors), "response")
    return app


def _add_routes(app: App, serving: Serving, cors: Cors, routes: Sequence[Route]) -> None:
    methods: defaultdict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for route in routes:
        verbs = ["GET", "HEAD"] if route.method == "GET" else [route.method]
        for path in route.paths:
            methods[path].update(verbs)
            # stream=True: the handler reads the body itself, with its own limits
            reads_body = route.body is not None
            name = _name(f"{route.method} {path}")
            app.add_route(
                _function(Endpoint(serving, route, path)), sanic_path(path), verbs, stream=reads_body, name=name
            )
    for path, verbs_of_path in methods.items():
        allowed = ", ".join(sorted(verbs_of_path))
        name = _name(f"OPTIONS {path}")
        app.add_route(_preflight(cors, allowed), sanic_path(path), ["OPTIONS"], name=name, ctx_allowed=allowed)


def _settings(serving: Serving) -> dict[str, object]:
    return {
        "ACCESS_LOG": False,
        "MOTD": False,
        "AUTO_EXTEND": False,
        "USE_UVLOOP": True,
        "TOUCHUP": True,
        "KEEP_ALIVE_TIMEOUT": KEEP_ALIVE_S,
        "REQUEST_TIMEOUT": HEADERS_TIMEOUT_S,
        "RESPONSE_TIMEOUT": NEVER_S,
        "REQUEST_MAX_SIZE": serving.config.max_body_bytes,
        "GRACEFUL_SHUTDOWN_TIMEOUT": GRACEFUL_SHUTDOWN_S,
        "SSE_KEEP_ALIVE_S": serving.config.sse_keep_alive_interval,  # ours: see sse.py
    }


class OpenAIErrors(ErrorHandler):
    """Sanic's own errors (no such route, wrong method, broken request) in OpenAI's shape."""

    def __init__(self, metrics: MetricsWriter) -> None:
        super().__init__()
        self._metrics = metrics

    def response(self, request: Request, exception: BaseException) -> HTTPResponse:
        """Never raises, never shows a page of Sanic's. Errors of our handlers were answered and counted before."""
        if isinstance(exception, SanicException) and exception.status_code < 500:
            reply = http_error_reply(exception, request)
            if reply.status == NOT_ALLOWED:
                reply.headers["Allow"] = _allowed(request)
        elif isinstance(exception, RequestCancelled):
            reply = internal_error_reply(request)  # nobody reads it
        else:
            log_bug(request_id(request), request.path, exception)
            reply = internal_error_reply(request)
        if request.route is None:
            status = CLIENT_LEFT if isinstance(exception, RequestCancelled) else reply.status
            self._metrics.counter("zerolane_http_requests_total", OTHER, str(status)).add()
        return reply


def _allowed(request: Request) -> str:
    """The methods of a path that was asked with another one: Sanic knows them only where it has no parameters."""
    route, _, _ = request.app.router.get(request.path, "OPTIONS", None)
    methods: str = route.ctx.allowed
    return methods


def _function(endpoint: Endpoint) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
    """A plain function: Sanic writes attributes on its handlers."""

    async def handle(request: Request, **path: str) -> HTTPResponse | None:
        return await endpoint(request, **path)

    return handle


def _preflight(cors: Cors, methods: str) -> Callable[..., Coroutine[Any, Any, HTTPResponse]]:
    """Needs no key: browsers send none with it."""

    async def handle(request: Request, **path: str) -> HTTPResponse:
        return cors.preflight(request, methods)

    return handle


def _finishing(serving: Serving, cors: Cors) -> Callable[[Request, BaseHTTPResponse], None]:
    """What every response gets before its first byte is sent."""

    def finish(request: Request, response: BaseHTTPResponse) -> None:
        response.headers[HEADER] = request_id(request)
        cors.add_headers(request, response)
        if serving.is_leaving:
            connection(request).keep_alive = False

    return finish


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")
