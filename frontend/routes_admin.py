"""GET /health, /ready, /version and /metrics: for operators and their machines."""

from prometheus_client import CONTENT_TYPE_LATEST
from sanic import HTTPResponse, Request

from frontend.http_reply import json_reply
from frontend.metrics_text import metrics_text
from frontend.serving import LOADING_RETRY_AFTER_S, Serving
from ipc.errors import ErrorCode, RequestError


async def health(serving: Serving, request: Request) -> HTTPResponse:
    """This process is alive and its loop runs."""
    return json_reply({"status": "ok"})


async def ready(serving: Serving, request: Request) -> HTTPResponse:
    """200 when every model answers. Raises RequestError NOT_READY or SHUTTING_DOWN with the reason."""
    if serving.is_draining:
        raise RequestError(ErrorCode.SHUTTING_DOWN, "The server is shutting down.")
    names = [model.card.name for model in serving.models.models]
    if serving.not_ready_reason is not None:
        message = f"Not ready: {serving.not_ready_reason}."
        raise RequestError(ErrorCode.NOT_READY, message, retry_after_s=LOADING_RETRY_AFTER_S)
    return json_reply({"status": "ready", "models": names})


async def version(serving: Serving, request: Request) -> HTTPResponse:
    """The server's version."""
    return json_reply({"version": serving.config.version})


async def metrics(serving: Serving, request: Request) -> HTTPResponse:
    """Prometheus' text, the same from every frontend: the numbers lie in memory all processes share."""
    return HTTPResponse(metrics_text(serving.page.read()), 200, None, CONTENT_TYPE_LATEST)
