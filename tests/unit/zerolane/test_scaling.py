"""What a scale command refuses before it changes anything."""

from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from ipc.device_memory.leases import Leases
from ipc.errors import StartupError
from ipc.operator_protocol import AskScale, CommandProgress, FinalReply, Refused
from tests.support.frontend_under_test import fake_cards
from zerolane import scaling
from zerolane.children import Role
from zerolane.house import House
from zerolane.poll_loop import PollLoop
from zerolane.pools import Pools
from zerolane.scaling import ScaleJob
from zerolane.seats import Phases, Seats, SeatState


def house_of(num_workers: int, phases: Phases = "both") -> House:
    """A server that serves, as far as refusals look at it."""
    seats = Seats()
    for number in range(num_workers):
        seat = seats.add(Role.WORKER, number)
        seat.state, seat.phases = SeatState.READY, phases
    loop = PollLoop(after_events=lambda: None)
    cards = [replace(card, num_pages=10) for card in fake_cards()]
    return cast(House, SimpleNamespace(seats=seats, pools=Pools(1), cards=cards, loop=loop, gpu_pools={}))


def refusal(house: House, request: AskScale) -> Refused:
    heard: list[CommandProgress | FinalReply] = []
    job = ScaleJob(house, request, heard.append)
    job.begin()
    assert job.is_done
    assert len(heard) == 1
    assert isinstance(heard[0], Refused)
    assert house.pools.numbers == [0]
    assert all(seat.state is SeatState.READY for seat in house.seats)
    return heard[0]


def test_more_pools_than_workers() -> None:
    assert "4 pools need as many workers, and there would be 3" in refusal(house_of(3), AskScale(pools=4)).message
    assert "there would be 1" in refusal(house_of(3), AskScale(workers=1, pools=2)).message


def test_pools_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def nothing_left(wanted: int, what: str, advice: str) -> None:
        asked.append(wanted)
        raise StartupError(f"{what} too much.", advice)

    monkeypatch.setattr(scaling, "check_memory", nothing_left)
    refused = refusal(house_of(3), AskScale(pools=3))
    assert refused == Refused("The new pools take too much.", "End other programs, or add fewer --pools.")
    assert asked[0] > 0
    assert asked[0] % 2 == 0  # both of them, before the first is made


@pytest.mark.parametrize("request_record", [AskScale(workers=2), AskScale(pools=1)])
def test_numbers_that_are_fixed_at_the_start(request_record: AskScale) -> None:
    assert "fixed at the start" in refusal(house_of(3, "prefill"), request_record).message


def test_pools_on_a_gpu() -> None:
    house = house_of(2)
    house.gpu_pools[0] = Leases()
    assert "Pools on GPUs cannot be added" in refusal(house, AskScale(pools=2)).message
