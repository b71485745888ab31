"""`zerolane scale`: workers, spares and pools are added and removed while the server runs.

A new worker maps memory that is there; a spare that waits is put to work first, and replaced. An old one drains. A new
pool is memory taken now; an old one's requests move to the others before its memory is given up.
"""

import logging
from collections.abc import Callable
from functools import partial

from ipc.errors import StartupError
from ipc.kv_layout import kv_regions
from ipc.operator_protocol import AskScale, Scaled
from zerolane import pool_changes
from zerolane.house import House
from zerolane.memory_layout import check_memory
from zerolane.operator_job import CannotGoOn, Plan, PlannedJob, Say, Wait, Waits
from zerolane.seats import Seat, SeatState
from zerolane.workforce import (
    TAKE_AWAY_S,
    add_worker,
    check_none_failed,
    failed,
    put_to_work,
    ready,
    start_again,
    stays,
    take_away,
)

POOL_DRAIN_S = 120.0  # requests of a pool are moved within; a long prompt's pages are copied while it decodes

log = logging.getLogger("zerolane.supervisor.scaling")


class ScaleJob(PlannedJob):
    """One scale command. Workers that were given up are tried again, also when their number stays."""

    def __init__(self, house: House, request: AskScale, say: Say) -> None:
        super().__init__(house, say)
        self._request = request
        self._num_started = self._num_stopped = 0

    def plan(self) -> Plan:
        house, request = self._house, self._request
        num_workers = request.workers or sum(map(stays, house.seats.workers))
        num_spares = sum(map(stays, house.seats.spares)) if request.spares is None else request.spares
        num_pools = request.pools or len(house.pools.serving)
        self._check(num_workers, num_pools)
        fields = {"workers": num_workers, "spares": num_spares, "pools": num_pools}
        log.info("scaling", extra={"fields": fields})
        yield from self._remove_pools(num_pools)
        self._add_pools(num_pools)
        self._set_workers(num_workers)
        self._set_spares(num_spares)
        if request.pools is not None:
            self._spread_workers()
        yield from self._wait_for(num_workers, num_spares)
        serve, wait, pools = len(ready(house.seats.workers)), len(ready(house.seats.spares)), len(house.pools.serving)
        return Scaled(serve, self._num_started, self._num_stopped, self.seconds, wait, pools)

    def _check(self, num_workers: int, num_pools: int) -> None:
        """Raises CannotGoOn before anything is changed."""
        house = self._house
        if num_pools > num_workers:
            advice = f"Give at least --workers {num_pools}, or fewer --pools."
            raise CannotGoOn(f"{num_pools} pools need as many workers, and there would be {num_workers}.", advice)
        has_phases = any(seat.phases != "both" for seat in house.seats.workers)
        if has_phases and (self._request.workers or self._request.pools):
            message = "Prefill and decode have workers of their own here, whose numbers are fixed at the start."
            raise CannotGoOn(message, "Only --spares can be changed.")
        missing = num_pools - len(house.pools.numbers)
        if missing > 0 and house.gpu_pools:
            raise CannotGoOn("Pools on GPUs cannot be added while the server runs.", "Only --workers and --spares.")
        if missing > 0:
            wanted = missing * sum(kv_regions(card)[1] for card in house.cards if card.kv_layers)
            _refuse(partial(check_memory, wanted, "The new pools take", "End other programs, or add fewer --pools."))

    def _remove_pools(self, num_pools: int) -> Waits:
        """The highest ones. Their workers go on in the others."""
        house = self._house
        for pool in house.pools.serving[num_pools:]:
            pool_changes.drain_pool(house, pool)
        for pool in sorted(house.pools.draining):
            if not (yield self._until_empty(pool)):
                raise CannotGoOn(
                    f"Pool {pool} was not empty after {POOL_DRAIN_S:g} s.",
                    "Its requests may not fit into the others: give the command again when less is open.",
                )
            pool_changes.remove_pool(house, pool)

    def _until_empty(self, pool: int) -> Wait:
        pools = self._house.pools
        return Wait(lambda: f"pool {pool} is being emptied", lambda: pool in pools.drained, POOL_DRAIN_S)

    def _add_pools(self, num_pools: int) -> None:
        for pool in range(num_pools):
            if pool not in self._house.pools.numbers:
                _refuse(partial(pool_changes.add_pool, self._house, pool))

    def _set_workers(self, wanted: int) -> None:
        """Ready spares first. Of those that are too many, the highest ids of the fullest pools leave."""
        house = self._house
        self._try_again(house.seats.workers)
        for _ in range(wanted - len(self._staying())):
            pool = min(house.pools.serving, key=lambda pool: len(self._of_pool(pool)))
            if spares := ready(house.seats.spares):
                put_to_work(house, spares[0], pool)
            else:
                self._num_started += 1
                add_worker(house, pool)
        for _ in range(len(self._staying()) - wanted):
            fullest = max(house.pools.serving, key=lambda pool: (len(self._of_pool(pool)), pool))
            self._num_stopped += 1
            take_away(house, self._of_pool(fullest)[-1])

    def _set_spares(self, wanted: int) -> None:
        house = self._house
        self._try_again(house.seats.spares)
        staying = [seat for seat in house.seats.spares if stays(seat)]
        for _ in range(wanted - len(staying)):
            self._num_started += 1
            add_worker(house, None)
        for seat in staying[wanted:]:
            self._num_stopped += 1
            take_away(house, seat)

    def _try_again(self, seats: list[Seat]) -> None:
        """Seats that were given up get a new process."""
        for seat in seats:
            if seat.state is SeatState.FAILED:
                self._num_started += 1
                start_again(self._house, seat)

    def _spread_workers(self) -> None:
        """From pools with more workers than others to new ones."""
        house = self._house
        while True:
            by_size = sorted(house.pools.serving, key=lambda pool: len(self._of_pool(pool)))
            fewest, most = self._of_pool(by_size[0]), self._of_pool(by_size[-1])
            if len(most) - len(fewest) < 2:
                return
            pool_changes.move_worker(house, most[-1], by_size[0])

    def _wait_for(self, num_workers: int, num_spares: int) -> Waits:
        """Exactly so many serve and wait, and whoever is too many is gone."""
        house = self._house
        timeout_s = house.config.startup_timeout + TAKE_AWAY_S

        def progress() -> str:
            seats = house.seats.workers + house.seats.spares
            leaving = len(seats) - sum(map(stays, seats))
            text = f"{len(ready(house.seats.workers))} of {num_workers} workers serve"
            text += f", {len(ready(house.seats.spares))} of {num_spares} spares wait" if num_spares else ""
            return text + (f", {leaving} are leaving" if leaving else "")

        def is_over() -> bool:
            workers, spares = house.seats.workers, house.seats.spares
            is_reached = len(ready(workers)) == len(workers) == num_workers
            is_reached = is_reached and len(ready(spares)) == len(spares) == num_spares
            return is_reached or bool(failed(workers + spares))

        in_time = yield Wait(progress, is_over, timeout_s)
        check_none_failed(house.seats.workers + house.seats.spares)
        if not in_time:
            raise CannotGoOn(f"Not done in time: {progress()}.", "The server goes on trying; see 'zerolane status'.")

    def _staying(self) -> list[Seat]:
        return [seat for seat in self._house.seats.workers if stays(seat)]

    def _of_pool(self, pool: int) -> list[Seat]:
        return [seat for seat in self._staying() if seat.pool == pool]


def _refuse(change: Callable[[], None]) -> None:
    """Do it; that memory does not suffice is the operator's to hear, not the server's end."""
    try:
        change()
    except StartupError as error:
        raise CannotGoOn(str(error), error.advice) from error
