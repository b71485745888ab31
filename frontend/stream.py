"""What token streams and score streams have in common: a number at the scheduler, and the way to be submitted again.

A stream outlives schedulers. Whoever computed it may die; what it has got stays here, and `submission` asks the next
one for the rest.
"""

import time
from abc import ABC, abstractmethod

from ipc.messages import SubmitGenerate, SubmitScore

# Submissions that were lost without a token or pair in between. A stream that kills schedulers kills them soon; one
# that only waited for its prefill under schedulers that died of something else may try for long.
MAX_QUICK_IN_VAIN = 3
QUICK_S = 0.5
MAX_IN_VAIN = 50


class Stream(ABC):
    """Ends once, finished or failed. `submissions.py` numbers and counts; a request's handler reads the rest."""

    def __init__(self) -> None:
        self.stream_id = 0  # its number at the scheduler: new for each submission, so that late answers find nobody
        self.was_submitted = False
        self.error: BaseException | None = None
        self._received_before = 0  # of `num_received`, at the latest submission
        self._submitted_at = 0.0  # time.monotonic() of the latest submission
        self._is_out = False  # submitted, and not lost
        self._num_lost = 0  # submissions that were lost since something was received
        self._num_quick = 0  # of them, those that were lost within QUICK_S

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        """Everything has come, or it failed."""

    @property
    @abstractmethod
    def num_received(self) -> int:
        """Tokens or pairs so far."""

    @abstractmethod
    def submission(self) -> SubmitGenerate | SubmitScore:
        """The record that asks for what is missing, under the present number."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Ends it; its reader raises `error`."""

    def submitted(self) -> None:
        """Its `submission` is on its way."""
        self.lost()
        self.was_submitted = self._is_out = True
        self._submitted_at = time.monotonic()
        self._received_before = self.num_received

    def lost(self) -> None:
        """What was submitted last, if anything is out, will not be answered any more."""
        if self._is_out:
            in_vain = self.resubmissions_in_vain
            is_vain = self.num_received == self._received_before
            was_quick = time.monotonic() - self._submitted_at < QUICK_S
            self._num_quick = (self._num_quick if in_vain else 0) + (is_vain and was_quick)
            self._num_lost = in_vain + is_vain
        self._is_out = False

    @property
    def resubmissions_in_vain(self) -> int:
        """How often it was submitted and lost, and nothing has come since."""
        return 0 if self.num_received > self._received_before else self._num_lost

    @property
    def is_in_vain(self) -> bool:
        """It may be what kills schedulers, or what none of them can answer: not worth another try."""
        in_vain = self.resubmissions_in_vain
        return in_vain >= MAX_IN_VAIN or (in_vain > 0 and self._num_quick >= MAX_QUICK_IN_VAIN)
