"""What one route is: everything that the app, the border around its handler and the API's description must know of it.

The table of all routes is in `routes.py`.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from sanic import HTTPResponse

from frontend.error_style import ErrorStyle

Handler = Callable[..., Awaitable[HTTPResponse | None]]
"""(serving, request, **path parameters) -> a reply, or None when it has streamed one. Raises RequestError."""

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_STATUSES_OF_ALL = (500,)
_STATUSES_OF_BODIES = (400, 408, 413)


class Kind(Enum):
    """Who may call a route, and what the server has to be able to."""

    OPEN = auto()  # everybody, always: probes and scrapers have no keys
    INFORMATION = auto()  # with an API key, where the server has some; also while it shuts down
    INFERENCE = auto()  # with an API key; waits for the models, counts as an open request, refused while shutting down
    ADMIN = auto()  # with the admin key


_STATUSES_OF_KIND: dict[Kind, tuple[int, ...]] = {
    Kind.OPEN: (),
    Kind.INFORMATION: (401, 503),
    Kind.INFERENCE: (400, 401, 404, 429, 503, 504),
    Kind.ADMIN: (401, 403),
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One line of the table. Path parameters are written {name}, or {name:path} where they may hold slashes."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    kind: Kind
    summary: str  # one line for the API's description
    body: Any = None  # type of the JSON body: a msgspec Struct, or a union of them; None: the route takes none
    reply: Any = None  # type of the JSON reply with status 200; None: any object
    media_type: str = "application/json"  # of the reply with status 200
    streams: bool = False  # may answer as server-sent events
    query: tuple[str, ...] = ()  # names of query parameters, all optional texts
    extra_statuses: tuple[int, ...] = ()  # that it can answer with, besides those of its kind
    also: tuple[str, ...] = ()  # more paths with the same meaning
    error_style: ErrorStyle = ErrorStyle.OPENAI

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, *self.also)

    @property
    def statuses(self) -> tuple[int, ...]:
        """All statuses a request with this path and method can be answered with, rising."""
        of_body = _STATUSES_OF_BODIES if self.body is not None else ()
        all_ = {200, *_STATUSES_OF_ALL, *_STATUSES_OF_KIND[self.kind], *of_body, *self.extra_statuses}
        return tuple(sorted(all_))


def sanic_path(path: str) -> str:
    """As Sanic's router writes it."""
    return _PARAMETER.sub(lambda match: f"<{match[1]}{match[2] or ''}>", path)


def openapi_path(path: str) -> str:
    """As OpenAPI writes it."""
    return _PARAMETER.sub(r"{\1}", path)


def metric_label(path: str) -> str:
    """As the metrics write it: every parameter is called id."""
    return _PARAMETER.sub("{id}", path)


def path_parameters(path: str) -> list[str]:
    """The names of the path's parameters, in order."""
    return [match[1] for match in _PARAMETER.finditer(path)]
