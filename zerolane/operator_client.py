"""The other side of control.sock: finds the running server, sends one command, yields its replies."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

from ipc.errors import ZerolaneError
from zerolane.operator_protocol import Reply, Request, ScaleProgress, parse_reply, to_line
from zerolane.runtime_dir import CONTROL_SOCKET, base_dir, is_live, live_servers


class NoServer(ZerolaneError):
    """There is no server to talk to, or it is not clear which is meant."""


def find_server(runtime_dir: str, port: int | None) -> Path:
    """The folder of the one live server (of that port). Raises NoServer."""
    base = base_dir(runtime_dir)
    if port is None and is_live(base):  # the server's own folder was given
        return base
    servers = live_servers(base)
    if port is not None:
        if port not in servers:
            raise NoServer(f"No zerolane server runs on port {port}{_others(servers)} (looked in {base}).")
        return servers[port]
    if len(servers) > 1:
        raise NoServer(f"Several servers run here: say which with --port, one of {', '.join(map(str, servers))}.")
    if not servers:
        raise NoServer(
            f"No zerolane server runs here (looked in {base}). Say --runtime-dir if it was started with one."
        )
    return next(iter(servers.values()))


def ask(server: Path, request: Request, timeout_s: float) -> Iterator[Reply]:
    """Replies as they come, the final one last. Raises NoServer when the server leaves or is silent for too long."""
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout_s)
            connection.connect(str(server / CONTROL_SOCKET))
            connection.sendall(to_line(request))
            yield from _replies(connection, deadline)
        except TimeoutError:
            raise NoServer(f"The server did not answer within {timeout_s:g} s.") from None
        except OSError as error:
            raise NoServer(f"The server cannot be reached: {error.strerror}.") from error


def _replies(connection: socket.socket, deadline: float) -> Iterator[Reply]:
    pending = b""
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        data = connection.recv(1 << 16)
        if not data:
            raise NoServer("The server closed the connection before it had answered.")
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            reply = parse_reply(line)
            yield reply
            if not isinstance(reply, ScaleProgress):
                return


def _others(servers: dict[int, Path]) -> str:
    return f", only on {', '.join(map(str, servers))}" if servers else ""
