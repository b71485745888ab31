"""Pages are in one place at a time, and cached ones are kept longest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.block_pool import BlockPool


@given(st.lists(st.tuples(st.sampled_from(["allocate", "share", "cache", "free"]), st.integers(0, 7)), max_size=200))
def test_pages_are_never_lost_or_doubled(actions: list[tuple[str, int]]) -> None:
    evicted: list[int] = []
    pool = BlockPool(8, evicted.append)
    held: list[int] = []
    for action, pick in actions:
        if action == "allocate":
            page = pool.allocate()
            assert (page is None) == (pool.num_free == 0 and len(set(held)) == 8)
            if page is not None:
                assert page not in held
                held.append(page)
        elif held:
            page = held[pick % len(held)]
            if action == "share":
                pool.share(page)
                held.append(page)
            elif action == "cache":
                pool.mark_cached(page)
            else:
                held.remove(page)
                pool.free([page])
        pool.check()
        assert pool.num_used == len(set(held))


def test_blank_pages_go_before_cached_ones_and_ends_before_beginnings() -> None:
    evicted: list[int] = []
    pool = BlockPool(4, evicted.append)
    sequence = [page for _ in range(3) if (page := pool.allocate()) is not None]
    for page in sequence:
        pool.mark_cached(page)
    pool.free(sequence)
    assert [pool.allocate() for _ in range(4)] == [3, *reversed(sequence)]
    assert evicted == list(reversed(sequence))
    assert pool.allocate() is None


def test_check_finds_a_page_freed_twice() -> None:
    pool = BlockPool(2, lambda page: None)
    page = pool.allocate()
    assert page is not None
    pool.free([page])
    pool.free([page])
    with pytest.raises(RuntimeError):
        pool.check()
