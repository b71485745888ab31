"""All cases, a few at a time, with witnesses; and the memory the server has before and after."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from scripts.chaos_testing.processes import children, descendants, segment_pss_mib
from scripts.fuzzing.cases import Case
from scripts.fuzzing.sender import Fault, Outcome, send
from scripts.fuzzing.witness import Witnesses, port_of

MAX_KEPT = 50  # outcomes with a fault


@dataclass
class Result:
    """What is known so far."""

    num_sent: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by kind of case
    num_faults: Counter[Fault] = field(default_factory=Counter)
    faults: list[Outcome] = field(default_factory=list)  # the first ones
    memory_mib: list[float] = field(default_factory=list)  # of all the server's processes, segments left out


async def fuzz(url: str, all_cases: Iterable[Case], admin_key: str, concurrency: int, result: Result) -> None:
    """Sends every case; `result` grows meanwhile."""
    waiting = iter(all_cases)

    async def send_on() -> None:
        for case in waiting:
            note(result, await send(port_of(url), case, admin_key))

    await asyncio.gather(*(send_on() for _ in range(concurrency)))


async def fuzz_with_witnesses(
    url: str, all_cases: Iterable[Case], admin_key: str, concurrency: int, num_witnesses: int, result: Result
) -> Witnesses:
    """As `fuzz`; other clients stream until it is over."""
    witnesses = Witnesses(url, num_witnesses)
    witnesses.begin()
    try:
        await fuzz(url, all_cases, admin_key, concurrency, result)
    finally:
        await witnesses.end()
    return witnesses


def note(result: Result, outcome: Outcome) -> None:
    result.num_sent += 1
    result.statuses[outcome.case.spoilt.kind, outcome.status] += 1
    if outcome.fault is not None:
        result.num_faults[outcome.fault] += 1
        if len(result.faults) < MAX_KEPT:
            result.faults.append(outcome)


def memory_mib(server_pid: int) -> float:
    """Private and shared memory of the server's processes, each shared page counted once, segments left out. A process
    that compiles grammars or renders templates may be there or not: a child of a child is left out."""
    pids = [server_pid, *children(server_pid)]
    return sum(segment_pss_mib(pid).get("", 0.0) for pid in pids)


def num_processes(server_pid: int) -> int:
    return len(descendants(server_pid))
