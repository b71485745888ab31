"""The built-in fake model: numpy only, no torch, and output that identifies its input.

`fake:generate` keeps a running 64-bit hash of its stream in the KV pages: position p's page element is h[p] =
mix(h[p-1] ^ spread(token[p])). Each step reads h[start-1] back from the page, so one wrong, missing or swapped
token or page anywhere in a stream's history changes all that follows. The next token is a lower-case letter, or now
and then the end of sequence. `fake:score` scores the hash of a pair's tokens. `fake_continuation` and `fake_score`
are what tests compare with: plain Python that knows nothing of pages.
"""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ipc.errors import ProtocolError
from ipc.fake_card import FAKE_EOS
from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from ipc.step_layout import FROM_LAST_TOKEN, RowFlag, StepColumns, StepKind
from workers.copy_pages import page_copies
from workers.rows import check_generate_rows, token_rows

MASK = (1 << 64) - 1
SEED_HASH = 0x5EED_0F_0E_A7_2E_00_01  # h[-1]: the hash before a stream's first token
LETTER_A = 97

Hashes = npt.NDArray[np.uint64]  # [pages, block size]: one pool's running hashes


def mix(value: int) -> int:
    """splitmix64's finalizer: every input bit changes about half of the output bits."""
    value = (value + 0x9E37_79B9_7F4A_7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & MASK
    return value ^ (value >> 31)


def next_hash(history: int, token: int) -> int:
    """The running hash after `token`."""
    return mix(history ^ (((token + 1) * 0xD6E8_FEB8_6659_FD93) & MASK))


def next_token(history: int, seed: int = 0, position: int = 0, temperature: float = 0.0) -> int:
    """The token that follows: a letter, or EOS about once in 64. A temperature lets (seed, position) have its say."""
    if temperature > 0:
        history = mix(history ^ mix(seed ^ mix(position)))
    return FAKE_EOS if (history >> 20) % 64 == 0 else LETTER_A + (history >> 8) % 26


def fake_continuation(
    prompt: Sequence[int], num_tokens: int, seed: int = 0, temperature: float = 0.0, ignore_eos: bool = False
) -> list[int]:
    """What the fake model answers: at most `num_tokens` tokens, EOS included and last unless it is ignored."""
    history = SEED_HASH
    for token in prompt:
        history = next_hash(history, token)
    output: list[int] = []
    while len(output) < num_tokens:
        token = next_token(history, seed, len(prompt) + len(output), temperature)
        output.append(token)
        if token == FAKE_EOS and not ignore_eos:
            break
        history = next_hash(history, token)
    return output


def fake_score(token_ids: Sequence[int]) -> float:
    """What the fake reranker answers for one packed pair: a number in [-8, 8) exactly representable in float32."""
    history = SEED_HASH
    for token in token_ids:
        history = next_hash(history, token)
    return float((history >> 40) % 65536) / 4096.0 - 8.0


class FakeModel:
    """Runs steps of one fake model, which takes `step_s` seconds for each."""

    batch_heights: tuple[int, ...] = ()

    def __init__(self, card: ModelCard, max_num_seqs: int, step_s: float = 0.0) -> None:
        self._card = card
        self._step_s = step_s
        self._last_token = np.zeros(max_num_seqs, np.int32)
        self._pools: dict[int, Hashes] = {}

    def use_pool(self, pool: int, kv: memoryview) -> None:
        """See `ServedModel.use_pool`. A score model has no KV pages."""
        regions, _ = kv_regions(self._card)
        shape = regions[0].key_shape
        count = shape[0] * shape[2]
        self._pools[pool] = np.frombuffer(kv, np.uint64, count, regions[0].key_offset).reshape(shape[0], shape[2])

    def drop_pool(self, pool: int) -> None:
        """See `ServedModel.drop_pool`."""
        self._pools.pop(pool, None)

    def warm_up(self, batch_heights: tuple[int, ...] = ()) -> None:
        """Nothing to warm."""

    def run(self, columns: StepColumns) -> None:
        """Compute one step; the result columns hold it afterwards. Raises ProtocolError for a plan that cannot be."""
        if self._step_s > 0:
            time.sleep(self._step_s)  # stands for the time a real model computes
        match columns.header.shape.kind:
            case StepKind.SCORE:
                self._score(columns)
            case StepKind.COPY:
                self._copy_pages(columns)
            case StepKind.GENERATE:
                self._generate(columns)

    def _score(self, columns: StepColumns) -> None:
        ends = np.cumsum(columns.num_new)
        if int(columns.num_new.sum()) != len(columns.token_ids):
            raise ProtocolError("rows and tokens of a score step do not agree")
        for row, end in enumerate(ends):
            columns.scores[row, :] = fake_score(columns.token_ids[end - columns.num_new[row] : end].tolist())
        columns.row_status[:] = 0

    def _copy_pages(self, columns: StepColumns) -> None:
        copies = page_copies(columns, self._card.num_pages)
        source, target = self._pages_of(columns.header.source_pool), self._pages_of(columns.header.pool)
        target[copies.target] = source[copies.source]
        columns.row_status[:] = 0

    def _generate(self, columns: StepColumns) -> None:
        check_generate_rows(columns, self._card)
        pages = self._pages_of(columns.header.pool)
        tokens = self._resolved_tokens(columns).tolist()
        first = 0
        for row, count in enumerate(columns.num_new.tolist()):
            table, start = columns.block_tables[row], int(columns.start[row])
            history = self._extend(pages, table, start, tokens[first : first + count])
            self._finish_row(columns, row, history)
            first += count
        columns.row_status[:] = 0

    def _resolved_tokens(self, columns: StepColumns) -> npt.NDArray[np.int32]:
        latest = self._last_token[columns.slot[token_rows(columns.num_new)]]
        return np.where(columns.token_ids == FROM_LAST_TOKEN, latest, columns.token_ids)

    def _pages_of(self, pool: int) -> Hashes:
        if pool not in self._pools:
            raise ProtocolError(f"there is no pool {pool} on this worker")
        return self._pools[pool]

    def _extend(self, pages: Hashes, table: npt.NDArray[np.int32], start: int, tokens: list[int]) -> int:
        """Write the hashes of positions start, start + 1, ... to their pages; returns the last one."""
        size = self._card.block_size
        history = SEED_HASH
        if start > 0:
            history = int(pages[table[(start - 1) // size], (start - 1) % size])
        for position, token in enumerate(tokens, start):
            history = next_hash(history, token)
            pages[table[position // size], position % size] = history
        return history

    def _finish_row(self, columns: StepColumns, row: int, history: int) -> None:
        if not columns.flags[row] & RowFlag.SAMPLE:
            columns.sampled[row] = -1
            return
        position = int(columns.start[row] + columns.num_new[row])
        token = next_token(history, int(columns.seed[row]), position, float(columns.temperature[row]))
        columns.sampled[row] = token
        self._last_token[columns.slot[row]] = token
