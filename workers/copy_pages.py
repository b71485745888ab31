"""COPY steps: KV pages that move from one pool to another, with every layer's keys and values.

Only the check and the page numbers are here, without torch; `decoder.py` and `fake_model.py` hold the pages.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.errors import ProtocolError
from ipc.step_layout import StepColumns


class PageCopies(NamedTuple):
    """Row i: page source[i] of header.source_pool is copied to page target[i] of header.pool. int64 [rows]."""

    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]


def page_copies(columns: StepColumns, num_pages: int) -> PageCopies:
    """The rows of a COPY step. Raises ProtocolError if one names a page outside a pool of `num_pages`."""
    for pages in (columns.source_page, columns.target_page):
        if len(pages) == 0 or pages.min() < 0 or pages.max() >= num_pages:
            raise ProtocolError(f"a copy needs rows, and pages within the pool of {num_pages}")
    return PageCopies(columns.source_page.astype(np.int64), columns.target_page.astype(np.int64))
