"""How a command of several steps waits, ends, and is ended."""

import time
from typing import cast

import pytest

from ipc.operator_protocol import CommandProgress, FinalReply, Refused, Scaled
from zerolane.house import House
from zerolane.operator_job import CannotGoOn, Plan, PlannedJob, Wait
from zerolane.poll_loop import PollLoop


class FakeHouse:
    """Only its loop."""

    def __init__(self) -> None:
        self.loop = PollLoop(after_events=lambda: None)


class TwoSteps(PlannedJob):
    """Waits for `first`, then for `second`."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self.house = FakeHouse()
        self.heard: list[CommandProgress | FinalReply] = []
        self.first = self.second = False
        self.outcomes: list[bool] = []
        self.timeout_s = timeout_s
        super().__init__(cast(House, self.house), self.heard.append)

    def plan(self) -> Plan:
        self.outcomes.append((yield Wait(lambda: "first", lambda: self.first, self.timeout_s)))
        if not self.outcomes[0]:
            raise CannotGoOn("The first step was late.", "Wait longer.")
        self.outcomes.append((yield Wait(lambda: "second", lambda: self.second, self.timeout_s)))
        return Scaled(1, 0, 0, 0.0)

    def let_time_pass(self, seconds: float) -> None:
        self.house.loop.run_until(lambda: self.is_done, time.monotonic() + seconds)
        self.settle()


@pytest.fixture
def job() -> TwoSteps:
    job = TwoSteps()
    job.begin()
    return job


def test_one_step_after_the_other(job: TwoSteps) -> None:
    assert job.heard == [CommandProgress("first")]
    job.settle()
    assert job.heard == [CommandProgress("first")]  # told once
    job.first = True
    job.settle()
    assert job.heard[1:] == [CommandProgress("second")]
    job.second = True
    job.settle()
    assert job.is_done
    assert job.heard[2:] == [Scaled(1, 0, 0, 0.0)]


def test_steps_that_need_not_wait_follow_at_once() -> None:
    job = TwoSteps()
    job.first = job.second = True
    job.begin()
    assert job.is_done
    assert job.outcomes == [True, True]


def test_a_late_step_can_end_the_plan() -> None:
    job = TwoSteps(timeout_s=0.01)
    job.begin()
    job.let_time_pass(0.02)
    assert job.is_done
    assert job.heard[-1] == Refused("The first step was late.", "Wait longer.")


def test_what_holds_at_the_deadline_is_in_time() -> None:
    job = TwoSteps(timeout_s=0.01)
    job.begin()
    job.first = True
    job.let_time_pass(0.02)
    assert job.outcomes == [True]


def test_it_can_be_ended_from_outside(job: TwoSteps) -> None:
    job.end(Refused("Something else comes first."))
    job.first = True
    job.settle()
    assert job.heard[-1] == Refused("Something else comes first.")
