"""What every long command of an operator has: it tells how far it is, and it ends with one reply, in time."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass

from ipc.errors import ZerolaneError
from ipc.operator_protocol import CommandProgress, FinalReply, Refused
from zerolane.house import House
from zerolane.poll_loop import Timer

REPEAT_S = 5.0  # silence the operator's side never has to bear longer

Say = Callable[[CommandProgress | FinalReply], None]


class OperatorJob(ABC):
    """One command under way in the supervisor's loop: `begin` once, then `settle` after every batch of events.

    Nobody calls it any more once `is_done`. Every wait inside has a deadline of its own.
    """

    def __init__(self, house: House, say: Say) -> None:
        self.is_done = False
        self._house = house
        self._say = say
        self._started_at = time.monotonic()
        self._text = ""
        self._repeat: Timer = house.loop.call_later(REPEAT_S, self._tell_again)

    @abstractmethod
    def begin(self) -> None:
        """Do what can be done at once."""

    @abstractmethod
    def settle(self) -> None:
        """Go as far as it can go now."""

    def tell(self, text: str) -> None:
        """How far it is, if that has changed."""
        if text != self._text:
            self._text = text
            self._say(CommandProgress(text))

    def end(self, reply: FinalReply) -> None:
        self.is_done = True
        self._repeat.cancel()
        self._say(reply)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._started_at, 2)

    def _tell_again(self) -> None:
        if not self.is_done:
            self._say(CommandProgress(self._text))
            self._repeat = self._house.loop.call_later(REPEAT_S, self._tell_again)


class CannotGoOn(ZerolaneError):
    """A plan ends before its end; the text is for the operator."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class Wait:
    """What a plan waits for: until `holds` is true, at most `timeout_s`. `text` says how far it is."""

    text: Callable[[], str]
    holds: Callable[[], bool]
    timeout_s: float


Plan = Generator[Wait, bool, FinalReply]
"""One thing after the other: `in_time = yield Wait(...)`. It returns the reply, or raises CannotGoOn."""
Waits = Generator[Wait, bool, None]
"""A part of a plan, for `yield from`."""


class PlannedJob(OperatorJob):
    """A command that is a plan: whatever happens between two steps of it is the house's ordinary life."""

    def __init__(self, house: House, say: Say) -> None:
        super().__init__(house, say)
        self._plan = self.plan()
        self._wait: Wait | None = None
        self._timer: Timer | None = None
        self._is_late = False

    @abstractmethod
    def plan(self) -> Plan:
        """All of it. Begun by `begin`, so not before the job is complete."""

    def begin(self) -> None:
        self._go_on(None)
        self.settle()

    def settle(self) -> None:
        """Say how far it is, and take the next steps whose time has come."""
        while not self.is_done and self._wait is not None:
            holds = self._wait.holds()
            self.tell(self._wait.text())
            if not holds and not self._is_late:
                return
            self._go_on(holds)

    def end(self, reply: FinalReply) -> None:
        super().end(reply)
        self._plan.close()
        self._set_timer(None)

    def _go_on(self, in_time: bool | None) -> None:
        """To the next wait, or the end. `in_time`: whether the last wait's condition holds; None at the beginning."""
        self._set_timer(None)
        self._is_late = False
        try:
            self._wait = next(self._plan) if in_time is None else self._plan.send(in_time)
        except StopIteration as end:
            self.end(end.value)
        except CannotGoOn as error:
            self.end(Refused(str(error), error.advice))
        else:
            self._set_timer(self._house.loop.call_later(self._wait.timeout_s, self._time_is_up))

    def _time_is_up(self) -> None:
        self._is_late = True

    def _set_timer(self, timer: Timer | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer
