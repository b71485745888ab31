"""Query parameters, and lists a page at a time."""

from typing import Any

from sanic import Request

from frontend.responses.input_items import Item
from ipc.errors import ErrorCode, RequestError

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def flag(request: Request, name: str) -> bool:
    """`name=true`. Raises RequestError for anything but true and false."""
    value = request.args.get(name, "false")
    if value not in ("true", "false"):
        raise RequestError(ErrorCode.INVALID_REQUEST, f"Invalid value for '{name}': expected true or false.", name)
    return bool(value == "true")


def number(request: Request, name: str, default: int) -> int:
    """A number from 0 on. Raises RequestError."""
    value = request.args.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise RequestError(ErrorCode.INVALID_REQUEST, f"Invalid value for '{name}': expected a number.", name)
    return int(value)


def page(request: Request, items: list[Item]) -> dict[str, Any]:
    """OpenAI's list object: `limit` items in `order`, those after the item `after`. Raises RequestError."""
    limit = number(request, "limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        message = f"Invalid value for 'limit': expected 1 to {MAX_LIMIT}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "limit")
    order = request.args.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RequestError(ErrorCode.INVALID_REQUEST, "Invalid value for 'order': expected asc or desc.", "order")
    ordered = items if order == "asc" else items[::-1]
    after = request.args.get("after")
    ids = [item["id"] for item in ordered]
    if after is not None and after not in ids:
        raise RequestError(ErrorCode.INVALID_REQUEST, "Invalid value for 'after': there is no such item.", "after")
    rest = ordered if after is None else ordered[ids.index(after) + 1 :]
    data = rest[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(rest) > limit,
    }
