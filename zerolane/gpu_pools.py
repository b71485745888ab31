"""Pools that lie on GPUs: who keeps the memory, who may use it, and what follows when its keeper dies.

    keeper   WAITING -(nobody uses the pool)-> STARTING -(weights are loaded)-KeeperReady-> READY

A worker gets a lease with PoolReady and holds it until its process has truly ended. A keeper's death takes weights and
KV pages along: every worker ends, and so does the scheduler, whose pages are gone; a new keeper is filled from the
host's copy of the weights as soon as nobody has the old memory open, and frontends submit their streams again.
"""

import logging

from ipc.control_messages import PoolReady
from ipc.device_memory.interface import MemoryHandle
from ipc.device_memory.leases import Leases
from ipc.errors import StartupError
from zerolane.children import Role
from zerolane.house import House, Phase
from zerolane.seats import Seat, SeatState

log = logging.getLogger("zerolane.supervisor.gpu_pools")


def seat_keepers(house: House) -> None:
    """One for each pool, started by `start_keepers`. Raises StartupError for what cannot be served yet."""
    if house.config.pools > 1:
        raise StartupError(
            f"--pools {house.config.pools} on GPUs is not possible yet.",
            "Say --pools 1: one GPU, any number of workers.",
        )
    for pool in house.pools.numbers:
        seat = house.seats.add(Role.KEEPER, pool)
        seat.state = SeatState.WAITING
        house.gpu_pools[pool] = Leases()


def start_keepers(house: House) -> None:
    """Start every keeper that is wanted and whose pool nobody uses any more; what fails is tried again."""
    for seat in house.seats.of(Role.KEEPER):
        if seat.state is SeatState.WAITING and house.gpu_pools[seat.id].num_leases == 0:
            try:
                house.spawn(seat)
            except OSError as error:
                log.error(f"cannot start {seat.name}", extra={"fields": {"error": str(error)}})


def on_keeper_ready(house: House, seat: Seat, memory: MemoryHandle) -> None:
    """Workers can be made now."""
    house.gpu_pools[seat.id].begin(memory)
    seat.serves()
    log.info("GPU memory is ready", extra={"fields": {"pool": seat.id, "device": memory.device, "bytes": memory.size}})


def are_ready(house: House) -> bool:
    """Every GPU's pool can be leased; also when there is none."""
    return all(leases.handle is not None for leases in house.gpu_pools.values())


def pool_ready(house: House, worker: Seat, pool: int, more: bool) -> PoolReady:
    """What the worker is told of a pool, with a lease if it lies on a GPU. Raises StaleLease when it is lost."""
    leases = house.gpu_pools.get(pool)
    if leases is None:
        return PoolReady(pool, more)
    lease = leases.grant(worker.id, worker.epoch)
    return PoolReady(pool, more, leases.handle, lease)


def on_worker_gone(house: House, worker: Seat) -> None:
    """Its process has truly ended: it uses no memory any more."""
    for leases in house.gpu_pools.values():
        leases.sweep(worker.id, worker.epoch)


def on_keeper_gone(house: House, keeper: Seat) -> None:
    """The memory is lost: whoever computes on it, or plans with what lay there, must start anew."""
    house.gpu_pools[keeper.id].lose()
    if house.phase is Phase.STOPPING:
        return
    for seat in [*house.seats.of(Role.WORKER), house.seats.scheduler]:
        house.kill(seat, f"has lost its memory with {keeper.name}")
