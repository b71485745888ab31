"""Who may use the /admin routes: who knows the key the server was started with."""

import hmac

from sanic import Request
from sanic.exceptions import Forbidden, Unauthorized

CLOSED = (
    "The admin routes are closed. Start the server with --admin-key KEY, or with ZEROLANE_ADMIN_KEY set, to open them."
)


def check_admin(request: Request, admin_key: str) -> None:
    """Raises Forbidden when the server has no key, Unauthorized when the request's is missing or another one."""
    if not admin_key:
        raise Forbidden(CLOSED)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(_bytes(given.strip()), _bytes(admin_key)):
        message = "Send the server's admin key: 'Authorization: Bearer KEY'."
        raise Unauthorized(message, scheme="Bearer")


def _bytes(text: str) -> bytes:
    """As they came: Sanic and Python's environment spell bytes that are no UTF-8 as surrogates."""
    return text.encode("utf-8", "surrogateescape")
