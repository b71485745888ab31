"""Which keeper may start when, and who goes down with one. The processes here are names only."""

from typing import Any

import pytest

from ipc.control_messages import PoolReady
from ipc.device_memory.interface import MemoryHandle
from ipc.device_memory.leases import StaleLease
from ipc.errors import StartupError
from zerolane import gpu_pools
from zerolane.children import Role
from zerolane.house import Phase
from zerolane.pools import Pools
from zerolane.seats import Seat, Seats, SeatState


class StandInHouse:
    """As much of a house as GPU pools look at."""

    def __init__(self, num_pools: int = 1) -> None:
        self.config = type("Config", (), {"pools": num_pools})()
        self.pools = Pools(num_pools)
        self.seats = Seats()
        self.gpu_pools: dict[int, Any] = {}
        self.phase = Phase.SERVING
        self.killed: list[str] = []
        self.seats.add(Role.SCHEDULER)
        self.workers = [self.seats.add(Role.WORKER, i) for i in range(2)]
        for worker in self.workers:
            worker.begin_life()

    def spawn(self, seat: Seat) -> None:
        seat.begin_life()
        seat.state = SeatState.STARTING

    def kill(self, seat: Seat, reason: str) -> None:
        self.killed.append(seat.name)


def memory(seat: Seat) -> MemoryHandle:
    return MemoryHandle("FAKE-0000", bytes([seat.epoch]), 100, seat.epoch)


@pytest.fixture
def house() -> Any:
    return StandInHouse()


def start_keeper(house: Any) -> Seat:
    gpu_pools.seat_keepers(house)
    gpu_pools.start_keepers(house)
    keeper: Seat = house.seats.of(Role.KEEPER)[0]
    gpu_pools.on_keeper_ready(house, keeper, memory(keeper))
    return keeper


def test_a_server_without_gpus_is_always_ready(house: Any) -> None:
    assert gpu_pools.are_ready(house)
    assert gpu_pools.pool_ready(house, house.workers[0], 0, more=True) == PoolReady(0, True)


def test_workers_wait_for_the_keeper_and_get_a_lease_each(house: Any) -> None:
    gpu_pools.seat_keepers(house)
    assert not gpu_pools.are_ready(house)
    keeper = start_keeper(house)
    assert (keeper.state, gpu_pools.are_ready(house)) == (SeatState.READY, True)
    told = [gpu_pools.pool_ready(house, worker, 0, more=False) for worker in house.workers]
    assert [record.memory for record in told] == [memory(keeper)] * 2
    assert told[0].lease != told[1].lease
    assert told[0].lease is not None
    assert (told[0].lease.generation, told[0].lease.size) == (keeper.epoch, 100)


def test_a_lost_keeper_returns_when_its_last_user_has_ended(house: Any) -> None:
    keeper = start_keeper(house)
    for worker in house.workers:
        gpu_pools.pool_ready(house, worker, 0, more=False)
    gpu_pools.on_keeper_gone(house, keeper)
    assert house.killed == ["worker 0", "worker 1", "scheduler"]
    with pytest.raises(StaleLease):
        gpu_pools.pool_ready(house, house.workers[0], 0, more=False)
    keeper.state = SeatState.WAITING
    for worker in house.workers:
        gpu_pools.start_keepers(house)
        assert keeper.state is SeatState.WAITING
        gpu_pools.on_worker_gone(house, worker)
    gpu_pools.start_keepers(house)
    assert keeper.state is SeatState.STARTING
    gpu_pools.on_keeper_ready(house, keeper, memory(keeper))
    assert gpu_pools.are_ready(house)


def test_nobody_is_killed_for_a_keeper_that_was_told_to_stop(house: Any) -> None:
    keeper = start_keeper(house)
    house.phase = Phase.STOPPING
    gpu_pools.on_keeper_gone(house, keeper)
    assert house.killed == []


def test_several_gpus_are_refused_by_name() -> None:
    with pytest.raises(StartupError, match="--pools 2 on GPUs"):
        gpu_pools.seat_keepers(StandInHouse(2))  # type: ignore[arg-type]  # as much of a house as is looked at
