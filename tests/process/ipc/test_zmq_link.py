"""ROUTER and DEALER: round trips on both event loops, back-pressure without loss, peers that are gone or come back."""

import asyncio
import select
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from ipc.errors import ProtocolError, StartupError
from ipc.zmq_link import DealerLink, RouterLink, SendResult, frontend_identity, parse_frontend_identity
from tests.support.children import Child

IDENTITY = frontend_identity(3, 7)
DEADLINE_S = 30.0
Runner = Callable[[Awaitable[Any]], Any]


@pytest.fixture
def address(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    return f"ipc://{tmp_path}/scheduler.sock"


@pytest.fixture
def router(address: str) -> Iterator[RouterLink]:
    link = RouterLink(address)
    yield link
    link.close()
    link.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    def run_one(main: Any) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(main, DEADLINE_S))

    return run_one


def _receive(router: RouterLink, count: int) -> list[tuple[bytes, bytes]]:
    """Exactly `count` frames, sleeping on the link's descriptor as the scheduler does."""
    frames: list[tuple[bytes, bytes]] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(frames) < count:
        assert time.monotonic() < deadline, f"{len(frames)} of {count} frames came"
        if not router.has_input():
            select.select([router.fileno()], [], [], 0.1)
        frames += router.receive_all(count - len(frames))
    return frames


async def _receive_aside(router: RouterLink, count: int) -> list[tuple[bytes, bytes]]:
    return await asyncio.get_running_loop().run_in_executor(None, _receive, router, count)


class Inbox:
    """Collects a dealer's frames and lets the test wait for them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self._grew = asyncio.Event()

    def __call__(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._grew.set()

    async def wait_for(self, count: int) -> list[bytes]:
        while len(self.frames) < count:
            self._grew.clear()
            await self._grew.wait()
        return self.frames


def test_what_a_dead_peer_had_sent_can_be_taken_at_once(run: Runner, address: str) -> None:
    """Without a turn of the event loop in between; `close` would drop it."""

    async def main() -> None:
        router = RouterLink(address)
        inbox = Inbox()
        dealer = DealerLink(address, IDENTITY, inbox)
        dealer.send(b"hello")
        await _receive_aside(router, 1)
        sent = [b"%d" % number for number in range(1000)]
        for frame in sent:
            assert router.send(IDENTITY, frame) is SendResult.SENT
        deadline = time.monotonic() + DEADLINE_S
        while len(inbox.frames) < len(sent):  # they are on their way in ZeroMQ's own threads
            assert time.monotonic() < deadline
            dealer.deliver_all()
        assert inbox.frames == sent
        router.close()
        dealer.close()
        dealer.deliver_all()  # of a closed link: nothing

    run(main())


def test_identities_name_one_life_of_a_frontend() -> None:
    assert parse_frontend_identity(frontend_identity(3, 1 << 40)) == (3, 1 << 40)
    assert frontend_identity(0, 0)[0] != 0, "ZeroMQ takes identities that start with a zero byte for itself"
    for stranger in (b"", b"\0abc", b"G" + IDENTITY[1:], IDENTITY + b"x"):
        with pytest.raises(ProtocolError):
            parse_frontend_identity(stranger)


def test_a_round_trip_in_both_directions(router: RouterLink, address: str, run: Runner) -> None:
    async def main() -> None:
        inbox = Inbox()
        dealer = DealerLink(address, IDENTITY, inbox)
        assert dealer.send(b"to scheduler")
        assert await _receive_aside(router, 1) == [(IDENTITY, b"to scheduler")]
        assert router.send(IDENTITY, b"to frontend") is SendResult.SENT
        assert await inbox.wait_for(1) == [b"to frontend"]
        dealer.close()
        dealer.close()

    run(main())


def test_thousands_of_frames_arrive_complete_and_in_order(router: RouterLink, address: str, run: Runner) -> None:
    """More than one turn of the loop takes, sent while the other side sends too."""
    frames = [b"%d" % number for number in range(3000)]

    async def main() -> None:
        inbox = Inbox()
        dealer = DealerLink(address, IDENTITY, inbox)
        assert dealer.send(b"hello")
        await _receive_aside(router, 1)
        for frame in frames:
            assert router.send(IDENTITY, frame) is SendResult.SENT
            assert dealer.send(frame)
        assert await inbox.wait_for(len(frames)) == frames
        assert await _receive_aside(router, len(frames)) == [(IDENTITY, frame) for frame in frames]
        dealer.close()

    run(main())


def test_receiving_stops_at_its_limit(router: RouterLink, address: str, run: Runner) -> None:
    async def main() -> None:
        dealer = DealerLink(address, IDENTITY, Inbox())
        for number in range(10):
            dealer.send(b"%d" % number)
        await _receive_aside(router, 4)
        assert [frame for _, frame in await _receive_aside(router, 6)] == [b"%d" % number for number in range(4, 10)]
        assert router.receive_all(100) == []
        dealer.close()

    run(main())


def test_a_slow_frontend_is_full_and_loses_nothing_accepted(address: str, run: Runner) -> None:
    router = RouterLink(address, high_water_mark=8)

    async def main() -> None:
        inbox = Inbox()
        dealer = DealerLink(address, IDENTITY, inbox, high_water_mark=8)
        dealer.send(b"hello")
        await _receive_aside(router, 1)
        accepted = 0
        while router.send(IDENTITY, b"%06d" % accepted + bytes(4096)) is SendResult.SENT:  # the loop does not run now
            accepted += 1
            assert accepted < 10_000, "no back-pressure"
        assert router.send(IDENTITY, b"refused") is SendResult.FULL
        frames = await inbox.wait_for(accepted)
        assert [int(frame[:6]) for frame in frames] == list(range(accepted))
        assert b"refused" not in frames
        while (
            router.send(IDENTITY, b"room again") is SendResult.FULL
        ):  # libzmq's thread tells of the room a little later
            await asyncio.sleep(0.001)
        assert (await inbox.wait_for(accepted + 1))[-1] == b"room again"
        dealer.close()

    run(main())
    router.close()


def test_a_slow_scheduler_is_full_and_loses_nothing_accepted(address: str, run: Runner) -> None:
    router = RouterLink(address, high_water_mark=8)

    async def main() -> None:
        dealer = DealerLink(address, IDENTITY, Inbox(), high_water_mark=8)
        dealer.send(b"000000")
        await _receive_aside(router, 1)
        accepted = 0
        while dealer.send(b"%06d" % accepted + bytes(4096)):
            accepted += 1
            assert accepted < 10_000, "no back-pressure"
        received = await _receive_aside(router, accepted)
        assert [int(frame[:6]) for _, frame in received] == list(range(accepted))
        dealer.close()

    run(main())
    router.close()


def test_an_unknown_peer_is_gone(router: RouterLink) -> None:
    assert router.send(frontend_identity(9, 9), b"anyone?") is SendResult.GONE


def test_a_killed_peer_becomes_gone(router: RouterLink, address: str, start_child: Callable[..., Child]) -> None:
    child = start_child("echoing_dealer", address, "F-child")
    assert _receive(router, 1) == [(b"F-child", b"hello")]
    assert router.send(b"F-child", b"ping") is SendResult.SENT
    assert _receive(router, 1) == [(b"F-child", b"ping")]
    child.kill()
    deadline = time.monotonic() + DEADLINE_S
    while router.send(b"F-child", b"into the void") is not SendResult.GONE:
        assert time.monotonic() < deadline
        select.select([router.fileno()], [], [], 0.05)


def test_a_frontend_finds_the_schedulers_successor(address: str, run: Runner) -> None:
    """The dead scheduler's socket file is still there; its successor binds the same address."""

    async def main() -> None:
        inbox = Inbox()
        first = RouterLink(address)
        dealer = DealerLink(address, IDENTITY, inbox)
        dealer.send(b"to the first")
        await _receive_aside(first, 1)
        first.close()
        second = RouterLink(address)
        dealer.send(b"to the second")
        assert await _receive_aside(second, 1) == [(IDENTITY, b"to the second")]
        assert second.send(IDENTITY, b"welcome") is SendResult.SENT
        assert await inbox.wait_for(1) == [b"welcome"]
        dealer.close()
        second.close()

    run(main())


def test_closing_inside_the_callback_stops_delivery(router: RouterLink, address: str, run: Runner) -> None:
    async def main() -> None:
        frames: list[bytes] = []
        closed = asyncio.Event()

        def take_one(frame: bytes) -> None:
            frames.append(frame)
            dealer.close()
            closed.set()

        dealer = DealerLink(address, IDENTITY, take_one)
        dealer.send(b"hello")
        await _receive_aside(router, 1)
        for _ in range(5):
            router.send(IDENTITY, b"x")
        await closed.wait()
        await asyncio.sleep(0)
        assert frames == [b"x"]

    run(main())


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(StartupError, match="others may enter") as error:
        RouterLink(f"ipc://{tmp_path}/scheduler.sock")
    assert "chmod 700" in error.value.advice


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "ipc://relative", "ipc:///no/such/folder/socket"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(StartupError):
        RouterLink(address)


def test_an_address_that_cannot_be_bound_is_a_start_up_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(StartupError, match="cannot bind"):
        RouterLink(f"ipc://{tmp_path}/{'x' * 200}")
