"""The one table from our error vocabulary to HTTP status and OpenAI's error body. Knows nothing of Sanic's requests."""

import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

from ipc.errors import ErrorCode, RequestError

MAX_MESSAGE_CHARS = 2000  # a reply never grows with what the client sent
MIN_RETRY_AFTER_S = 1


@dataclass(frozen=True)
class ErrorForm:
    """How one kind of error looks to a client."""

    status: int
    type: str  # OpenAI's error classes
    code: str | None  # the machine-readable name


ERROR_FORMS: dict[ErrorCode, ErrorForm] = {
    ErrorCode.INVALID_REQUEST: ErrorForm(400, "invalid_request_error", None),
    ErrorCode.MODEL_NOT_FOUND: ErrorForm(404, "invalid_request_error", "model_not_found"),
    ErrorCode.CONTEXT_LENGTH_EXCEEDED: ErrorForm(400, "invalid_request_error", "context_length_exceeded"),
    ErrorCode.QUEUE_FULL: ErrorForm(429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorCode.WORKER_CRASH_LOOP: ErrorForm(500, "server_error", "worker_crash_loop"),
    ErrorCode.SCHEDULER_LOST: ErrorForm(503, "server_error", "scheduler_lost"),
    ErrorCode.SHUTTING_DOWN: ErrorForm(503, "server_error", "shutting_down"),
    ErrorCode.NO_WORKER: ErrorForm(503, "server_error", "no_worker"),
    ErrorCode.STEP_FAILED: ErrorForm(500, "server_error", "step_failed"),
    ErrorCode.NOT_READY: ErrorForm(503, "server_error", "not_ready"),
    ErrorCode.DEADLINE_EXCEEDED: ErrorForm(504, "server_error", "deadline_exceeded"),
    ErrorCode.RESPONSE_NOT_FOUND: ErrorForm(404, "invalid_request_error", None),
    ErrorCode.STORE_FAILED: ErrorForm(503, "server_error", "store_failed"),
}

# What HTTP itself refuses, by status; anything else below 500 is an invalid request without a code.
HTTP_FORMS: dict[int, ErrorForm] = {
    401: ErrorForm(401, "invalid_request_error", "invalid_api_key"),
    403: ErrorForm(403, "invalid_request_error", "forbidden"),
    404: ErrorForm(404, "invalid_request_error", "unknown_url"),
    405: ErrorForm(405, "invalid_request_error", "method_not_allowed"),
    409: ErrorForm(409, "invalid_request_error", "conflict"),
    408: ErrorForm(408, "invalid_request_error", "request_timeout"),
    413: ErrorForm(413, "invalid_request_error", "request_too_large"),
    503: ErrorForm(503, "server_error", "unavailable"),
}
INTERNAL_FORM = ErrorForm(500, "server_error", "internal_error")

_PATH = re.compile(r"(?:/[\w.+-]+){2,}")  # two or more components: "and/or" and "1/2" stay


def http_form(status: int) -> ErrorForm:
    """The form of an error that HTTP handling itself raised."""
    if status in HTTP_FORMS:
        return HTTP_FORMS[status]
    return ErrorForm(status, "invalid_request_error", None) if status < 500 else INTERNAL_FORM


def error_body(form: ErrorForm, message: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object, bounded in size."""
    if len(message) > MAX_MESSAGE_CHARS:
        message = message[: MAX_MESSAGE_CHARS - 3] + "..."
    return {"error": {"message": message, "type": form.type, "param": param, "code": form.code}}


def request_error_body(error: RequestError) -> dict[str, Any]:
    """The body of a refused or failed request. Messages of server errors lose anything that looks like a path."""
    form = ERROR_FORMS[error.code]
    message = str(error)
    if form.status >= 500:
        message = _PATH.sub("...", message)
    return error_body(form, message, error.param)


def encode_error(body: dict[str, Any]) -> bytes:
    """The JSON of an error body. A lone surrogate, which JSON escapes can smuggle in, becomes a question mark."""
    try:
        return orjson.dumps(body)
    except TypeError:
        clean = {key: _clean(value) for key, value in body["error"].items()}
        return orjson.dumps(body | {"error": clean})


def _clean(value: str | None) -> str | None:
    return None if value is None else value.encode("utf-8", "replace").decode("utf-8")


def error_headers(error: RequestError) -> dict[str, str]:
    """Retry-After in whole seconds where coming back helps. OpenAI's and Anthropic's clients send what failed with 5xx
    again by themselves; what was too slow would be too slow again."""
    if error.code is ErrorCode.DEADLINE_EXCEEDED:
        return {"x-should-retry": "false"}
    if ERROR_FORMS[error.code].status not in (429, 503):
        return {}
    seconds = max(MIN_RETRY_AFTER_S, math.ceil(error.retry_after_s or 0))
    return {"Retry-After": str(seconds)}
