"""One operator's connection to control.sock: a request line in, reply lines out; never waits for the other side."""

import socket
from collections.abc import Callable

from msgspec import Struct

from ipc.errors import ProtocolError
from ipc.operator_protocol import MAX_LINE_BYTES, CommandProgress, Refused, Request, parse_request, to_line
from zerolane.poll_loop import PollLoop

_REQUEST_S = 10.0  # a connection that has not said its line by then is closed


class Conversation:
    """One connection: a request line in, reply lines out; closed after the final one. A command goes on without it."""

    def __init__(
        self,
        loop: PollLoop,
        connection: socket.socket,
        carry_out: "Callable[[Conversation, Request], None]",
        on_close: "Callable[[Conversation], None]",
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._carry_out = carry_out
        self._on_close = on_close
        self._line = b""
        self._timer = loop.call_later(_REQUEST_S, self.close)
        connection.setblocking(False)
        loop.watch(connection.fileno(), self._on_readable)

    def say(self, reply: Struct) -> None:
        """Send one line. A client that is gone, or does not read, hears no more."""
        if self._connection.fileno() < 0:
            return
        try:
            line = to_line(reply)
            if self._connection.send(line) == len(line) and isinstance(reply, CommandProgress):
                return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Twice is fine."""
        if self._connection.fileno() >= 0:
            self._timer.cancel()
            self._loop.unwatch(self._connection.fileno())
            self._connection.close()
            self._on_close(self)

    def _on_readable(self) -> None:
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._line += data
        if not data or len(self._line) > MAX_LINE_BYTES:
            self.close()
        elif self._line.endswith(b"\n"):
            line, self._line = self._line, b""
            self._timer.cancel()
            self._on_line(line)

    def _on_line(self, line: bytes) -> None:
        try:
            request = parse_request(line)
        except ProtocolError as error:
            self.say(Refused(f"The server {error}.", "Use the zerolane command of the server's own version."))
            return
        self._carry_out(self, request)
