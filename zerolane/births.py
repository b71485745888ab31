"""How a worker's seat gets its process: asked of the fork server, told what it is as soon as it is there.

A seat that needs a process is WAITING until the fork server can make one; that may be seconds away when the fork
server itself is being replaced.
"""

import logging

from ipc.control_messages import Forked, StartWorker
from ipc.errors import ProtocolError
from zerolane import gpu_pools
from zerolane.child_configs import worker_config
from zerolane.children import Child, Role
from zerolane.cores import threads_per_worker
from zerolane.house import House
from zerolane.seats import Seat, SeatState

FORK_S = 30.0  # making a process takes milliseconds; a fork server that has not by then is hanging

log = logging.getLogger("zerolane.supervisor.births")


def ask_for_workers(house: House) -> None:
    """Ask the fork server for every process that is wanted, if it can make any."""
    fork_server = house.seats.fork_server
    for seat in house.seats.of(Role.WORKER):
        if seat.state is not SeatState.WAITING or house.forks.is_asked_for(seat):
            continue
        if fork_server.state is SeatState.FAILED:
            house.not_born(seat, "the fork server could not be kept running")
        elif fork_server.state is SeatState.READY and fork_server.child is not None and gpu_pools.are_ready(house):
            _ask(house, fork_server, fork_server.child, seat)


def on_forked(house: House, record: Forked) -> None:
    """A worker is there, or could not be made. One that nobody wants any more leaves when its link is closed."""
    link = house.forks.take(record.worker_id, record.epoch)
    if link is None:
        return
    seat = next((seat for seat in house.seats.of(Role.WORKER) if seat.id == record.worker_id), None)
    if seat is None or seat.epoch != record.epoch or seat.state is not SeatState.WAITING:
        link.close()
        return
    if record.pid == 0:
        link.close()
        house.not_born(seat, record.error)
        return
    try:
        child = Child(record.pid, link)
    except OSError as error:
        house.not_born(seat, str(error))
        return
    house.seat_child(seat, child)
    if gpu_pools.are_ready(house):
        _introduce(house, seat, child)
    else:
        house.kill(seat, "was born while its memory was lost")


def _ask(house: House, fork_server: Seat, process: Child, seat: Seat) -> None:
    try:
        is_due = house.forks.ask(process, seat)
    except (OSError, ProtocolError) as error:  # no descriptor left
        house.not_born(seat, str(error))
        return

    def look() -> None:
        if is_due() and fork_server.child is process:
            house.kill(fork_server, f"did not make a worker within {FORK_S:g} s")

    house.loop.call_later(FORK_S, look)


def _introduce(house: House, seat: Seat, child: Child) -> None:
    """Who it is, and every pool it must map before it is ready."""
    num_workers = len(house.seats.workers) or 1  # spares compute only when another does not
    seat.num_threads = threads_per_worker(house.config.threads, num_workers)
    known = house.batch_heights.get(seat.num_threads, {})
    config = worker_config(house.config, seat, known)
    child.send(StartWorker(config), [house.memory.arena.fd, house.metrics.segment.fd])
    pools = house.pools.numbers
    for pool in pools:
        fds = house.memory.kv_descriptors(pool, house.cards)
        child.send(gpu_pools.pool_ready(house, seat, pool, more=pool != pools[-1]), fds)
    seat.knows_models = True
