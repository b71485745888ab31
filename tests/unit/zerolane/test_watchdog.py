"""When a silent process is killed. The clock is turned forward, nothing is waited for."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import Struct

from ipc.control_messages import Ping
from zerolane.children import Child, Role
from zerolane.house import House, Phase
from zerolane.seats import Seat, Seats, SeatState
from zerolane.watchdog import LOOK_S, SILENCE_S, Watchdog


@dataclass
class QuietChild:
    """A process that runs and is told Pings."""

    pid: int
    told: list[Struct] = field(default_factory=list)
    is_stopped_now: bool = False

    def send(self, record: Struct) -> None:
        self.told.append(record)

    def is_stopped(self) -> bool:
        return self.is_stopped_now


class Ticking:
    """A house with a scheduler, a frontend and a worker, whose clock stands until `tick`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.killed: list[tuple[str, str]] = []
        monkeypatch.setattr("zerolane.watchdog.time.monotonic", lambda: self.now)
        monkeypatch.setattr("zerolane.watchdog.reap_stray", lambda known: None)
        self.seats = Seats()
        self.children: dict[Role, QuietChild] = {}
        for pid, role in enumerate((Role.SCHEDULER, Role.FRONTEND, Role.WORKER), 1):
            seat = self.seats.add(role)
            self.children[role] = QuietChild(pid)
            seat.child, seat.state = cast(Child, self.children[role]), SeatState.READY
        self._later: Any = None
        house = SimpleNamespace(
            phase=Phase.SERVING,
            seats=self.seats,
            forks=(),
            loop=SimpleNamespace(call_later=self._call_later),
            kill=lambda seat, reason: self.killed.append((seat.name, reason)),
        )
        Watchdog(cast(House, house)).start()

    def _call_later(self, delay_s: float, callback: object) -> None:
        assert delay_s == LOOK_S
        self._later = callback

    def tick(self, seconds: float, answering: tuple[Role, ...] = ()) -> None:
        """Let time go by in looks; `answering` have answered everything they were asked."""
        for _ in range(int(seconds / LOOK_S)):
            self.now += LOOK_S
            self._later()
            for role in answering:
                self.seat(role).unanswered_since = None

    def seat(self, role: Role) -> Seat:
        return self.seats.of(role)[0]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    return Ticking(monkeypatch)


def test_who_answers_is_asked_each_second_and_left_alone(ticking: Ticking) -> None:
    ticking.tick(60.0, answering=(Role.SCHEDULER, Role.FRONTEND))
    assert ticking.killed == []
    assert ticking.children[Role.SCHEDULER].told == [Ping(number) for number in range(1, 61)]
    assert ticking.children[Role.WORKER].told == []


def test_a_silent_scheduler_is_killed_before_a_silent_frontend(ticking: Ticking) -> None:
    ticking.tick(SILENCE_S[Role.SCHEDULER] + 0.9)
    assert ticking.killed == []
    ticking.tick(0.5)
    assert ticking.killed == [("scheduler", "has not answered for 10 s")]
    ticking.seat(Role.SCHEDULER).state = SeatState.STARTING
    ticking.tick(20.0)
    assert ticking.killed[1:] == [("frontend 0", "has not answered for 30 s")]


def test_a_late_answer_is_an_answer(ticking: Ticking) -> None:
    ticking.tick(8.0)
    ticking.seat(Role.SCHEDULER).unanswered_since = None
    ticking.tick(8.0)
    assert ticking.killed == []


def test_after_a_pause_of_our_own_nobody_is_blamed(ticking: Ticking) -> None:
    ticking.tick(5.0)
    ticking.now += 60.0
    ticking.tick(5.0)
    assert ticking.killed == []


def test_who_is_stopped_at_two_looks_is_killed(ticking: Ticking) -> None:
    worker = ticking.children[Role.WORKER]
    worker.is_stopped_now = True
    ticking.tick(LOOK_S)
    assert ticking.killed == []
    ticking.tick(LOOK_S)
    assert ticking.killed == [("worker 0", "was stopped by a signal, and would hold up others")]
