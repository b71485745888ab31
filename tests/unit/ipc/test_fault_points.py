"""Fault points: what the environment can ask for, and that processes die where they were told to, and only there."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ipc import fault_points
from ipc.fault_points import Fault, PoisonError, faults_of_life, parse_faults

ROOT = Path(__file__).parents[3]
ROOMS = ("ipc", "frontend", "scheduler", "workers", "zerolane")
CHILD = "import sys, numpy; from ipc import fault_points; from ipc.fault_points import begin_life, reach, poison\n"


def run(code: str, **environment: str) -> int:
    """Exit status of a process that runs `code`; negative: the signal that ended it."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD + code], env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, timeout=30
    )
    return child.returncode


def test_faults_are_read_from_text() -> None:
    assert parse_faults("") == {}
    assert parse_faults("worker.computed=kill@3,migration.copied#2=stop@1,worker.reported=hang@2") == {
        ("worker.computed", 1): Fault(signal.SIGKILL, 2),
        ("migration.copied", 2): Fault(signal.SIGSTOP, 0),
        ("worker.reported", 1): Fault(None, 1),
    }


@pytest.mark.parametrize(
    "text", ["a", "a=kill", "a=kill@0", "a=kill@x", "a=fall@1", "=kill@1", "a#=kill@1", "a#x=kill@1"]
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not PLACE"):
        parse_faults(text)


def test_a_life_has_the_faults_of_its_epoch_and_kind() -> None:
    wanted = parse_faults("worker.computed=kill@1,worker.ring.written=kill@1,scheduler.ring.written#2=stop@1")
    assert set(faults_of_life(wanted, "worker", 1)) == {"worker.computed", "ring.written"}
    assert set(faults_of_life(wanted, "scheduler", 2)) == {"ring.written"}
    assert "ring.written" not in faults_of_life(wanted, "scheduler", 1)
    assert faults_of_life(wanted, "worker", 3) == {}


def test_each_life_counts_for_itself() -> None:
    wanted = parse_faults("worker.computed=kill@3")
    first = faults_of_life(wanted, "worker", 1)
    first["worker.computed"].num_passes -= 1
    assert faults_of_life(wanted, "worker", 1)["worker.computed"].num_passes == 2


def test_it_dies_the_nth_time() -> None:
    twice = "begin_life(1); reach('worker.a'); reach('worker.b'); reach('worker.a')"
    assert run(twice, ZEROLANE_FAULT="worker.a=kill@2") == -signal.SIGKILL
    assert run(twice, ZEROLANE_FAULT="worker.a=kill@3") == 0


def test_nothing_happens_before_a_life_begins_or_in_a_later_one() -> None:
    assert run("reach('worker.a')", ZEROLANE_FAULT="worker.a=kill@1") == 0
    assert run("begin_life(2); reach('worker.a')", ZEROLANE_FAULT="worker.a=kill@1") == 0
    assert run("begin_life(2); reach('worker.a')", ZEROLANE_FAULT="worker.a#2=kill@1") == -signal.SIGKILL


def test_poisoned_tokens() -> None:
    step = "begin_life(4); poison(numpy.array([3, -1, 7], numpy.int32))"
    assert run(step, ZEROLANE_POISON_TOKEN="7") == -signal.SIGKILL
    assert run(step, ZEROLANE_POISON_TOKEN="8") == 0
    assert run(step, ZEROLANE_RAISE_TOKEN="7") == 1


def test_an_exception_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_points, "_raise_token", 7)
    with pytest.raises(PoisonError, match="ZEROLANE_RAISE_TOKEN"):
        fault_points.poison(np.array([1, 7], np.int32))
    fault_points.poison(np.array([1, 2], np.int32))


def test_the_documentation_lists_exactly_the_places_of_the_code() -> None:
    in_code = {
        place
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for place in re.findall(r'\breach\("([a-z_.]+)"\)', path.read_text())
    }
    table = (ROOT / "docs/failure.md").read_text().partition("## Fault points")[2]
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))
    assert in_code == documented
