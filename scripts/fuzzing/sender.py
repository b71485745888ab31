"""Sends one case on a connection of its own and judges what comes back."""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto

from scripts.fuzzing.cases import Case
from scripts.fuzzing.malformed import Verdict

HOST = "127.0.0.1"
TIMEOUT_S = 60.0
NOTHING_CAME = 0  # in the place of a status
MAX_REPLY = 64 << 20
SERVER_ERRORS = (b'"server_error"', b'"internal_error"', b'"api_error"')  # also inside an answer that began well


class Fault(Enum):
    """What must not be."""

    SERVER_ERROR = auto()
    ACCEPTED = auto()  # what is no request at all
    UNDECLARED = auto()  # a status that the route does not say it has
    NO_ANSWER = auto()
    HANGS = auto()


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    case: Case
    status: int
    fault: Fault | None = None
    reply: bytes = b""  # its beginning, where there is a fault


async def send(port: int, case: Case, admin_key: str) -> Outcome:
    """Never raises for what the server does."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await _converse(port, case, admin_key)
    except TimeoutError:
        return Outcome(case, NOTHING_CAME, Fault.HANGS)
    status = int(reply[9:12]) if reply[:7] == b"HTTP/1." and reply[9:12].isdigit() else NOTHING_CAME
    fault = _fault(case, status, reply)
    return Outcome(case, status, fault, reply[:2000] if fault else b"")


async def _converse(port: int, case: Case, admin_key: str) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(_request(case, admin_key))
        await writer.drain()
        if case.spoilt.verdict is Verdict.MAY_CLOSE:
            writer.write_eof()  # what was announced does not come
        return await reader.read(MAX_REPLY) + await reader.read(MAX_REPLY)
    except ConnectionError:
        return await _left(reader)
    finally:
        writer.close()


async def _left(reader: asyncio.StreamReader) -> bytes:
    """What had come before the connection broke."""
    try:
        return await reader.read(MAX_REPLY)
    except ConnectionError:
        return b""


def _request(case: Case, admin_key: str) -> bytes:
    spoilt = case.spoilt
    headers = spoilt.headers
    if headers is None:
        headers = ("Content-Type: application/json", f"Content-Length: {len(spoilt.data)}")
    lines = [f"POST {case.path} HTTP/1.1", "Host: x", "Connection: close", f"Authorization: Bearer {admin_key}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + spoilt.data


def _fault(case: Case, status: int, reply: bytes) -> Fault | None:
    verdict = case.spoilt.verdict
    if status >= 500 or any(word in reply for word in SERVER_ERRORS):
        return Fault.SERVER_ERROR
    if status == NOTHING_CAME:
        return None if verdict is Verdict.MAY_CLOSE else Fault.NO_ANSWER
    if status < 400 and verdict is Verdict.REFUSED:
        return Fault.ACCEPTED
    if verdict is not Verdict.MAY_CLOSE and status not in case.statuses:
        return Fault.UNDECLARED
    return None
