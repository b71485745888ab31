"""The fake model's arithmetic for many rows at once; `fake_model.py` has it for one, in plain Python, and says what it
is. A step of hundreds of streams then takes the fake model less time than it takes the engine.
"""

import numpy as np
import numpy.typing as npt

from ipc.fake_card import FAKE_EOS
from ipc.step_layout import RowFlag, StepColumns

LETTER_A = 97
Words = npt.NDArray[np.uint64]


def is_plain_decode(columns: StepColumns) -> bool:
    """Every row draws one token after one token, and nothing else is asked."""
    shape = columns.header.shape
    return (
        shape.num_tokens == shape.num_rows
        and not (shape.num_top or shape.num_history or shape.has_prompt_logprobs)
        and bool((columns.flags == _SAMPLE).all())
        and not (columns.num_logprobs >= 0).any()
        and not columns.rules_id.any()
    )


def mixes(values: Words) -> Words:
    """`fake_model.mix` of each."""
    values = values + _U(0x9E37_79B9_7F4A_7C15)
    values = (values ^ (values >> _U(30))) * _U(0xBF58_476D_1CE4_E5B9)
    values = (values ^ (values >> _U(27))) * _U(0x94D0_49BB_1331_11EB)
    return values ^ (values >> _U(31))


def next_hashes(history: Words, tokens: npt.NDArray[np.int32]) -> Words:
    """`fake_model.next_hash` of each."""
    return mixes(history ^ ((tokens + 1).astype(np.uint64) * _U(0xD6E8_FEB8_6659_FD93)))


def next_tokens(
    history: Words,
    seeds: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int32],
    temperatures: npt.NDArray[np.float32],
) -> npt.NDArray[np.int32]:
    """`fake_model.next_token` of each."""
    drawn = mixes(history ^ mixes(seeds.astype(np.uint64) ^ mixes(positions.astype(np.uint64))))
    history = np.where(temperatures > 0, drawn, history)
    letters = LETTER_A + (history >> _U(8)) % _U(26)
    is_eos = (history >> _U(20)) % _U(64) == 0
    return np.where(is_eos, FAKE_EOS, letters).astype(np.int32)


_U = np.uint64
_SAMPLE = int(RowFlag.SAMPLE)
