"""Who has had how much of one model: a virtual token counter for each tenant (VTC: Sheng et al., "Fairness in Serving
Large Language Models", OSDI 2024).

A tenant pays 1 for each prompt token that is computed for it (what comes from the prefix cache is free) and 2 for each
output token. Whoever has paid least goes first. Being idle saves up nothing, and nobody is more than MAX_LEAD behind
the one that has paid most: so neither old debts nor old credit keep anybody waiting for long. A name that was never
seen begins where the richest stands, or ever new names would always go first.
"""

import numpy as np
import numpy.typing as npt

OUTPUT_PRICE = 2.0
MAX_LEAD = 20_000.0  # tokens that one tenant may get ahead of another that comes back or asks for more
MAX_IDLE_TENANTS = 4096  # whose counters are remembered
_FIRST_SIZE = 64


class FairShares:
    """Counters of all tenants of one model. A tenant is known by its name, or by its index while it has work open."""

    def __init__(self) -> None:
        self.paid = np.zeros(_FIRST_SIZE, np.float64)  # [tenants] by index
        self._num_open = np.zeros(_FIRST_SIZE, np.int64)  # [tenants] streams
        self._index: dict[str, int] = {}
        self._idle: dict[str, None] = {}  # known and without work, longest idle first
        self._free = list(range(_FIRST_SIZE - 1, -1, -1))
        self._floor = 0.0  # what the last one to leave had paid

    @property
    def num_active(self) -> int:
        """Tenants with something open."""
        return len(self._index) - len(self._idle)

    def enter(self, tenant: str) -> int:
        """One more stream of the tenant is open; its index, valid until as many have left as entered."""
        active = self._num_open > 0
        least, most = self._floor, self._floor
        if active.any():
            least, most = float(self.paid[active].min()), float(self.paid[active].max())
        index = self._index.get(tenant)
        if index is None:
            index = self._index[tenant] = self._new_index()
            self.paid[index] = most
        elif not self._num_open[index]:
            del self._idle[tenant]
            self.paid[index] = min(max(self.paid[index], least), most + MAX_LEAD)
        self.paid[index] = max(self.paid[index], most - MAX_LEAD)
        self._num_open[index] += 1
        return index

    def leave(self, tenant: str) -> None:
        """The counterpart of an `enter`."""
        index = self._index[tenant]
        self._num_open[index] -= 1
        if not self._num_open[index]:
            self._idle[tenant] = None
            if not self._num_open.any():
                self._floor = float(self.paid[index])
            if len(self._idle) > MAX_IDLE_TENANTS:
                self._forget(next(iter(self._idle)))

    def index_of(self, tenant: str) -> int:
        """Of a tenant that has something open."""
        return self._index[tenant]

    def paid_by(self, tenant: str) -> float:
        return float(self.paid[self._index[tenant]])

    def charge(
        self, tenants: npt.NDArray[np.int32], num_new: npt.NDArray[np.int32], drew: npt.NDArray[np.bool_]
    ) -> None:
        """Rows of a step, by index: positions computed, and whether the row drew an output token with the last."""
        prices = num_new + drew * (OUTPUT_PRICE - 1)
        self.paid += np.bincount(tenants, weights=prices, minlength=len(self.paid))

    def _new_index(self) -> int:
        if not self._free:
            size = len(self.paid)
            self.paid = np.concatenate([self.paid, np.zeros(size)])
            self._num_open = np.concatenate([self._num_open, np.zeros(size, np.int64)])
            self._free = list(range(2 * size - 1, size - 1, -1))
        index = self._free.pop()
        self.paid[index] = 0.0
        return index

    def _forget(self, tenant: str) -> None:
        del self._idle[tenant]
        self._free.append(self._index.pop(tenant))
