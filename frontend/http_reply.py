"""Replies as Sanic wants them: JSON bodies and errors in OpenAI's shape."""

from typing import Any

import orjson
from sanic import HTTPResponse
from sanic.exceptions import SanicException

from frontend.http_errors import (
    ERROR_FORMS,
    INTERNAL_FORM,
    encode_error,
    error_body,
    error_headers,
    http_form,
    request_error_body,
)
from ipc.errors import RequestError

JSON = "application/json"
KEPT_HEADERS = ("allow", "www-authenticate")  # of errors that HTTP handling raises
INTERNAL_MESSAGE = "Internal error. The server's log has details under the request id {request_id}."


def json_reply(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    """A JSON body, encoded by orjson."""
    return HTTPResponse(orjson.dumps(body), status, headers, JSON)


def request_error_reply(error: RequestError) -> HTTPResponse:
    """A refused or failed request."""
    status = ERROR_FORMS[error.code].status
    return HTTPResponse(encode_error(request_error_body(error)), status, error_headers(error), JSON)


def http_error_reply(error: SanicException, method: str, path: str) -> HTTPResponse:
    """What HTTP handling refused: unknown route, wrong method, too large a body, a broken request."""
    form = http_form(error.status_code)
    if error.status_code == 404:
        message = f"Invalid URL ({method} {path})"
    elif error.status_code == 405:
        message = f"Not allowed to {method} on {path}"
    else:
        message = str(error) or "Bad Request"
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() in KEPT_HEADERS}
    return HTTPResponse(encode_error(error_body(form, message)), form.status, headers, JSON)


def internal_error_body(request_id: str) -> dict[str, Any]:
    """Tells the client nothing but where the operator finds more."""
    return error_body(INTERNAL_FORM, INTERNAL_MESSAGE.format(request_id=request_id))


def internal_error_reply(request_id: str) -> HTTPResponse:
    """The 500 for a bug of ours."""
    return HTTPResponse(encode_error(internal_error_body(request_id)), 500, None, JSON)
