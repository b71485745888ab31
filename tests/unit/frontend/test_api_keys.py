"""Which keys open the inference routes, and on whose account a request goes."""

from hashlib import sha256

import pytest
from sanic.exceptions import Unauthorized

from frontend.api_keys import MISSING, WRONG, ApiKeys
from frontend.tenant import MAX_USER_CHARS, tenant_of
from tests.support.bare_request import request_with

KEYS = ("sk-first", "sk-zweite-\N{LATIN SMALL LETTER U WITH DIAERESIS}")


def api_keys(*keys: str) -> ApiKeys:
    return ApiKeys([sha256(key.encode()).hexdigest() for key in keys])


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer sk-first"},
        {"authorization": "bearer   sk-first "},
        {"x-api-key": "sk-first"},
        {"Authorization": f"Bearer {KEYS[1]}"},
        {"Authorization": "Bearer something-for-a-proxy", "x-api-key": KEYS[1]},
    ],
)
def test_any_key_opens_in_either_header(headers: dict[str, str]) -> None:
    api_keys(*KEYS).check(request_with(headers))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, MISSING),
        ({"Authorization": ""}, MISSING),
        ({"Authorization": "Bearer "}, MISSING),
        ({"Authorization": "Basic sk-first"}, MISSING),
        ({"Authorization": "sk-first"}, MISSING),
        ({"Authorization": "Bearer sk-firs"}, WRONG),
        ({"Authorization": "Bearer sk-first,sk-first"}, WRONG),
        ({"x-api-key": "Bearer sk-first"}, WRONG),
        ({"Authorization": "Bearer \udcff\udcfe"}, WRONG),
        ({"Authorization": "Bearer " + "x" * 7000}, WRONG),
    ],
)
def test_anything_else_is_refused_without_showing_it(headers: dict[str, str], said: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        api_keys(*KEYS).check(request_with(headers))
    assert str(caught.value) == said
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


def test_a_server_without_keys_is_open() -> None:
    api_keys().check(request_with({}))
    api_keys().check(request_with({"Authorization": "Bearer whatever"}))


def test_the_account_is_the_key_and_in_it_the_user() -> None:
    first, second = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    tenants = {
        tenant_of(request_with(headers), user) for headers in ({}, first, second) for user in (None, "ann", "bob")
    }
    assert len(tenants) == 9
    assert {"", "ann", "bob"} < tenants
    assert tenant_of(request_with(first), "ann") == tenant_of(request_with({"x-api-key": KEYS[0]}), "ann")
    assert not any(key in tenant for key in KEYS for tenant in tenants)


def test_the_account_is_that_of_the_key_which_was_checked() -> None:
    """Or a client could put itself on another's account by a second header."""
    both = request_with({"Authorization": f"Bearer {KEYS[1]}", "x-api-key": KEYS[0]})
    api_keys(KEYS[0]).check(both)
    assert tenant_of(both, None) == tenant_of(request_with({"x-api-key": KEYS[0]}), None)


def test_long_and_broken_user_names() -> None:
    longest = "u" * MAX_USER_CHARS
    assert tenant_of(request_with({}), longest) == longest
    assert tenant_of(request_with({}), longest + "1") != tenant_of(request_with({}), longest + "2")
    assert len(tenant_of(request_with({}), "u" * 10_000_000)) <= MAX_USER_CHARS + 1
    tenant_of(request_with({}), "\ud800").encode()
