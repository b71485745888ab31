"""The server's side of control.sock, in the supervisor's loop: who may speak, and which command is carried out when.

Only the user who runs the server (and root) may speak here: its folder is closed to others, and the kernel says who
it is.
"""

import logging
import os
import socket
import struct

from ipc.errors import StartupError
from ipc.operator_protocol import (
    CONTROL_SOCKET,
    AskDrain,
    AskRollingRestart,
    AskScale,
    AskStatus,
    Refused,
    Request,
)
from zerolane.drain_job import DrainJob
from zerolane.house import House, Phase
from zerolane.operator_conversation import Conversation
from zerolane.operator_job import OperatorJob
from zerolane.rolling_restart import RollingRestart
from zerolane.scaling import ScaleJob
from zerolane.status import status
from zerolane.stop_signals import StopRequested

_PEER = struct.Struct("3i")  # pid, uid, gid

log = logging.getLogger("zerolane.supervisor.operator_control")


class OperatorControl:
    """Owns the listening socket and the open conversations. One command that changes something at a time."""

    def __init__(self, house: House) -> None:
        """Listens from now on. Raises StartupError when the folder takes no socket."""
        self._house = house
        self._job: OperatorJob | None = None
        self._conversations: set[Conversation] = set()
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
        """After a batch of events: a command may be done, or be overtaken by the server's end."""
        if self._job is None:
            return
        if self._house.phase is not Phase.SERVING and not isinstance(self._job, DrainJob):
            self._job.end(Refused("The server is being stopped, so the command was not carried out to its end."))
        else:
            self._job.settle()
        if self._job.is_done:
            self._job = None

    def close(self, exit_code: int, requests_ended: int) -> None:
        """The server ends with `exit_code`; its processes are gone."""
        if isinstance(self._job, DrainJob):
            self._job.server_ended(exit_code, requests_ended)
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
        loop = self._house.loop
        self._conversations.add(Conversation(loop, connection, self._carry_out, self._conversations.discard))

    def _carry_out(self, conversation: Conversation, request: Request) -> None:
        """Raises StopRequested for a drain: the supervisor's own end of serving does the rest."""
        house, phase = self._house, self._house.phase
        if isinstance(request, AskStatus):
            conversation.say(status(house))
        elif phase is not Phase.SERVING:
            conversation.say(Refused(f"The server is {phase.name.lower()}.", "Try again when it serves."))
        elif isinstance(request, AskDrain):
            if self._job is not None:
                self._job.end(Refused("Another operator drains the server, so the command was not carried out."))
            self._begin(DrainJob(house, conversation.say))
            raise StopRequested(request.timeout_s)
        elif self._job is not None:
            conversation.say(Refused("Another command is under way.", "Try again when it is done."))
        else:
            self._begin(_job(house, request, conversation))

    def _begin(self, job: OperatorJob) -> None:
        log.info("an operator's command", extra={"fields": {"command": type(job).__name__}})
        self._job = job
        job.begin()


def _job(house: House, request: AskScale | AskRollingRestart, conversation: Conversation) -> OperatorJob:
    match request:
        case AskScale():
            return ScaleJob(house, request, conversation.say)
        case AskRollingRestart(timeout_s):
            return RollingRestart(house, timeout_s, conversation.say)


def _peer_uid(connection: socket.socket) -> int:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(packed)[1]
    return uid
