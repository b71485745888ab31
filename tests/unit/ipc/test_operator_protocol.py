"""The lines of control.sock: what an older or careless client may send, and what comes back."""

import pytest

from ipc.errors import ProtocolError
from ipc.operator_protocol import (
    AskDrain,
    AskRollingRestart,
    AskScale,
    AskStatus,
    CommandProgress,
    Ended,
    Request,
    Restarted,
    Scaled,
    parse_reply,
    parse_request,
    to_line,
)


@pytest.mark.parametrize(
    ("line", "request_record"),
    [
        (b'{"cmd":"status"}', AskStatus()),
        (b'{"cmd":"scale","workers":3}', AskScale(3)),
        (b'{"cmd":"scale","spares":0,"pools":2}', AskScale(None, 0, 2)),
        (b'{"cmd":"restart"}', AskRollingRestart(600.0)),
        (b'{"cmd":"restart","timeout_s":5}', AskRollingRestart(5.0)),
        (b'{"cmd":"drain"}', AskDrain(None)),
        (b'{"cmd":"drain","timeout_s":0}', AskDrain(0.0)),
    ],
)
def test_requests(line: bytes, request_record: Request) -> None:
    assert parse_request(line) == request_record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"scale",
        b"{}",
        b'{"cmd":"scale","workers":65}',
        b'{"cmd":"scale","workers":1,"force":true}',
        b'{"cmd":"scale","pools":0}',
        b'{"cmd":"drain","timeout_s":-1}',
    ],
)
def test_what_is_no_request_is_refused_with_a_sentence(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="cannot understand: "):
        parse_request(line)


@pytest.mark.parametrize(
    "reply",
    [CommandProgress("half"), Scaled(1, 2, 3, 0.5, 4, 5), Restarted(1, 2, 3, 4, 5, 6, 7.0), Ended(1, 0, 2.5)],
)
def test_replies_are_one_line(reply: CommandProgress | Scaled | Restarted | Ended) -> None:
    line = to_line(reply)
    assert line.count(b"\n") == 1
    assert parse_reply(line) == reply
