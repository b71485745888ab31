"""Equal prefixes meet in one page; nothing else does."""

import numpy as np

from scheduler.prefix_cache import NodeId, PrefixCache


def register(cache: PrefixCache, tokens: list[int], salt: str = "") -> list[int]:
    node: NodeId = salt
    pages = []
    array = np.array(tokens, np.int32)
    for index in range(len(tokens) // cache.block_size):
        page = cache.pool.allocate()
        assert page is not None
        node = cache.register(page, cache.key(node, array, index))
        pages.append(page)
    return pages


def match(cache: PrefixCache, tokens: list[int], salt: str = "") -> list[int]:
    return cache.match(np.array(tokens, np.int32), salt).pages


def test_longest_prefix_leaves_one_token_to_compute() -> None:
    cache = PrefixCache(8, 4, enabled=True)
    pages = register(cache, list(range(12)))
    assert match(cache, list(range(12))) == pages[:2]
    assert match(cache, list(range(13))) == pages
    assert match(cache, [0, 1, 2, 3, 9, 9, 9, 9, 9]) == pages[:1]


def test_equal_pages_after_different_beginnings_are_different() -> None:
    cache = PrefixCache(8, 2, enabled=True)
    first = register(cache, [1, 1, 7, 7])
    second = register(cache, [2, 2, 7, 7])
    assert match(cache, [1, 1, 7, 7, 0]) == first
    assert match(cache, [2, 2, 7, 7, 0]) == second


def test_salt_separates() -> None:
    cache = PrefixCache(8, 2, enabled=True)
    register(cache, [1, 2], "a")
    assert match(cache, [1, 2, 3], "b") == []


def test_second_page_of_the_same_prefix_is_not_shared() -> None:
    cache = PrefixCache(8, 2, enabled=True)
    first, second = register(cache, [1, 2]), register(cache, [1, 2])
    assert match(cache, [1, 2, 3]) == first
    cache.pool.free(second)
    assert match(cache, [1, 2, 3]) == first


def test_eviction_forgets_the_prefix() -> None:
    cache = PrefixCache(2, 2, enabled=True)
    pages = register(cache, [1, 2, 3, 4])
    cache.pool.free(pages)
    assert cache.pool.allocate() == pages[1]
    assert match(cache, [1, 2, 3, 4, 5]) == pages[:1]
    assert cache.pool.allocate() == pages[0]
    assert match(cache, [1, 2, 3, 4, 5]) == []
    cache.check([[pages[1]], [pages[0]]])


def test_disabled_cache_matches_nothing() -> None:
    cache = PrefixCache(4, 2, enabled=False)
    register(cache, [1, 2])
    assert match(cache, [1, 2, 3]) == []
