"""Who may use the inference routes: who knows one of the keys the server was started with, or everybody if it has none.

The keys themselves never come to this process: it knows their SHA-256 only. A key is sent as OpenAI's clients do
(`Authorization: Bearer KEY`) or as Anthropic's do (`x-api-key: KEY`).
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256

from sanic import Request
from sanic.exceptions import Unauthorized

MISSING = "No API key. Send one of the server's keys: 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
WRONG = "Incorrect API key."


class ApiKeys:
    """The keys' digests, hexadecimal."""

    def __init__(self, digests: Sequence[str]) -> None:
        self._digests = [bytes.fromhex(digest) for digest in digests]

    def check(self, request: Request) -> None:
        """Raises Unauthorized unless the request has one of the keys. Takes as long whichever it is.

        From now on `account_digest` is this key's, whatever else the request calls a key.
        """
        if not self._digests:
            return
        given = given_keys(request)
        if not given:
            raise Unauthorized(MISSING, scheme="Bearer")
        found: bytes | None = None
        for key in given:
            digest = key_digest(key)
            for known in self._digests:
                if hmac.compare_digest(digest, known):
                    found = digest
        if found is None:
            raise Unauthorized(WRONG, scheme="Bearer")
        request.ctx.key_digest = found


def account_digest(request: Request) -> bytes | None:
    """Of the key that opened the server; where it has no keys, of what the request says is one. None: it says none."""
    verified: bytes | None = getattr(request.ctx, "key_digest", None)
    if verified is not None:
        return verified
    given = given_keys(request)
    return key_digest(given[0]) if given else None


def given_keys(request: Request) -> list[str]:
    """What the request says is a key: one, in either header, or two that may differ."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return [key for key in (bearer, request.headers.get("x-api-key", "").strip()) if key]


def key_digest(key: str) -> bytes:
    """SHA-256 of the key's bytes: Sanic spells bytes that are no UTF-8 as surrogates."""
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
