"""A request without a connection, for code that only reads its headers."""

from collections.abc import Mapping
from typing import Any

from sanic import Request
from sanic.compat import Header

_NOTHING: Any = None  # neither a transport nor an app


def request_with(headers: Mapping[str, str], method: str = "POST") -> Request:
    return Request(b"/", Header(headers), "1.1", method, _NOTHING, _NOTHING)
