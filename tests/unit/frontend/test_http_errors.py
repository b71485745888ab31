"""The table from error codes to what a client sees."""

import json

import pytest

from frontend.http_errors import (
    ERROR_FORMS,
    MAX_MESSAGE_CHARS,
    encode_error,
    error_headers,
    http_form,
    request_error_body,
)
from ipc.errors import ErrorCode, RequestError


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_form(code: ErrorCode) -> None:
    form = ERROR_FORMS[code]
    assert 400 <= form.status < 600
    body = json.loads(encode_error(request_error_body(RequestError(code, "what happened", "field"))))
    assert body == {"error": {"message": "what happened", "type": form.type, "param": "field", "code": form.code}}
    assert (form.type == "server_error") == (form.status >= 500)


def test_retry_after_is_in_whole_seconds() -> None:
    assert error_headers(RequestError(ErrorCode.QUEUE_FULL, "full", retry_after_s=2.1)) == {"Retry-After": "3"}
    assert error_headers(RequestError(ErrorCode.NOT_READY, "loading")) == {"Retry-After": "1"}
    assert error_headers(RequestError(ErrorCode.INVALID_REQUEST, "no")) == {}


def test_server_errors_show_no_paths() -> None:
    error = RequestError(ErrorCode.STEP_FAILED, "broke in /usr/lib/python3/x.py while computing 1/2 of it")
    assert request_error_body(error)["error"]["message"] == "broke in ... while computing 1/2 of it"


def test_messages_are_bounded() -> None:
    error = RequestError(ErrorCode.INVALID_REQUEST, "x" * 100_000)
    assert len(request_error_body(error)["error"]["message"]) == MAX_MESSAGE_CHARS


def test_lone_surrogates_do_not_break_the_reply() -> None:
    body = request_error_body(RequestError(ErrorCode.INVALID_REQUEST, "bad \ud800 text"))
    assert json.loads(encode_error(body))["error"]["message"] == "bad ? text"


def test_other_http_statuses() -> None:
    assert http_form(404).code == "unknown_url"
    assert http_form(417).status == 417
    assert http_form(500).code == "internal_error"
