"""The API's description in OpenAPI 3.1, made from the table of routes and the types of their bodies: what it says about
fields and bounds is what the server checks, because both are the same types."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from frontend.error_style import ErrorStyle
from frontend.reply_shapes import AnthropicErrorReply, ErrorReply
from frontend.request_id import MAX_CHARS, PATTERN
from frontend.route import Kind, Route, openapi_path, path_parameters

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_ERRORS = {ErrorStyle.OPENAI: ErrorReply, ErrorStyle.ANTHROPIC: AnthropicErrorReply}
_SSE: Json = {"schema": {"type": "string", "description": "server-sent events; the body says when: 'stream': true"}}
_WITH_RETRY_AFTER = (429, 503)
_MEANINGS = {
    200: "Done.",
    202: "Accepted.",
    400: "The request is not valid; `param` names the field.",
    401: "No key, or a wrong one.",
    403: "The admin routes are closed.",
    404: "No such model, or no such object.",
    408: "The body did not arrive in time.",
    409: "Not possible in the present state.",
    413: "The body is too large.",
    429: "The queue is full.",
    500: "A failure of the server; its log has the request id.",
    503: "Not ready, shutting down, or without a worker.",
    504: "The request's own deadline is over.",
}
_TAGS = {
    Kind.INFERENCE: "inference",
    Kind.INFORMATION: "information",
    Kind.OPEN: "operation",
    Kind.ADMIN: "administration",
}
_HEADERS: Json = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "the request's id, as sent or made"},
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "seconds"},
}


def openapi(routes: Sequence[Route], version: str) -> Json:
    """The whole document."""
    refs, components = _schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        for path in route.paths:
            paths.setdefault(openapi_path(path), {})[route.method.lower()] = _operation(route, path, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zerolane",
            "version": version,
            "description": "Language models, rerankers and embedders over OpenAI's HTTP API. Fields that a body's "
            "schema does not name are ignored, unless docs/openai-compat.md says that they are refused.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _security_schemes(), "headers": _HEADERS},
    }


def _schemas(routes: Sequence[Route]) -> tuple[dict[Any, Json], Json]:
    """For each type that a route names its schema, and the schemas these refer to."""
    types = list(dict.fromkeys([*_named_types(routes), *_ERRORS.values()]))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(zip(types, schemas, strict=True)), components


def _named_types(routes: Iterable[Route]) -> Iterable[Any]:
    for route in routes:
        for kind in (route.body, route.reply):
            if kind is not None:
                yield kind


def _operation(route: Route, path: str, refs: dict[Any, Json]) -> Json:
    operation: Json = {
        "operationId": _operation_id(route, path),
        "summary": route.summary,
        "tags": [_TAGS[route.kind]],
        "parameters": _parameters(route, path),
        "responses": {str(status): _response(route, status, refs) for status in route.statuses},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": refs[route.body]}}}
    match route.kind:
        case Kind.INFERENCE | Kind.INFORMATION:
            operation["security"] = [{"bearer": []}, {"x-api-key": []}, {}]  # {}: a server without keys
        case Kind.ADMIN:
            operation["security"] = [{"admin": []}]
        case Kind.OPEN:
            operation["security"] = []
    return operation


def _operation_id(route: Route, path: str) -> str:
    words = path.replace("{", "").replace("}", "").replace(":path", "").replace(".", "/").strip("/").split("/")
    return "_".join([route.method.lower(), *words]).replace("-", "_")


def _parameters(route: Route, path: str) -> list[Json]:
    text = {"type": "string", "minLength": 1}
    in_path = [{"name": name, "in": "path", "required": True, "schema": text} for name in path_parameters(path)]
    in_query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
    headers: list[Json] = [{"name": "X-Request-Id", "in": "header", "schema": _request_id_schema()}]
    if route.kind is Kind.INFERENCE:
        seconds = {"type": "number", "exclusiveMinimum": 0}
        headers.append({"name": "X-Request-Timeout", "in": "header", "schema": seconds, "description": "seconds"})
    return [*in_path, *in_query, *headers]


def _request_id_schema() -> Json:
    return {"type": "string", "pattern": f"^{PATTERN}$", "maxLength": MAX_CHARS}


def _response(route: Route, status: int, refs: dict[Any, Json]) -> Json:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status in _WITH_RETRY_AFTER:
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    if status >= 400:
        content: Json = {"application/json": {"schema": refs[_ERRORS[route.error_style]]}}
    else:
        schema = {"type": "object"} if route.reply is None else refs[route.reply]
        content = {route.media_type: {"schema": schema}}
        if route.streams:
            content["text/event-stream"] = _SSE
    return {"description": _MEANINGS[status], "headers": headers, "content": content}


def _security_schemes() -> Json:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "one of the server's API keys"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "the same"},
        "admin": {"type": "http", "scheme": "bearer", "description": "the server's admin key"},
    }
