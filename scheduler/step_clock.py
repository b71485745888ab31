"""How long steps take, and which one takes too long: its worker hangs.

A step's cost is measured in seconds a token, where every step counts FIXED_TOKENS more than it has: what a step costs
anyhow. The dearest lately seen counts, so a deadline is generous in every mixture of steps.
"""

from dataclasses import dataclass, field

from scheduler.worker_peer import Flight, WorkerPeer

FIXED_TOKENS = 64
FORGET = 0.98  # a step's weight in the dearest, step by step
PATIENCE = 10.0  # a step may take so many times what is expected
FIRST_STEP_S = 300.0  # nothing was measured yet
BLIND_S = 1.0  # the scheduler itself did not run for so long: what it sees now says nothing about workers


@dataclass
class StepClock:
    """One for all workers; costs are kept a model."""

    floor_s: float
    _costs: dict[int, float] = field(default_factory=dict)
    _looked: float = 0.0

    def saw(self, flight: Flight, seconds: float) -> None:
        """A step took so long."""
        cost = seconds / (FIXED_TOKENS + flight.num_tokens)
        self._costs[flight.model] = max(cost, FORGET * self._costs.get(flight.model, 0.0))

    def limit_s(self, flight: Flight) -> float:
        """How long this step may take."""
        cost = self._costs.get(flight.model)
        if cost is None:
            return max(self.floor_s, FIRST_STEP_S)
        return max(self.floor_s, PATIENCE * cost * (FIXED_TOKENS + flight.num_tokens))

    def was_late(self, flight: Flight, limit_s: float) -> None:
        """A worker was given up for this step. Should such steps rightly take so long by now, the next one has twice
        the time: slowness ends no worker for ever."""
        cost = 2 * limit_s / (PATIENCE * (FIXED_TOKENS + flight.num_tokens))
        self._costs[flight.model] = max(cost, self._costs.get(flight.model, 0.0))

    def overdue(self, peers: list[WorkerPeer], now: float) -> list[WorkerPeer]:
        """Workers whose oldest step is past its deadline; all their reports must have been taken before."""
        was_blind = now - self._looked > BLIND_S
        self._looked = now
        if was_blind:
            for peer in peers:
                peer.last_report = now
        return [peer for peer in peers if peer.flights and now - peer.step_began > self.limit_s(peer.flights[0])]
