"""The compiled kernel that copies some rows of many to where they lie one after the other."""

from typing import Any

import numba
import numpy as np

from workers.lean.compiled import kernel, pointer_to, take_ticket
from workers.lean.jobs import GATHER


@kernel
def gather_rows(job_at: Any) -> None:
    """A GATHER job."""
    record = numba.carray(job_at, 1, GATHER)
    job, ticket_at = record[0], record.ctypes.data
    indexes = numba.carray(pointer_to(job.indexes), (job.rows,), np.int64)
    while True:
        row = take_ticket(ticket_at)
        if row >= job.rows:
            break
        source_at, target_at = indexes[row] * job.row_bytes, row * job.row_bytes
        source = numba.carray(pointer_to(job.source + np.uintp(source_at)), (job.row_bytes,), np.uint8)
        target = numba.carray(pointer_to(job.target + np.uintp(target_at)), (job.row_bytes,), np.uint8)
        for i in range(job.row_bytes):
            target[i] = source[i]
