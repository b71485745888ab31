"""Everything that goes to the scheduler, and the making of the link. `from_scheduler.py` takes what comes back.

A life of the link: connect, say Hello until Welcome comes, submit. When the scheduler is gone the link is made anew,
so that nothing queued for the dead one reaches its successor.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from ipc.codec import encode
from ipc.errors import ErrorCode, RequestError
from ipc.messages import Abort, Hello, SubmitGenerate, SubmitScore
from ipc.zmq_link import DealerLink, frontend_identity

HELLO_INTERVAL_S = 0.25
WELCOME_TIMEOUT_S = 5.0  # a request waits this long for a scheduler that is being restarted
RETRY_ABORT_S = 0.05
FULL_LINK_RETRY_AFTER_S = 1.0
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

    def connect(self, on_frame: Callable[[bytes], None]) -> None:
        """Makes the link (anew) and says Hello until `welcomed` is called. Must run on the loop."""
        self.close()
        self._welcomed.clear()
        self._late_aborts.clear()
        self._link = DealerLink(self._address, self._identity, on_frame)
        self._say_hello()

    def close(self) -> None:
        """Drops what is queued. Twice is fine."""
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def welcomed(self) -> None:
        """The scheduler knows us now: requests may go."""
        self._welcomed.set()

    async def wait_for_scheduler(self) -> None:
        """Returns once the scheduler takes requests. Raises RequestError NOT_READY after WELCOME_TIMEOUT_S."""
        if self._welcomed.is_set():
            return
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                await self._welcomed.wait()
        except TimeoutError:
            raise RequestError(ErrorCode.NOT_READY, "The scheduler is being restarted; try again.") from None

    def submit(self, record: SubmitGenerate | SubmitScore) -> None:
        """Raises RequestError QUEUE_FULL when the scheduler does not keep up with reading."""
        if not self._send(record):
            message = "The server is overloaded; try again later."
            raise RequestError(ErrorCode.QUEUE_FULL, message, retry_after_s=FULL_LINK_RETRY_AFTER_S)

    def abort(self, stream_ids: Sequence[int]) -> None:
        """Gives streams up. Never fails: what does not fit the link now is sent later."""
        if not stream_ids:
            return
        waits = bool(self._late_aborts)
        self._late_aborts.extend(stream_ids)
        if not waits:
            self._send_aborts()

    def _send_aborts(self) -> None:
        while self._late_aborts:
            part = self._late_aborts[:MAX_ABORT_IDS]
            if not self._send(Abort(np.asarray(part, np.dtype("<u8")).tobytes())):
                asyncio.get_running_loop().call_later(RETRY_ABORT_S, self._send_aborts)
                return
            del self._late_aborts[: len(part)]

    def _send(self, record: Struct) -> bool:
        return self._link is not None and self._link.send(encode(record))

    def _say_hello(self) -> None:
        if not self._welcomed.is_set():
            self._send(self._hello)
            self._hello_timer = asyncio.get_running_loop().call_later(HELLO_INTERVAL_S, self._say_hello)
