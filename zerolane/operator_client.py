"""The other side of control.sock: finds the running server, sends one command, yields its replies."""

import socket
from collections.abc import Iterator
from pathlib import Path

from ipc.errors import ZerolaneError
from ipc.operator_protocol import CONTROL_SOCKET, CommandProgress, Reply, Request, parse_reply, to_line
from zerolane.runtime_dir import base_dir, is_live, live_servers


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


def ask(server: Path, request: Request, silence_s: float) -> Iterator[Reply]:
    """Replies as they come, the final one last. Raises NoServer when the server leaves or is silent for `silence_s`; a
    server at work says at least every few seconds how far it is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(silence_s)
            connection.connect(str(server / CONTROL_SOCKET))
            connection.sendall(to_line(request))
            yield from _replies(connection)
        except TimeoutError:
            raise NoServer(f"The server did not answer within {silence_s:g} s.") from None
        except OSError as error:
            raise NoServer(f"The server cannot be reached: {error.strerror}.") from error


def _replies(connection: socket.socket) -> Iterator[Reply]:
    pending = b""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            raise NoServer("The server closed the connection before it had answered.")
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            reply = parse_reply(line)
            yield reply
            if not isinstance(reply, CommandProgress):
                return


def _others(servers: dict[int, Path]) -> str:
    return f", only on {', '.join(map(str, servers))}" if servers else ""
