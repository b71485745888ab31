"""Which pool each worker of the start belongs to, and which phases it computes. Pure rules."""

from typing import NamedTuple

from ipc.config import ServeConfig
from ipc.errors import StartupError
from zerolane.seats import Phases


class WorkerPlace(NamedTuple):
    pool: int
    phases: Phases


def worker_places(config: ServeConfig) -> list[WorkerPlace]:
    """One for each worker, by id.

    Workers for both phases take turns over the pools. With --prefill-workers and --decode-workers, those that prefill
    come first and share pool 0, and those that decode take turns over the others. Raises StartupError when only one
    of the two numbers is given.
    """
    num_prefill, num_decode = config.prefill_workers, config.decode_workers
    if num_prefill == num_decode == 0:
        return [WorkerPlace(i % config.pools, "both") for i in range(config.workers)]
    if num_prefill == 0 or num_decode == 0:
        raise StartupError(
            "Workers for one phase only would leave the other undone.",
            "Give both --prefill-workers and --decode-workers, or neither.",
        )
    decode_pools = range(1, config.pools) or [0]
    prefill = [WorkerPlace(0, "prefill")] * num_prefill
    return prefill + [WorkerPlace(decode_pools[i % len(decode_pools)], "decode") for i in range(num_decode)]
