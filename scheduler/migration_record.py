"""One stream on its way from one pool to another: what is reserved, what is copied."""

from dataclasses import dataclass, field

from scheduler.prefix_cache import PrefixMatch


@dataclass(eq=False, slots=True)
class Migration:
    """Belongs to a running slot, whose own table stays the truth until the move is committed.

    `pages` are held in the target pool, one for each block of the slot's table from its first on; the first
    `num_copied` of them hold what the stream's own pages hold. Those copied can be copied again: the stream's own full
    pages never change. So whatever dies, the stream loses nothing.
    """

    target: int
    known: PrefixMatch  # the pages the target's prefix cache had already, as they were at the start
    pages: list[int]
    num_copied: int
    copying: list[int] = field(default_factory=list)  # block indexes in flight
    num_failures: int = 0  # COPY steps that raised
