"""The KV pages of one model: who uses them, which are free, which free ones still hold a known prefix.

Every page is in exactly one place:

    used (ref_count > 0) | cached and free: `_evictable`, oldest first | blank and free: `_blank`

A used page may be cached too (others can share it). Pages are given back tail first, so that the end of a sequence is
evicted before its beginning.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable


class BlockPool:
    """Reference counts and the free lists. Not thread-safe; owned by the scheduler's one loop."""

    def __init__(self, num_pages: int, on_evict: Callable[[int], None]) -> None:
        """`on_evict(page)` is called when a cached free page is about to hold something else."""
        self.num_pages = num_pages
        self.ref_counts = [0] * num_pages
        self._is_cached = [False] * num_pages
        self._blank = list(range(num_pages - 1, -1, -1))  # popped from the end: low numbers first
        self._evictable: OrderedDict[int, None] = OrderedDict()
        self._on_evict = on_evict

    @property
    def num_free(self) -> int:
        """Pages that can be allocated now, cached ones included."""
        return len(self._blank) + len(self._evictable)

    @property
    def num_cached_free(self) -> int:
        return len(self._evictable)

    @property
    def num_used(self) -> int:
        return self.num_pages - self.num_free

    def allocate(self) -> int | None:
        """A page with reference count 1 and unknown content, or None when all are used."""
        if self._blank:
            page = self._blank.pop()
        elif self._evictable:
            page, _ = self._evictable.popitem(last=False)
            self._is_cached[page] = False
            self._on_evict(page)
        else:
            return None
        self.ref_counts[page] = 1
        return page

    def share(self, page: int) -> None:
        """One more user of a cached page, used or free."""
        if self.ref_counts[page] == 0:
            del self._evictable[page]
        self.ref_counts[page] += 1

    def mark_cached(self, page: int) -> None:
        """The page's content is known to the prefix cache: once free it is kept as long as possible."""
        self._is_cached[page] = True

    def free(self, pages: Iterable[int]) -> None:
        """Give up one use of each page; pass a sequence's pages in order, they are taken tail first."""
        for page in reversed(list(pages)):
            self.ref_counts[page] -= 1
            if self.ref_counts[page] == 0:
                if self._is_cached[page]:
                    self._evictable[page] = None
                else:
                    self._blank.append(page)

    def check(self) -> None:
        """Every page is in exactly one place. Raises RuntimeError with what is wrong."""
        used = {page for page, count in enumerate(self.ref_counts) if count > 0}
        blank, evictable = set(self._blank), set(self._evictable)
        if len(self._blank) != len(blank) or blank & evictable or used & (blank | evictable):
            raise RuntimeError("a KV page is in two places")
        if len(used) + len(blank) + len(evictable) != self.num_pages:
            raise RuntimeError(f"{self.num_pages - len(used) - len(blank) - len(evictable)} KV pages are lost")
        if any(count < 0 for count in self.ref_counts):
            raise RuntimeError("a KV page was freed twice")
