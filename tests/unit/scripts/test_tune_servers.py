"""Which servers `scripts/tune` keeps, ends and scales. The servers are stand-ins."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from ipc.operator_protocol import AskScale, Refused, Reply, Scaled
from scripts.chaos_testing.server import ServerError
from scripts.tuning import trial_servers
from scripts.tuning.candidate import DEFAULTS
from scripts.tuning.objective import TrialFailed
from scripts.tuning.trial_servers import TrialServers

ONE_THREAD = DEFAULTS.changed({"threads": 1})
TWO_WORKERS = DEFAULTS.changed({"threads": 1, "workers": 2})
LARGE = DEFAULTS.changed({"max_num_batched_tokens": 1024})
GIB = 1 << 30


class StandIn:
    """Takes 2 GiB from when it starts until it is closed."""

    running: ClassVar[list["StandIn"]] = []
    can_scale = True
    starting: ClassVar[threading.Semaphore | None] = None  # released once for each that may start; None: all may

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        start_s: float,
        has_own_group: bool,
    ) -> None:
        if "--max-num-seqs=3" in arguments:
            raise ServerError("the server did not start:\nTraceback\nzerolane: no memory\n  see above")
        if self.starting is not None:
            self.starting.acquire(timeout=10.0)
        self.arguments = list(arguments)
        self.url = f"http://{len(self.running)}"
        self.running.append(self)

    def ask(self, request: AskScale) -> Reply:
        return Scaled(request.workers or 0, 1, 0, 0.1) if self.can_scale else Refused("no")

    def close(self) -> list[str]:
        self.running.remove(self)
        return []


@pytest.fixture
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "running", [])
    monkeypatch.setattr(trial_servers, "ServerUnderTest", StandIn)


def use(block: Callable[[TrialServers], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, free_gib: float) -> None:
    """`block` with servers on a machine with so much memory; nothing runs afterwards."""
    monkeypatch.setattr(trial_servers, "available_memory", lambda: int((free_gib - 2 * len(StandIn.running)) * GIB))

    async def run() -> None:
        servers = TrialServers(Path("/nowhere"), ["fake:generate"], start_s=1.0)
        await block(servers)
        await servers.close()
        assert StandIn.running == []

    asyncio.run(run())
    assert StandIn.running == []  # nor did a thread start one since


@pytest.mark.usefixtures("_stand_ins")
def test_two_stay_where_there_is_memory_and_the_one_unused_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def block(servers: TrialServers) -> None:
        for candidate in (DEFAULTS, LARGE, DEFAULTS, LARGE, DEFAULTS):
            await servers.url(candidate)
        assert (servers.keeps_two, servers.num_started) == (True, 2)
        await servers.url(ONE_THREAD)
        assert (servers.runs(DEFAULTS), servers.runs(LARGE)) == (True, False)

    use(block, monkeypatch, free_gib=16)


@pytest.mark.usefixtures("_stand_ins")
def test_one_stays_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    async def block(servers: TrialServers) -> None:
        for candidate in (ONE_THREAD, TWO_WORKERS, ONE_THREAD):
            await servers.url(candidate)
            assert len(StandIn.running) == 1
        assert (servers.num_started, servers.num_scaled) == (3, 0)  # the other side has seen the requests

    use(block, monkeypatch, free_gib=4)


@pytest.mark.usefixtures("_stand_ins")
@pytest.mark.parametrize(("can_scale", "started"), [(True, 2), (False, 3)])
def test_workers_are_scaled_where_nothing_else_differs(
    monkeypatch: pytest.MonkeyPatch, can_scale: bool, started: int
) -> None:
    monkeypatch.setattr(StandIn, "can_scale", can_scale)

    async def block(servers: TrialServers) -> None:
        for candidate in (ONE_THREAD, DEFAULTS, TWO_WORKERS):
            await servers.url(candidate)
        assert servers.num_started == started
        assert (servers.runs(ONE_THREAD), servers.runs(TWO_WORKERS)) == (False, True)

    use(block, monkeypatch, free_gib=16)


@pytest.mark.usefixtures("_stand_ins")
def test_why_a_server_did_not_start_is_said_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def block(servers: TrialServers) -> None:
        await servers.url(DEFAULTS)
        with pytest.raises(TrialFailed, match=r"^no memory$"):
            await servers.url(DEFAULTS.changed({"max_num_seqs": 3}))

    use(block, monkeypatch, free_gib=16)


@pytest.mark.usefixtures("_stand_ins")
def test_a_server_that_starts_is_ended_however_often_that_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time, as by Ctrl-C shortly before the search's time was over, it was left behind."""
    may_start = threading.Semaphore(0)
    monkeypatch.setattr(StandIn, "starting", may_start)

    async def block(servers: TrialServers) -> None:
        asking = asyncio.create_task(servers.url(DEFAULTS))
        for _ in range(2):
            await asyncio.sleep(0.02)
            asking.cancel()
        await asyncio.sleep(0.02)
        may_start.release()
        with pytest.raises(asyncio.CancelledError):
            await asking

    use(block, monkeypatch, free_gib=16)
