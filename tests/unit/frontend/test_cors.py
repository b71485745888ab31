"""What browsers are told about pages of other origins."""

from collections.abc import Mapping
from typing import Any

import pytest
from sanic import HTTPResponse

from frontend.cors import Cors
from ipc.config import FrontendConfig
from tests.support.bare_request import request_with

PAGE = "https://chat.example"
ALL: dict[str, Any] = {"allowed_origins": ("*",), "allowed_methods": ("*",), "allowed_headers": ("*",)}
ONE: dict[str, Any] = ALL | {"allowed_origins": (PAGE,)}
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a, x-b"}


def cors(settings: Mapping[str, Any]) -> Cors:
    config = FrontendConfig(
        frontend_id=0,
        epoch=1,
        metrics_slot=0,
        scheduler_address="",
        runtime_dir="",
        max_body_bytes=1,
        shutdown_timeout_s=1.0,
        **settings,
    )
    return Cors(config)


def answered(settings: Mapping[str, Any], headers: Mapping[str, str], method: str = "POST") -> dict[str, str]:
    """The headers of the reply, in small letters."""
    request = request_with(headers, method)
    rules = cors(settings)
    reply = rules.preflight(request, "OPTIONS, POST") if method == "OPTIONS" else HTTPResponse()
    rules.add_headers(request, reply)
    return {name.lower(): value for name, value in reply.headers.items()}


@pytest.mark.parametrize(
    ("settings", "origin", "said"),
    [
        (ALL, PAGE, "*"),
        (ONE, PAGE, PAGE),
        (ONE, "https://evil.example", None),
        (ONE, "null", None),
        ({}, PAGE, None),
    ],
)
def test_replies_name_the_origins_that_may_read_them(settings: dict[str, Any], origin: str, said: str | None) -> None:
    headers = answered(settings, {"Origin": origin})
    assert headers.get("access-control-allow-origin") == said
    assert ("access-control-expose-headers" in headers) == (said is not None)
    assert (headers.get("vary") == "Origin") == (settings is ONE)  # caches keep one reply for each origin


def test_who_is_no_browser_gets_no_such_headers() -> None:
    assert answered(ALL, {}) == {}


def test_preflight() -> None:
    headers = answered(ALL, PREFLIGHT, "OPTIONS")
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert headers["access-control-allow-headers"] == "x-a, x-b"
    assert int(headers["access-control-max-age"]) > 0
    listed = answered(ONE | {"allowed_methods": ("GET", "POST"), "allowed_headers": ("x-a",)}, PREFLIGHT, "OPTIONS")
    assert (listed["access-control-allow-methods"], listed["access-control-allow-headers"]) == ("GET, POST", "x-a")


def test_preflight_of_an_origin_that_is_not_allowed_allows_nothing() -> None:
    headers = answered(ONE, PREFLIGHT | {"Origin": "https://evil.example"}, "OPTIONS")
    assert not any(name.startswith("access-control") for name in headers)


def test_options_without_a_browser_tells_the_methods() -> None:
    assert answered(ALL, {}, "OPTIONS") == {"allow": "OPTIONS, POST"}


def test_credentials() -> None:
    assert answered(ONE | {"allow_credentials": True}, {"Origin": PAGE})["access-control-allow-credentials"] == "true"
    assert "access-control-allow-credentials" not in answered(ONE, {"Origin": PAGE})
