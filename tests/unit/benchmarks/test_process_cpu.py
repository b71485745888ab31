"""Processor time from /proc agrees with what Python says about this process."""

import os
import time

import pytest

from benchmarks.overhead.process_cpu import machine_seconds, process_seconds, role_seconds


def test_own_time_grows_as_python_counts_it() -> None:
    """Differences: threads that ended before are counted by Python only."""
    here, python = process_seconds(os.getpid()), time.process_time()
    while time.process_time() < python + 0.3:
        pass
    grown = time.process_time() - python
    assert process_seconds(os.getpid()) - here == pytest.approx(grown, abs=0.1)


def test_a_process_that_is_gone_has_no_time() -> None:
    assert process_seconds(1 << 22) == 0.0


def test_the_machine_used_at_least_what_this_process_used() -> None:
    assert machine_seconds() >= time.process_time()


def test_a_process_without_children_is_all_supervisor() -> None:
    assert role_seconds(os.getpid())["supervisor"] > 0.0
