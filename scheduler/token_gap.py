"""How long streams that decode may be left out, so that prompts have steps to themselves and first tokens come early.

Among prompts a row that decodes costs as much as a token and a half of theirs, so beside many of them a burst's prompts
take half as long again. They are left out of a step as long as it ends within the gap since all of them had their
tokens; the step after it brings them. So a stream's tokens are no further apart than the gap and one step, as far as
the time that steps take can be foretold: they are planned while others are still in flight.
"""

import time
from dataclasses import dataclass

from scheduler.step_pace import StepPace
from scheduler.worker_peer import GenerateFlight, WorkerPeer


@dataclass(slots=True)
class TokenGap:
    """Of the next step of one model on one worker."""

    peer: WorkerPeer
    model: int
    pace: StepPace
    max_s: float  # 0: nobody is ever left out

    def has_room_for(self, num_tokens: int) -> bool:
        """A step of so many tokens that leaves decoding streams out would end within their gap."""
        if self.max_s == 0:
            return False
        served = self.peer.all_served.get(self.model)
        begins = self.peer.step_began if self.peer.flights else 0.0
        for flight in self.peer.flights:
            begins += self.pace.seconds(flight.model, flight.num_tokens)
            if isinstance(flight, GenerateFlight) and flight.model == self.model and not flight.leaves_out:
                served = begins
        ends = max(begins, time.monotonic()) + self.pace.seconds(self.model, num_tokens)
        return served is not None and ends <= served + self.max_s
