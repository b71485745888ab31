"""GET /openapi.json and /docs: the description of all routes, these two included."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import orjson
from sanic import HTTPResponse, Request

from frontend.docs_page import POLICY, docs_page
from frontend.http_reply import JSON
from frontend.openapi import Json, openapi
from frontend.route import Kind, Route
from frontend.serving import Serving

HTML = "text/html; charset=utf-8"


def docs_routes(routes: Sequence[Route], version: str) -> tuple[Route, ...]:
    """The two routes that describe `routes` and themselves. The description is made when first asked for."""

    @cache
    def document() -> Json:
        return openapi(described_routes(routes), version)

    @cache
    def page() -> bytes:
        return docs_page(document()).encode()

    async def openapi_json(serving: Serving, request: Request) -> HTTPResponse:
        return HTTPResponse(orjson.dumps(document()), 200, None, JSON)

    async def docs(serving: Serving, request: Request) -> HTTPResponse:
        return HTTPResponse(page(), 200, {"Content-Security-Policy": POLICY}, HTML)

    json_route, page_route = _DESCRIBED
    return replace(json_route, handler=openapi_json), replace(page_route, handler=docs)


def described_routes(routes: Sequence[Route]) -> tuple[Route, ...]:
    """All that the description holds."""
    return (*routes, *_DESCRIBED)


async def _no_handler(serving: Serving, request: Request) -> HTTPResponse:
    raise NotImplementedError  # docs_routes() puts the real one in its place


_DESCRIBED = (
    Route(
        method="GET",
        path="/openapi.json",
        handler=_no_handler,
        kind=Kind.OPEN,
        summary="This description, for programs.",
    ),
    Route(
        method="GET",
        path="/docs",
        handler=_no_handler,
        kind=Kind.OPEN,
        summary="This description, for people.",
        reply=str,
        media_type=HTML,
    ),
)
