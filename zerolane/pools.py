"""Which pools there are: KV memories of their own, each with the workers that use it. Only their numbers are here."""


class Pools:
    """A pool is drained before it is removed; from then on nothing new comes to it."""

    def __init__(self, num_pools: int) -> None:
        self.numbers = list(range(num_pools))  # all that have memory
        self.draining: set[int] = set()
        self.drained: set[int] = set()  # of those: no page is used any more

    @property
    def serving(self) -> list[int]:
        return [pool for pool in self.numbers if pool not in self.draining]

    def of_worker(self, worker_id: int) -> int:
        """The pool of a worker nobody has placed: they take turns."""
        return self.serving[worker_id % len(self.serving)]

    def add(self, pool: int) -> None:
        self.numbers = sorted({*self.numbers, pool})

    def remove(self, pool: int) -> None:
        self.numbers.remove(pool)
        self.draining.discard(pool)
        self.drained.discard(pool)
