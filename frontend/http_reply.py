"""Replies as Sanic wants them: JSON bodies and errors, these in the style of the route's clients."""

from typing import Any

import orjson
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from frontend.error_style import ErrorStyle, in_style
from frontend.http_errors import (
    ERROR_FORMS,
    INTERNAL_FORM,
    encode_error,
    error_body,
    error_headers,
    http_form,
    request_error_body,
)
from frontend.request_id import request_id
from ipc.errors import RequestError

JSON = "application/json"
KEPT_HEADERS = ("allow", "www-authenticate")  # of errors that HTTP handling raises
INTERNAL_MESSAGE = "Internal error. The server's log has details under the request id {request_id}."


def json_reply(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    """A JSON body, encoded by orjson."""
    return HTTPResponse(orjson.dumps(body), status, headers, JSON)


def request_error_reply(error: RequestError, request: Request, style: ErrorStyle = ErrorStyle.OPENAI) -> HTTPResponse:
    """A refused or failed request."""
    status = ERROR_FORMS[error.code].status
    return _error_reply(request_error_body(error), status, error_headers(error), request, style)


def http_error_reply(error: SanicException, request: Request, style: ErrorStyle = ErrorStyle.OPENAI) -> HTTPResponse:
    """What HTTP handling refused: unknown route, wrong method, too large a body, a broken request."""
    form = http_form(error.status_code)
    if error.status_code == 404:
        message = f"Invalid URL ({request.method} {request.path})"
    elif error.status_code == 405:
        message = f"Not allowed to {request.method} on {request.path}"
    else:
        message = str(error) or "Bad Request"
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() in KEPT_HEADERS}
    return _error_reply(error_body(form, message), form.status, headers, request, style)


def internal_error_body(request_id: str) -> dict[str, Any]:
    """Tells the client nothing but where the operator finds more."""
    return error_body(INTERNAL_FORM, INTERNAL_MESSAGE.format(request_id=request_id))


def internal_error_reply(request: Request, style: ErrorStyle = ErrorStyle.OPENAI) -> HTTPResponse:
    """The 500 for a bug of ours."""
    return _error_reply(internal_error_body(request_id(request)), 500, {}, request, style)


def _error_reply(
    body: dict[str, Any], status: int, headers: dict[str, str], request: Request, style: ErrorStyle
) -> HTTPResponse:
    return HTTPResponse(encode_error(in_style(body, status, style, request_id(request))), status, headers, JSON)
