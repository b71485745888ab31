"""The link between the supervisor and one child: typed records with descriptors riding on them.

An AF_UNIX SOCK_SEQPACKET pair; the child inherits its end. A record longer than a packet travels in several packets,
the descriptors on the first. End of file means that the other process is gone, however it went.
"""

import array
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from ipc.codec import Decoder, encode
from ipc.control_messages import ToChild, ToSupervisor
from ipc.errors import ProtocolError, ZerolaneError

T = TypeVar("T")

MAX_FDS = 250  # the kernel refuses more than 253 on one packet
MAX_RECORD_BYTES = 16 << 20
CHUNK_BYTES = 64 << 10  # a packet must fit the socket's send buffer, which an unprivileged process cannot raise
SEND_TIMEOUT_S = 10.0  # a process that does not read its link for so long is as good as gone
_FD_SPACE = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
_REST = struct.Struct("<I")  # first bytes of every packet: how many bytes of the record follow in later packets


class LinkClosed(ZerolaneError):
    """The other process is gone, or does not read."""


class Received(NamedTuple, Generic[T]):
    """One record and its descriptors, which now belong to the receiver."""

    record: T
    fds: list[int]


class ControlLink(Generic[T]):
    """One end. `T` is the union of records that arrive here."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        """Takes over `sock`. `incoming`: the union this end decodes, ToSupervisor or ToChild."""
        self._sock = sock
        self._sock.setblocking(False)
        self._decoder: Decoder[T] = Decoder(incoming)
        self._begun: list[bytes] = []  # packets of a record whose rest has not come yet
        self._begun_fds: list[int] = []

    @classmethod
    def pair(cls) -> "tuple[ControlLink[ToSupervisor], int]":
        """The supervisor's end, and the descriptor its child inherits, which the supervisor closes after the start."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return ControlLink(ours, ToSupervisor), theirs.detach()

    @classmethod
    def of_child(cls, control_fd: int) -> "ControlLink[ToChild]":
        """The child's end; takes over the inherited descriptor and hides it from the child's own children."""
        os.set_inheritable(control_fd, False)
        return ControlLink(socket.socket(fileno=control_fd), ToChild)

    def send(self, record: Struct, fds: Sequence[int] = ()) -> None:
        """Hand `record` and copies of `fds` to the other process; ours stay open.

        Waits at most SEND_TIMEOUT_S for room. Raises LinkClosed; ProtocolError for too long a record or too many
        descriptors.
        """
        frame = encode(record)
        if len(frame) > MAX_RECORD_BYTES or len(fds) > MAX_FDS:
            raise ProtocolError(
                f"{type(record).__name__} of {len(frame)} bytes with {len(fds)} descriptors is too large"
            )
        deadline = time.monotonic() + SEND_TIMEOUT_S
        for start in range(0, len(frame), CHUNK_BYTES):
            chunk = frame[start : start + CHUNK_BYTES]
            rest = _REST.pack(len(frame) - start - len(chunk))
            self._send_packet(rest + chunk, fds if start == 0 else (), deadline)

    def receive(self, timeout_s: float | None = None) -> Received[T] | None:
        """The next record; None when `timeout_s` is over (None: waits for ever, for the end of the link too).

        Raises LinkClosed at the end of the link; ProtocolError for what is no record of ours (it is skipped).
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            received = self.poll()
            if received is not None or not self._wait(select.POLLIN, deadline):
                return received

    def poll(self) -> Received[T] | None:
        """The next record if it is there already, else None. Raises as `receive` does."""
        while True:
            try:
                data, fds, flags = _receive_packet(self._sock)
            except BlockingIOError:
                return None
            except ConnectionError as error:
                raise LinkClosed("the other end of the control link is gone") from error
            self._begun_fds += fds
            if not data:
                raise LinkClosed("the other end of the control link is gone")
            if self._accept(data, flags):
                return self._finish_record()

    def fileno(self) -> int:
        """Readable when a record or the end of the link is there."""
        return self._sock.fileno()

    def close(self) -> None:
        """The other process sees the end of the link. Twice is fine."""
        _close_all(self._begun_fds)
        self._begun_fds = []
        self._sock.close()

    def _accept(self, data: bytes, flags: int) -> bool:
        """Keep one packet; True: the record is whole."""
        self._begun.append(data[_REST.size :])
        length = sum(map(len, self._begun))
        broken = flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC) or len(data) <= _REST.size
        if broken or length > MAX_RECORD_BYTES:
            self._forget_record()
            raise ProtocolError(f"a control packet of {len(data)} bytes arrived cut off or out of bounds")
        return bool(_REST.unpack_from(data)[0] == 0)

    def _finish_record(self) -> Received[T]:
        frame, fds = b"".join(self._begun), self._begun_fds
        self._begun, self._begun_fds = [], []
        try:
            return Received(self._decoder.decode(frame), fds)
        except ProtocolError:
            _close_all(fds)
            raise

    def _forget_record(self) -> None:
        _close_all(self._begun_fds)
        self._begun, self._begun_fds = [], []

    def _send_packet(self, packet: bytes, fds: Sequence[int], deadline: float) -> None:
        while True:
            try:
                socket.send_fds(self._sock, [packet], list(fds))
                return
            except BlockingIOError:
                if not self._wait(select.POLLOUT, deadline):
                    raise LinkClosed(
                        f"the other process did not read its control link for {SEND_TIMEOUT_S} s"
                    ) from None
            except ConnectionError as error:
                raise LinkClosed("the other end of the control link is gone") from error

    def _wait(self, events: int, deadline: float | None) -> bool:
        """Until the socket is ready; False: the deadline is over."""
        poller = select.poll()
        poller.register(self._sock, events)
        left_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return bool(poller.poll(left_ms))


def _receive_packet(sock: socket.socket) -> tuple[bytes, list[int], int]:
    """Bytes, descriptors and flags."""
    # Not socket.recv_fds: that of Python 3.11 drops its flags, and the descriptors would be inherited.
    data, ancillary, flags, _ = sock.recvmsg(_REST.size + CHUNK_BYTES, _FD_SPACE, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return data, fds.tolist(), flags


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
