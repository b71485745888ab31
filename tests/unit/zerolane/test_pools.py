"""Which pools serve, drain and are gone."""

from zerolane.pools import Pools


def test_workers_take_turns_over_the_pools_that_serve() -> None:
    pools = Pools(3)
    pools.draining.add(1)
    assert pools.serving == [0, 2]
    assert [pools.of_worker(i) for i in range(4)] == [0, 2, 0, 2]


def test_a_removed_pool_can_come_back() -> None:
    pools = Pools(2)
    pools.draining.add(0)
    pools.drained.add(0)
    pools.remove(0)
    assert (pools.numbers, pools.serving) == ([1], [1])
    pools.add(0)
    assert (pools.numbers, pools.serving, pools.drained) == ([0, 1], [0, 1], set())
