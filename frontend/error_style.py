"""The shapes errors can have: OpenAI's, which all our code builds, and what other APIs' clients expect instead."""

from enum import Enum, auto
from typing import Any


class ErrorStyle(Enum):
    """Whose clients a route is for."""

    OPENAI = auto()
    ANTHROPIC = auto()


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def in_style(body: dict[str, Any], status: int, style: ErrorStyle, request_id: str) -> dict[str, Any]:
    """OpenAI's error object as `style` writes it. `status` is what the reply has, or would have had."""
    if style is ErrorStyle.OPENAI:
        return body
    fallback = "api_error" if status >= 500 else "invalid_request_error"
    error = {"type": _ANTHROPIC_TYPES.get(status, fallback), "message": body["error"]["message"]}
    return {"type": "error", "error": error, "request_id": request_id}
