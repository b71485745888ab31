"""The records our kernels are called with (`workers/lean/jobs.py` says how they are kept)."""

import numpy as np

_ADDRESS, _COUNT, _REAL = np.uintp, np.int64, np.float64

SUM_NORM = np.dtype(
    [
        ("next", _COUNT),  # the counter threads take rows from; 0 before a call
        ("rows", _COUNT),
        ("width", _COUNT),
        ("states", _ADDRESS),  # float32 [rows, width], changed in place: the norm of states + delta
        ("delta", _ADDRESS),  # [rows, width] of the computing type; 0: nothing is added
        ("weight", _ADDRESS),  # float32 [width]
        ("bias", _ADDRESS),  # float32 [width]
        ("eps", _REAL),
        ("rounded", _ADDRESS),  # bfloat16 [rows, width], the same states; 0: not wanted
    ],
    align=True,
)
ATTEND = np.dtype(
    [
        ("next", _COUNT),  # the counter threads take (sequence, head) from; 0 before a call
        ("sequences", _COUNT),
        ("heads", _COUNT),
        ("head_dim", _COUNT),
        ("scaling", _REAL),
        ("starts", _ADDRESS),  # int64 [sequences + 1] offsets of their tokens
        ("qkv", _ADDRESS),  # bfloat16 [tokens, 3 * heads * head_dim]: queries, keys, values
        ("output", _ADDRESS),  # bfloat16 [tokens, heads * head_dim]
        ("scratch", _ADDRESS),  # `scratch_bytes` for each (sequence, head) in work, by `next_scratch`
        ("scratch_bytes", _COUNT),
        ("next_scratch", _COUNT),  # 0 before a call
    ],
    align=True,
)
