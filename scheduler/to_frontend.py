"""Sends records to frontends: one token batch a step and frontend. The only file that sends on the ZeroMQ link.

ZeroMQ carries messages but does not own them: what it cannot take now (high-water mark) waits here, bounded, in order.
"""

import logging
from collections import deque
from dataclasses import dataclass, field

from msgspec import Struct

from ipc.codec import encode
from ipc.errors import ErrorCode
from ipc.messages import Failed
from ipc.zmq_link import RouterLink, SendResult
from scheduler.stream import StreamKey

MAX_OUTBOX_FRAMES = 100_000  # a frontend this far behind is out of reach

log = logging.getLogger("zerolane.scheduler.to_frontend")


@dataclass(eq=False, slots=True)
class _Peer:
    identity: bytes
    frames: deque[bytes] = field(default_factory=deque)
    is_out_of_reach: bool = False


class FrontendOutbox:
    """All frontends this scheduler has heard of, by a small index that ledgers keep in a column."""

    def __init__(self, link: RouterLink, max_frames: int = MAX_OUTBOX_FRAMES) -> None:
        self._link = link
        self._max_frames = max_frames
        self._peers: list[_Peer] = []
        self._index: dict[bytes, int] = {}
        self._backlog: set[int] = set()
        self.lost: list[bytes] = []  # identities found out of reach while sending; the loop ends their streams

    def index_of(self, identity: bytes) -> int:
        """The frontend's index; made at first sight."""
        index = self._index.get(identity)
        if index is None:
            index = self._index[identity] = len(self._peers)
            self._peers.append(_Peer(identity))
        return index

    def send(self, index: int, record: Struct) -> None:
        """Send now or as soon as possible, after what waits already; to a frontend out of reach once it is back."""
        peer = self._peers[index]
        peer.frames.append(encode(record))
        if not peer.is_out_of_reach:
            self._push(index, peer)

    def fail(self, key: StreamKey, code: ErrorCode, message: str, retry_after_s: float = 0.0) -> None:
        """The one final message of a stream that was refused or cannot go on."""
        self.send(self.index_of(key.frontend), Failed(key.stream_id, code, message, retry_after_s))

    def heard_from(self, identity: bytes) -> None:
        """A frame came from it: one that was out of reach gets what waits for it."""
        index = self._index.get(identity)
        if index is not None and self._peers[index].is_out_of_reach:
            self._peers[index].is_out_of_reach = False
            self._push(index, self._peers[index])

    def forget(self, identity: bytes) -> None:
        """The frontend's process has ended: nothing is sent to it any more."""
        index = self._index.pop(identity, None)
        if index is not None:
            self._give_up(index)

    @property
    def has_backlog(self) -> bool:
        """Frames wait for a frontend that could not take them."""
        return bool(self._backlog)

    def flush(self) -> None:
        """Try again what could not be sent. Called once a loop."""
        for index in list(self._backlog):
            self._push(index, self._peers[index])

    def _push(self, index: int, peer: _Peer) -> None:
        while peer.frames:
            result = self._link.send(peer.identity, peer.frames[0])
            if result is SendResult.GONE or len(peer.frames) > self._max_frames:
                log.warning("frontend is out of reach", extra={"fields": {"frontend": peer.identity.hex()}})
                self.lost.append(peer.identity)
                self._give_up(index)
                return
            if result is SendResult.FULL:
                self._backlog.add(index)
                return
            peer.frames.popleft()
        self._backlog.discard(index)

    def _give_up(self, index: int) -> None:
        self._peers[index].is_out_of_reach = True
        self._peers[index].frames.clear()
        self._backlog.discard(index)
