"""Workers that were asked of the fork server and are not there yet.

Each has its control link already; the fork server has the worker's end of it. A request that is forgotten closes ours:
whoever was born with the other end sees that, and leaves.
"""

import os
from collections.abc import Callable

from ipc.control_link import ControlLink
from ipc.control_messages import ForkWorker, ToSupervisor
from zerolane.children import Child
from zerolane.seats import Seat

_Key = tuple[int, int]  # a worker's id and epoch


class ForkRequests:
    """Owns our ends of those links, until `take` or `forget_all`."""

    def __init__(self) -> None:
        self._links: dict[_Key, ControlLink[ToSupervisor]] = {}

    def __bool__(self) -> bool:
        """A fork may be under way."""
        return bool(self._links)

    def is_asked_for(self, seat: Seat) -> bool:
        return (seat.id, seat.epoch) in self._links

    def ask(self, fork_server: Child, seat: Seat) -> Callable[[], bool]:
        """Ask for the seat's process; what is returned says whether it is still to come."""
        key = (seat.id, seat.epoch)
        self._links[key], worker_end = ControlLink.pair()
        fork_server.send(ForkWorker(*key), [worker_end])
        os.close(worker_end)
        link = self._links[key]
        return lambda: self._links.get(key) is link

    def take(self, worker_id: int, epoch: int) -> ControlLink[ToSupervisor] | None:
        """The link of a request that was answered, which is the caller's now; None if nobody asked."""
        return self._links.pop((worker_id, epoch), None)

    def forget_all(self) -> None:
        for link in self._links.values():
            link.close()
        self._links.clear()
