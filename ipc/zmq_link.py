"""The link between frontends and the scheduler: one ROUTER, and one DEALER a frontend, both directions on that pair.

ZeroMQ carries frames and never owns them: queues are finite, what does not fit is refused to the sender, nothing
lingers. Frames are opaque here (`codec.py`). Both ends share ZeroMQ's trait that its descriptor is edge-triggered: it
must be read until nothing is left, and looked at again after every send.
"""

import asyncio
import os
import stat
import struct
from collections.abc import Callable
from enum import Enum, auto

import zmq

from ipc.errors import ProtocolError, StartupError
from ipc.messages import MAX_FRAME_BYTES

HIGH_WATER_MARK = 4096  # frames queued a peer and direction
RECONNECT_MS = 20
MAX_FRAMES_A_TURN = 256  # then the event loop gets to do other things
_IDENTITY = struct.Struct(">cIQ")  # ZeroMQ reserves identities that start with a zero byte, so ours start with F


class SendResult(Enum):
    SENT = auto()  # queued for the peer
    FULL = auto()  # the peer does not read fast enough; nothing was queued
    GONE = auto()  # no such peer is connected


def frontend_identity(frontend_id: int, epoch: int) -> bytes:
    """The ZeroMQ identity of one life of a frontend."""
    return _IDENTITY.pack(b"F", frontend_id, epoch)


def parse_frontend_identity(identity: bytes) -> tuple[int, int]:
    """(frontend id, epoch). Raises ProtocolError when it is none of ours."""
    if len(identity) != _IDENTITY.size or identity[:1] != b"F":
        raise ProtocolError(f"{identity!r} is no frontend's identity")
    _, frontend_id, epoch = _IDENTITY.unpack(identity)
    return frontend_id, epoch


class RouterLink:
    """The scheduler's end. Not thread-safe."""

    def __init__(self, address: str, high_water_mark: int = HIGH_WATER_MARK) -> None:
        """Bind `address` ("ipc://PATH"; PATH's folder must be ours alone). Raises StartupError."""
        _check_folder(address)
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        _bound(self._socket, high_water_mark)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # an unknown peer is an error, not a silent loss
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a reconnecting peer takes over from its broken connection
        self._fd = int(self._socket.getsockopt(zmq.FD))
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise StartupError(
                f"cannot bind {address}: {error}", "is another server using this runtime folder?"
            ) from error

    def fileno(self) -> int:
        """Becomes readable when something changed; then, and after sends, ask `has_input` before sleeping on it."""
        return self._fd

    def has_input(self) -> bool:
        """A frame can be received now."""
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def receive_all(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` frames that are there, as (identity, frame). Exactly `limit`: there may be more."""
        frames: list[tuple[bytes, bytes]] = []
        while len(frames) < limit and (frames or self.has_input()):  # an exception is dear when there is nothing at all
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if len(parts) == 2:  # a stranger's message of another form has nobody to answer
                frames.append((parts[0], parts[1]))
        return frames

    def send(self, identity: bytes, frame: bytes) -> SendResult:
        """Queue one frame for one peer; never waits."""
        try:
            self._socket.send_multipart((identity, frame), zmq.NOBLOCK)
        except zmq.Again:
            return SendResult.FULL
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return SendResult.GONE
        return SendResult.SENT

    def close(self) -> None:
        """Drops what is still queued. Twice is fine."""
        self._socket.close(linger=0)
        self._context.term()


class DealerLink:
    """A frontend's end, served by the running event loop. Reconnects by itself when the scheduler is restarted."""

    def __init__(
        self,
        address: str,
        identity: bytes,
        on_frame: Callable[[bytes], None],
        high_water_mark: int = HIGH_WATER_MARK,
    ) -> None:
        """Connect; must be called on the loop. `on_frame` gets every frame that arrives, on the loop, in order."""
        self._on_frame = on_frame
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        _bound(self._socket, high_water_mark)
        self._socket.setsockopt(zmq.IDENTITY, identity)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.connect(address)
        self._loop = asyncio.get_running_loop()
        self._fd = int(self._socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._drain_is_due = False
        self._drain_soon()  # edge-triggered: what came before add_reader would never be told

    def send(self, frame: bytes) -> bool:
        """Queue one frame; False: the queue to the scheduler is full, nothing was queued. Never waits."""
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        finally:
            self._drain_soon()  # sending may have used up the edge that told of input
        return True

    def deliver_all(self) -> None:
        """Deliver every frame that is there now, at most as many as the queue holds. For a link whose peer has ended:
        what it had sent still counts."""
        for _ in range(HIGH_WATER_MARK):
            if not self._deliver_one():
                return

    def close(self) -> None:
        """Drops what is still queued; no frame is delivered after this. Twice is fine."""
        if not self._socket.closed:
            self._loop.remove_reader(self._fd)
        self._socket.close(linger=0)
        self._context.term()

    def _drain_soon(self) -> None:
        if not self._drain_is_due:
            self._drain_is_due = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_is_due = False
        for _ in range(MAX_FRAMES_A_TURN):
            if not self._deliver_one():
                return
        self._drain_soon()

    def _deliver_one(self) -> bool:
        """False: there is none, or the link is closed, perhaps by the last `on_frame`."""
        if self._socket.closed:
            return False
        try:
            frame = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._on_frame(frame)
        return True


def _bound(socket: zmq.Socket[bytes], high_water_mark: int) -> None:
    socket.setsockopt(zmq.SNDHWM, high_water_mark)
    socket.setsockopt(zmq.RCVHWM, high_water_mark)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)


def _check_folder(address: str) -> None:
    """Whoever can open the socket's folder can talk to the scheduler: only its owner may."""
    if not address.startswith("ipc:///"):
        raise StartupError(f"{address} is no address of the form ipc:///PATH")
    folder = os.path.dirname(address.removeprefix("ipc://"))
    try:
        mode = stat.S_IMODE(os.stat(folder).st_mode)
    except OSError as error:
        raise StartupError(f"the folder of {address} cannot be used: {error.strerror}") from error
    if mode & 0o077:
        raise StartupError(f"others may enter the folder of {address} (mode {mode:o})", f"chmod 700 {folder}")
