"""Pools that come and go while the server runs.

    add      memory is made -> every worker maps it (PoolReady) -> the scheduler may use it (AddPool)
    remove   `drain` (DrainPool) -> wait until it is in `house.pools.drained` (PoolDrained) -> `remove`: its workers
             move to other pools, every worker unmaps it (PoolGone), the memory is given up

A worker maps all pools, so moving one to another pool is a new link with another name in it: the process stays.
"""

import logging

from ipc.control_messages import AddPool, DrainPool, DrainWorker, PoolGone, PoolReady
from ipc.errors import StartupError
from zerolane.children import Role
from zerolane.house import House
from zerolane.seats import Seat, SeatState

DRAIN_S = 60.0  # the longest a worker may need for the steps it has; then it is killed

log = logging.getLogger("zerolane.supervisor.pool_changes")


def add_pool(house: House, pool: int) -> None:
    """A new pool, empty and without workers. Raises StartupError when memory does not suffice, ValueError if it is
    there already."""
    if pool in house.pools.numbers:
        raise ValueError(f"pool {pool} is there already")
    if house.gpu_pools:
        raise StartupError("Pools of GPUs are made at the start only.", "Restart the server with other --pools.")
    house.memory.make_pool(pool, house.cards)
    house.pools.add(pool)
    for worker in house.seats.of(Role.WORKER):
        if worker.child is not None:
            worker.child.send(PoolReady(pool), house.memory.kv_descriptors(pool, house.cards))
    if house.scheduler_in_service is not None:
        house.scheduler_in_service.send(AddPool(pool))
    log.info("a pool was added", extra={"fields": {"pool": pool}})


def drain_pool(house: House, pool: int) -> None:
    """Its requests move to other pools; `house.pools.drained` holds it when none is left. Raises ValueError for the
    last pool, and for one that is not there."""
    if house.pools.serving == [pool] or pool not in house.pools.numbers:
        raise ValueError(f"pool {pool} cannot be drained: the pools that serve are {house.pools.serving}")
    house.pools.draining.add(pool)
    if house.scheduler_in_service is not None:
        house.scheduler_in_service.send(DrainPool(pool))
    else:
        house.pools.drained.add(pool)  # the next scheduler will not hear of it


def remove_pool(house: House, pool: int) -> None:
    """Give up a drained pool's memory; its workers serve other pools. Raises ValueError if it is not drained."""
    if pool not in house.pools.drained:
        raise ValueError(f"pool {pool} is not drained")
    house.pools.remove(pool)
    for worker in house.seats.of(Role.WORKER):
        if worker.pool == pool:
            move_worker(house, worker, house.pools.of_worker(worker.id))
        if worker.child is not None:
            worker.child.send(PoolGone(pool))
    house.memory.close_pool(pool)
    log.info("a pool was removed", extra={"fields": {"pool": pool}})


def move_worker(house: House, worker: Seat, pool: int) -> None:
    """Its next steps use another pool: at once if the scheduler does not know it yet, else when its steps are done."""
    worker.pool = pool
    if worker.state is SeatState.READY and not worker.is_spare and house.scheduler_in_service is not None:
        worker.state, worker.is_moving = SeatState.DRAINING, True
        worker.set_timer(house.loop.call_later(DRAIN_S, lambda: house.kill(worker, "did not finish its steps")))
        house.scheduler_in_service.send(DrainWorker(worker.id))
