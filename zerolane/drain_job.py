"""`zerolane drain`: the server ends as after SIGTERM, and the operator sees what is still open.

The work is `shutdown.py`'s; this only watches and, at the very end, answers.
"""

from ipc.operator_protocol import Ended
from zerolane.house import House, Phase
from zerolane.operator_job import OperatorJob, Say
from zerolane.poll_loop import Timer
from zerolane.status import open_http_requests

_LOOK_S = 0.25


class DrainJob(OperatorJob):
    """Lives until the server's end."""

    def __init__(self, house: House, say: Say) -> None:
        super().__init__(house, say)
        self._timer: Timer | None = None

    def begin(self) -> None:
        self._look()

    def settle(self) -> None:
        if self._house.phase is Phase.DRAINING:
            self.tell(_requests_are_open(open_http_requests(self._house)))
        elif self._house.phase is Phase.STOPPING:
            self.tell("the processes are leaving")

    def server_ended(self, exit_code: int, requests_ended: int) -> None:
        """All processes are gone."""
        if self._timer is not None:
            self._timer.cancel()
        self.end(Ended(requests_ended, exit_code, self.seconds))

    def _look(self) -> None:
        """Requests end without an event here."""
        self.settle()
        self._timer = self._house.loop.call_later(_LOOK_S, self._look)


def _requests_are_open(number: int) -> str:
    return "1 request is open" if number == 1 else f"{number} requests are open"
