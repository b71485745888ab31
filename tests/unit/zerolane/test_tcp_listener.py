"""The listening socket, and what is said when there can be none."""

import socket

import pytest

from ipc.errors import StartupError
from zerolane.tcp_listener import bound_port, listen, url


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_port_0_takes_a_free_one(host: str) -> None:
    with listen(host, 0) as listener, socket.create_connection((host, bound_port(listener)), timeout=5):
        assert bound_port(listener) > 0
        assert not listener.getblocking()


def test_a_port_is_not_shared() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = bound_port(listener)
        with pytest.raises(StartupError, match=f"127.0.0.1 port {port}: Address already in use") as caught:
            listen("127.0.0.1", port)
    assert "another --port" in caught.value.advice
    listen("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such name"])
def test_a_host_that_is_not_ours(host: str) -> None:
    with pytest.raises(StartupError, match="Cannot listen on") as caught:
        listen(host, 0)
    assert "--host" in caught.value.advice


def test_url() -> None:
    assert url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert url("::1", 80) == "http://[::1]:80"
