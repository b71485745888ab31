"""HTTP by hand: requests that no well-behaved library would send, on connections that end when a test says so."""

import json
import socket
from typing import Any

import httpx

from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest


def send_raw(frontend: FrontendUnderTest, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", frontend.port), DEADLINE_S)
    connection.sendall(data)
    return connection


def post(path: str, body: dict[str, Any] | bytes, *headers: str) -> bytes:
    """The bytes of a POST request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + data


def read_reply(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of a reply with a Content-Length."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    headers = httpx.Headers()
    while line := file.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    return status, json.loads(file.read(int(headers["content-length"])))
