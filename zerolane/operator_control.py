"""The server's side of control.sock, in the supervisor's loop: reads an operator's command, carries it out, answers.

Only the user who runs the server (and root) may speak here: its folder is closed to others, and the kernel says who
it is.
"""

import logging
import os
import socket
import struct
from collections.abc import Callable

from msgspec import Struct

from ipc.errors import ProtocolError, StartupError
from zerolane.house import House, Phase
from zerolane.operator_protocol import (
    MAX_LINE_BYTES,
    AskScale,
    AskStatus,
    Refused,
    ScaleProgress,
    parse_request,
    to_line,
)
from zerolane.runtime_dir import CONTROL_SOCKET
from zerolane.scaling import ScaleJob
from zerolane.status import status

_REQUEST_S = 10.0  # a connection that has not said its line by then is closed
_PEER = struct.Struct("3i")  # pid, uid, gid

log = logging.getLogger("zerolane.supervisor.operator_control")


class OperatorControl:
    """Owns the listening socket and the open conversations. One scale command at a time."""

    def __init__(self, house: House) -> None:
        """Listens from now on. Raises StartupError when the folder takes no socket."""
        self._house = house
        self._job: ScaleJob | None = None
        self._conversations: set[_Conversation] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(str(house.runtime_dir / CONTROL_SOCKET))
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            message = f"Cannot make a socket in {house.runtime_dir}: {error.strerror}."
            raise StartupError(message, "Give a --runtime-dir on a local file system.") from error
        self._listener.setblocking(False)
        house.loop.watch(self._listener.fileno(), self._accept)

    def settle(self) -> None:
        """After a batch of events: a scale command may be done."""
        if self._job is not None:
            self._job.settle()
            if self._job.is_done:
                self._job = None

    def close(self) -> None:
        self._house.loop.unwatch(self._listener.fileno())
        self._listener.close()
        for conversation in list(self._conversations):
            conversation.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it left again, or descriptors have run out; the next event tries again
        if _peer_uid(connection) not in (0, os.getuid()):
            connection.close()
            return
        self._conversations.add(_Conversation(self._house, connection, self._carry_out, self._conversations.discard))

    def _carry_out(self, conversation: "_Conversation", request: AskStatus | AskScale) -> None:
        if isinstance(request, AskStatus):
            conversation.say(status(self._house))
        elif self._house.phase is not Phase.SERVING:
            conversation.say(Refused(f"The server is {self._house.phase.name.lower()}.", "Try again when it serves."))
        elif self._job is not None:
            conversation.say(Refused("Another scale command is under way.", "Try again when it is done."))
        else:
            self._job = ScaleJob(self._house, request.workers, conversation.say)
            self._job.begin()


class _Conversation:
    """One connection: a request line in, reply lines out; closed after the final one. A command goes on without it."""

    def __init__(
        self,
        house: House,
        connection: socket.socket,
        carry_out: "Callable[[_Conversation, AskStatus | AskScale], None]",
        on_close: "Callable[[_Conversation], None]",
    ) -> None:
        self._loop = house.loop
        self._connection = connection
        self._carry_out = carry_out
        self._on_close = on_close
        self._line = b""
        self._timer = house.loop.call_later(_REQUEST_S, self.close)
        connection.setblocking(False)
        house.loop.watch(connection.fileno(), self._on_readable)

    def say(self, reply: Struct) -> None:
        """Send one line. A client that is gone, or does not read, hears no more."""
        if self._connection.fileno() < 0:
            return
        try:
            line = to_line(reply)
            if self._connection.send(line) == len(line) and isinstance(reply, ScaleProgress):
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


def _peer_uid(connection: socket.socket) -> int:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(packed)[1]
    return uid
