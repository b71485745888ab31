"""Everything that goes to the scheduler, and the making of the link. `from_scheduler.py` takes what comes back.

A life of the link: connect, say Hello until Welcome comes, send. When the scheduler is gone the link is made anew, so
that nothing queued for the dead one reaches its successor; and a Hello tells a scheduler that what reached it before is
not wanted. What must be sent again then is known to `submissions.py`.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from ipc.codec import encode
from ipc.errors import ErrorCode, RequestError
from ipc.messages import Abort, Hello
from ipc.zmq_link import DealerLink, frontend_identity

HELLO_INTERVAL_S = 0.25
WELCOME_TIMEOUT_S = 5.0  # a request waits this long for a scheduler that is being restarted
RETRY_ABORT_S = 0.05
MAX_ABORT_IDS = 100_000  # of one message


class ToScheduler:
    """The sending end. Lives on the event loop."""

    def __init__(self, address: str, frontend_id: int, epoch: int) -> None:
        self._address = address
        self._hello = Hello(frontend_id, epoch)
        self._identity = frontend_identity(frontend_id, epoch)
        self._link: DealerLink | None = None
        self._welcomed = asyncio.Event()
        self._hello_timer: asyncio.TimerHandle | None = None
        self._late_aborts: list[int] = []  # did not fit the link's queue; tried again soon
        self._abort_timer: asyncio.TimerHandle | None = None

    def connect(self, on_frame: Callable[[bytes], None]) -> None:
        """Makes the link (anew) and says Hello until `welcomed` is called. Must run on the loop."""
        self.close()
        self._welcomed.clear()
        self._link = DealerLink(self._address, self._identity, on_frame)
        self._say_hello()

    def take_rest(self) -> None:
        """Has every frame delivered that has arrived already, before the link is made anew."""
        if self._link is not None:
            self._link.deliver_all()

    def close(self) -> None:
        """Drops what is queued. Twice is fine."""
        for timer in (self._hello_timer, self._abort_timer):
            if timer is not None:
                timer.cancel()
        self._hello_timer = self._abort_timer = None
        self._late_aborts.clear()
        if self._link is not None:
            self._link.close()
            self._link = None

    @property
    def is_welcomed(self) -> bool:
        return self._welcomed.is_set()

    def welcomed(self) -> None:
        """The scheduler knows us now: requests may go."""
        self._welcomed.set()

    async def wait_for_scheduler(self) -> None:
        """Returns once the scheduler takes requests. Raises RequestError NOT_READY after WELCOME_TIMEOUT_S."""
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                while not self._welcomed.is_set():  # it may be lost again before this task gets its turn
                    await self._welcomed.wait()
        except TimeoutError:
            raise RequestError(ErrorCode.NOT_READY, "The scheduler is being restarted; try again.") from None

    def send(self, record: Struct) -> bool:
        """False: the link is full, the scheduler does not keep up with reading; nothing was queued."""
        return self._link is not None and self._link.send(encode(record))

    def abort(self, stream_ids: Sequence[int]) -> None:
        """Gives streams up. Never fails: what does not fit the link now is sent later. Nothing is said to a scheduler
        that has yet to say Welcome: it has no stream of ours."""
        if not stream_ids or not self._welcomed.is_set():
            return
        waits = bool(self._late_aborts)
        self._late_aborts.extend(stream_ids)
        if not waits:
            self._send_aborts()

    def _send_aborts(self) -> None:
        self._abort_timer = None
        while self._late_aborts:
            part = self._late_aborts[:MAX_ABORT_IDS]
            if not self.send(Abort(np.asarray(part, np.dtype("<u8")).tobytes())):
                self._abort_timer = asyncio.get_running_loop().call_later(RETRY_ABORT_S, self._send_aborts)
                return
            del self._late_aborts[: len(part)]

    def _say_hello(self) -> None:
        if not self._welcomed.is_set():
            self.send(self._hello)
            self._hello_timer = asyncio.get_running_loop().call_later(HELLO_INTERVAL_S, self._say_hello)
