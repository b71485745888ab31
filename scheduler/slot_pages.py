"""Which KV pages each running slot has, in which pool, and which of them the pool's prefix cache knows.

A slot's pages all lie in one pool. Its block table covers positions from 0; only its tail is still written: full
pages of committed tokens are registered, so that other streams of that pool can share them.
"""

import numpy as np

from ipc.model_card import ModelCard
from scheduler.prefix_cache import NodeId, PrefixCache, PrefixMatch
from scheduler.stream import Int32Array, PrefixKey, Stream

NO_POOL = -1


class SlotPages:
    """Block tables of all slots of one model, and the pools they draw from. Owned by the model's ledger."""

    def __init__(self, card: ModelCard, max_num_seqs: int, enable_prefix_caching: bool) -> None:
        """`card.num_pages` is the size of each pool. There is none before `add_pool`."""
        self.block_size = card.block_size
        self.caches: dict[int, PrefixCache] = {}  # by pool
        self._num_pages = card.num_pages
        self._caching = enable_prefix_caching
        width = -(-card.max_model_len // card.block_size)
        self.tables = np.zeros((max_num_seqs, width), np.int32)
        self.num_blocks = np.zeros(max_num_seqs, np.int32)
        self.pool = np.full(max_num_seqs, NO_POOL, np.int32)
        self._node: list[NodeId] = [""] * max_num_seqs  # trie node of the last registered page
        self._num_registered = np.zeros(max_num_seqs, np.int32)  # pages
        self._computing: dict[tuple[int, PrefixKey], int] = {}  # the next page each slot will register -> slot
        self._computing_of: list[tuple[int, PrefixKey] | None] = [None] * max_num_seqs

    def add_pool(self, pool: int) -> None:
        """All its pages are blank. A pool that is known already stays as it is."""
        if pool not in self.caches:
            self.caches[pool] = PrefixCache(self._num_pages, self.block_size, self._caching)

    def remove_pool(self, pool: int) -> None:
        """Forget it and every prefix in it. Raises RuntimeError while a page of it is used."""
        if self.num_used(pool):
            raise RuntimeError(f"pool {pool} is removed while {self.num_used(pool)} of its pages are used")
        self.caches.pop(pool, None)

    def num_used(self, pool: int) -> int:
        return self.caches[pool].pool.num_used if pool in self.caches else 0

    # --- prefixes ----------------------------------------------------------------------------------------------------

    def match(self, pool: int, tokens: Int32Array, salt: str) -> PrefixMatch:
        """The longest beginning of `tokens` the pool holds."""
        return self.caches[pool].match(tokens, salt)

    def num_known(self, tokens: Int32Array, salt: str) -> int:
        """Tokens of the longest beginning that any pool holds."""
        pages = max((len(cache.match(tokens, salt).pages) for cache in self.caches.values()), default=0)
        return pages * self.block_size

    def is_prefix_being_computed(self, stream: Stream, pool: int) -> bool:
        """A running stream of the pool computes this one's next page right now: wait rather than compute it twice."""
        known = stream.waits_for
        if known is not None and known[0] == pool and known in self._computing:
            return True
        match = self.match(pool, stream.tokens, stream.cache_salt)
        if len(match.pages) >= (len(stream.tokens) - 1) // self.block_size:
            return False
        stream.waits_for = (pool, self.caches[pool].key(match.node, stream.tokens, len(match.pages)))
        return stream.waits_for in self._computing

    def register(self, slot: int, tokens: Int32Array, num_full: int, num_prompt: int) -> None:
        """Make the slot's first `num_full` pages, which hold these tokens' KV, known to its pool's prefix cache."""
        cache = self.caches[int(self.pool[slot])]
        if not cache.enabled or num_full <= self._num_registered[slot]:
            return
        for index in range(int(self._num_registered[slot]), num_full):
            key = cache.key(self._node[slot], tokens, index)
            self._node[slot] = cache.register(int(self.tables[slot, index]), key)
        self._num_registered[slot] = num_full
        self.expect_next(slot, tokens, num_prompt)

    def expect_next(self, slot: int, tokens: Int32Array, num_prompt: int) -> None:
        """Note which page of its prompt the slot will register next."""
        self._forget_expected(slot)
        index, pool = int(self._num_registered[slot]), int(self.pool[slot])
        if self.caches[pool].enabled and (index + 1) * self.block_size <= num_prompt:
            expected = (pool, self.caches[pool].key(self._node[slot], tokens, index))
            if expected not in self._computing:
                self._computing[expected] = slot
                self._computing_of[slot] = expected

    def _forget_expected(self, slot: int) -> None:
        expected = self._computing_of[slot]
        if expected is not None:
            del self._computing[expected]
            self._computing_of[slot] = None

    # --- pages -------------------------------------------------------------------------------------------------------

    def has_room(self, pool: int, match: PrefixMatch, num_positions: int) -> bool:
        """Pages for `num_positions`, of which `match` is shared, can be had, and each stream there may still grow."""
        blocks = self.caches[pool].pool
        headroom = int((self.pool == pool).sum())
        cached_free = sum(blocks.ref_counts[page] == 0 for page in match.pages)
        return self._num_pages_for(num_positions) - len(match.pages) + cached_free + headroom <= blocks.num_free

    def begin(self, slot: int, pool: int, match: PrefixMatch) -> None:
        """A slot starts, or continues, in `pool` with these shared pages."""
        for page in match.pages:
            self.caches[pool].pool.share(page)
        self.adopt(slot, pool, match, match.pages)

    def adopt(self, slot: int, pool: int, known: PrefixMatch, pages: list[int]) -> None:
        """These pages, already held for the slot, are its table now; `known` are those of them that are registered."""
        self._forget_expected(slot)
        self.pool[slot] = pool
        self.tables[slot, : len(pages)] = pages
        self.num_blocks[slot] = len(pages)
        self._num_registered[slot] = len(known.pages)
        self._node[slot] = known.node

    def cover(self, slot: int, num_positions: int) -> bool:
        """Allocate pages so that the table covers `num_positions`. False when pages ran out; what it got it keeps."""
        blocks = self.caches[int(self.pool[slot])].pool
        while self.num_blocks[slot] < self._num_pages_for(num_positions):
            page = blocks.allocate()
            if page is None:
                return False
            self.tables[slot, self.num_blocks[slot]] = page
            self.num_blocks[slot] += 1
        return True

    def give_back(self, slot: int) -> None:
        """The slot has no pages any more."""
        self._forget_expected(slot)
        self.free(int(self.pool[slot]), self.pages(slot))
        self.num_blocks[slot] = self._num_registered[slot] = 0
        self.pool[slot] = NO_POOL

    def free(self, pool: int, pages: list[int]) -> None:
        """Give up one use of each page; in the order of a sequence, so that its end is evicted first."""
        self.caches[pool].pool.free(pages)

    def pages(self, slot: int) -> list[int]:
        """The slot's block table."""
        pages: list[int] = self.tables[slot, : self.num_blocks[slot]].tolist()
        return pages

    def _num_pages_for(self, num_positions: int) -> int:
        return -(-num_positions // self.block_size)
