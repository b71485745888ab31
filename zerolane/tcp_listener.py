"""The listening socket: bound once by the supervisor, inherited by every frontend; no restart refuses a connection."""

import errno
import socket

from ipc.errors import StartupError

BACKLOG = 1024  # connections the kernel keeps waiting while frontends are busy or restarting


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on `host`, which may be a name or an IPv4 or IPv6 address. Raises StartupError with advice."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        message = f"Cannot listen on {host!r}: {error.strerror}."
        raise StartupError(message, "Give --host an address of this machine, or 0.0.0.0 for all of them.") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(f"Cannot listen on {host} port {port}: {error.strerror}.", _advice(error, port)) from error
    listener.setblocking(False)
    return listener


def bound_port(listener: socket.socket) -> int:
    """The port it really has, also when 0 was asked for."""
    port: int = listener.getsockname()[1]
    return port


def url(host: str, port: int, is_secure: bool = False) -> str:
    """http://host:port or https://host:port, with brackets around an IPv6 address."""
    scheme = "https" if is_secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _advice(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Another program uses the port (see 'ss -ltnp sport = :{port}'): end it, or take another --port."
        case errno.EACCES:
            return "Ports below 1024 are kept for root: take a larger --port."
        case _:
            return "Give --host an address of this machine, or 0.0.0.0 for all of them."
