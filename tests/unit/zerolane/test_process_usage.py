"""What /proc tells of a process."""

import os
import time

from msgspec.structs import replace

from tests.unit.zerolane.test_status_table import STATUS
from zerolane.process_usage import cpu_s, pss_mib, with_usage

NOBODY = 2**22 + 1  # above the largest pid there can be


def test_of_a_running_process() -> None:
    assert pss_mib(os.getpid())["Pss"] > 1.0
    before = cpu_s(os.getpid())
    used = time.process_time()
    while time.process_time() - used < 0.03:
        pass
    after = cpu_s(os.getpid())
    assert before is not None
    assert after is not None
    assert after > before


def test_of_none() -> None:
    assert pss_mib(NOBODY) == {}
    assert cpu_s(NOBODY) is None


def test_a_status_is_filled_in_where_there_is_a_process() -> None:
    alive, without = replace(STATUS.processes[0], pid=os.getpid()), STATUS.processes[1]
    filled = with_usage(replace(STATUS, processes=[alive, without])).processes
    assert (filled[0].pss_mib or 0) > 1.0
    assert (filled[0].cpu_s or 0) > 0
    assert filled[1] == without
