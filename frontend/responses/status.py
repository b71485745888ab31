"""How the object of a response says that it ended without an answer."""

from typing import Any

from frontend.http_errors import ERROR_FORMS, request_error_body
from ipc.errors import RequestError

Body = dict[str, Any]
RUNNING = ("queued", "in_progress")
_ERROR_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}  # by HTTP status; else server_error


def fail(body: Body, code: str, message: str) -> None:
    """`code` is one that OpenAI's clients know."""
    body["status"] = "failed"
    body["error"] = {"code": code, "message": message}


def fail_with(body: Body, error: RequestError) -> None:
    """As an HTTP error would have told it."""
    code = _ERROR_CODES.get(ERROR_FORMS[error.code].status, "server_error")
    fail(body, code, request_error_body(error)["error"]["message"])


def cancel(body: Body) -> None:
    body["status"] = "cancelled"


def without_logprobs(body: Body) -> Body:
    """The same answer, smaller."""
    output = [
        item | {"content": [_bare(part) for part in item["content"]]} if item["type"] == "message" else item
        for item in body["output"]
    ]
    return body | {"output": output}


def _bare(part: dict[str, Any]) -> dict[str, Any]:
    return part | {"logprobs": []}
