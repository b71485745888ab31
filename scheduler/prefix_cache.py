"""Which KV pages hold which prefixes: a trie of full pages.

A page's key is (its parent's number, the bytes of its tokens). Numbers are given once and never again, so equal keys
mean equal whole prefixes: the dictionary's own comparison is the check against the tokens, and no hash collision can
mix two prompts. The root's number is the tenant's salt, so tenants share nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from scheduler.block_pool import BlockPool
from scheduler.stream import Int32Array, PrefixKey

NodeId = int | str  # a page's number in the trie, or the salt of a root


class PrefixMatch(NamedTuple):
    """Pages that already hold a prompt's beginning (not yet shared), and the trie node they end at."""

    pages: list[int]
    node: NodeId


class PrefixCache:
    """Owns a model's BlockPool, because evicting a page and forgetting its key are one act."""

    def __init__(self, num_pages: int, block_size: int, enabled: bool) -> None:
        self.pool = BlockPool(num_pages, self._forget)
        self.block_size = block_size
        self.enabled = enabled
        self._page_of: dict[PrefixKey, int] = {}
        self._key_of: dict[int, PrefixKey] = {}
        self._node_of: dict[int, int] = {}
        self._next_node = 0

    def match(self, tokens: Int32Array, salt: str) -> PrefixMatch:
        """The longest known prefix of full pages, leaving at least the last token to be computed."""
        pages: list[int] = []
        node: NodeId = salt
        if self.enabled:
            for index in range((len(tokens) - 1) // self.block_size):
                page = self._page_of.get(self.key(node, tokens, index))
                if page is None:
                    break
                pages.append(page)
                node = self._node_of[page]
        return PrefixMatch(pages, node)

    def key(self, parent: NodeId, tokens: Int32Array, index: int) -> PrefixKey:
        """Key of the `index`-th page of a token sequence."""
        begin = index * self.block_size
        return PrefixKey(parent, tokens[begin : begin + self.block_size].tobytes())

    def register(self, page: int, key: PrefixKey) -> NodeId:
        """The page's KV is computed and never written again. Returns its trie node.

        When another page holds the same prefix already, that one stays the shared one and its node is returned.
        """
        known = self._page_of.get(key)
        if known is not None:
            return self._node_of[known]
        self._next_node += 1
        self._page_of[key] = page
        self._key_of[page] = key
        self._node_of[page] = self._next_node
        self.pool.mark_cached(page)
        return self._next_node

    def _forget(self, page: int) -> None:
        key = self._key_of.pop(page)
        del self._page_of[key]
        del self._node_of[page]

    def check(self, tables: Sequence[Sequence[int]]) -> None:
        """The pool agrees with the block tables of all running slots. Raises RuntimeError with what is wrong."""
        self.pool.check()
        counts = [0] * self.pool.num_pages
        for table in tables:
            for page in table:
                counts[page] += 1
        if counts != self.pool.ref_counts:
            wrong = [page for page, count in enumerate(counts) if count != self.pool.ref_counts[page]]
            raise RuntimeError(f"reference counts of KV pages {wrong[:8]} differ from the block tables")
        if len(self._page_of) != len(self._key_of) or len(self._key_of) != len(self._node_of):
            raise RuntimeError("the prefix cache's tables differ in size")
