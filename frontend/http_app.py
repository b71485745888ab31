"""Builds the Sanic app: its settings, its routes, and the one handler of every error Sanic raises itself."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import RequestCancelled, SanicException
from sanic.handlers import ErrorHandler
from sanic.response import BaseHTTPResponse

from frontend.http_endpoint import CLIENT_LEFT, Endpoint, Handler
from frontend.http_reply import http_error_reply, internal_error_reply
from frontend.read_body import connection
from frontend.request_id import HEADER, request_id
from frontend.request_log import log_bug
from frontend.routes_admin import health, metrics, ready, version
from frontend.routes_chat import chat_completions
from frontend.routes_completions import completions
from frontend.routes_models import list_models, one_model
from frontend.routes_score import score
from frontend.routes_workers import scale_workers, show_workers
from frontend.serving import Serving
from ipc.metric_families import OTHER
from ipc.metrics_page import MetricsWriter

KEEP_ALIVE_S = 120
HEADERS_TIMEOUT_S = 30  # a client that begins a request and does not send its headers
NEVER_S = 10 * 365 * 24 * 3600  # a completion takes as long as it takes; bodies have their own limit (read_body.py)
GRACEFUL_SHUTDOWN_S = 2.0  # after Stop: time for the last bytes of replies

GET_ROUTES: dict[str, Handler] = {
    "/health": health,
    "/ready": ready,
    "/version": version,
    "/metrics": metrics,
    "/v1/models": list_models,
}
INFERENCE_ROUTES: dict[str, Handler] = {
    "/v1/completions": completions,
    "/v1/chat/completions": chat_completions,
    "/v1/score": score,
    "/score": score,
}
WORKERS = "/admin/workers"

App = Sanic[Any, Any]


def build_app(serving: Serving) -> App:
    """The app, ready to run; it listens nowhere yet."""
    for name in ("sanic.root", "sanic.server"):
        logging.getLogger(name).setLevel(logging.WARNING)  # its start and stop messages; ours say more
    app: App = Sanic("zerolane", configure_logging=False, error_handler=OpenAIErrors(serving.metrics))
    app.config.update(_settings(serving))
    for path, handler in GET_ROUTES.items():
        endpoint = Endpoint(serving, path, handler, is_inference=False)
        app.add_route(_function(endpoint), path, methods=["GET", "HEAD"], name=_name(path))
    card = Endpoint(serving, "/v1/models/{id}", one_model, is_inference=False)
    app.add_route(_function(card), "/v1/models/<model_id:path>", methods=["GET", "HEAD"], name="one_model")
    for path, handler in INFERENCE_ROUTES.items():
        endpoint = Endpoint(serving, path, handler, is_inference=True)
        # stream=True: the handler reads the body itself, with its own limits
        app.add_route(_function(endpoint), path, methods=["POST"], stream=True, name=_name(path))
    show = Endpoint(serving, WORKERS, show_workers, is_inference=False)
    app.add_route(_function(show), WORKERS, methods=["GET", "HEAD"], name="show_workers")
    scale = Endpoint(serving, WORKERS, scale_workers, is_inference=False)
    app.add_route(_function(scale), WORKERS, methods=["POST"], stream=True, name="scale_workers")
    app.register_middleware(_finishing(serving), "response")
    return app


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
    }


class OpenAIErrors(ErrorHandler):
    """Sanic's own errors (no such route, wrong method, broken request) in OpenAI's shape."""

    def __init__(self, metrics: MetricsWriter) -> None:
        super().__init__()
        self._metrics = metrics

    def response(self, request: Request, exception: BaseException) -> HTTPResponse:
        """Never raises, never shows a page of Sanic's. Errors of our handlers were answered and counted before."""
        if isinstance(exception, SanicException) and exception.status_code < 500:
            reply = http_error_reply(exception, request.method, request.path)
        elif isinstance(exception, RequestCancelled):
            reply = internal_error_reply(request_id(request))  # nobody reads it
        else:
            log_bug(request_id(request), request.path, exception)
            reply = internal_error_reply(request_id(request))
        if request.route is None:
            status = CLIENT_LEFT if isinstance(exception, RequestCancelled) else reply.status
            self._metrics.counter("zerolane_http_requests_total", OTHER, str(status)).add()
        return reply


def _function(endpoint: Endpoint) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
    """A plain function: Sanic writes attributes on its handlers."""

    async def handle(request: Request, **path: str) -> HTTPResponse | None:
        return await endpoint(request, **path)

    return handle


def _finishing(serving: Serving) -> Callable[[Request, BaseHTTPResponse], None]:
    """What every response gets before its first byte is sent."""

    def finish(request: Request, response: BaseHTTPResponse) -> None:
        response.headers[HEADER] = request_id(request)
        if serving.is_leaving:
            connection(request).keep_alive = False

    return finish


def _name(path: str) -> str:
    return path.strip("/").replace("/", "_")
