"""The built-in fake model: numpy only, no torch, and output that identifies its input.

`fake:generate` keeps a running 64-bit hash of its stream in the KV pages: position p's page element is h[p] =
mix(h[p-1] ^ spread(token[p])). Each step reads h[start-1] back from the page, so one wrong, missing or swapped
token or page anywhere in a stream's history changes all that follows. The next token is a lower-case letter, or now
and then the end of sequence. `fake:score` scores the hash of a pair's tokens; the vectors of `fake:embed` are drawn
from it. `fake_continuation`, `fake_score` and `fake_embedding` are what tests compare with: plain Python that knows
nothing of pages.
"""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ipc.errors import ProtocolError
from ipc.fake_card import FAKE_EOS
from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns, StepKind
from ipc.token_rules import NO_RULES, TokenRules
from workers.copy_pages import page_copies
from workers.fake_hashes import is_plain_decode, next_hashes, next_tokens
from workers.fake_logprobs import write_drawn, write_prompt
from workers.rows import check_generate_rows, resolved_tokens
from workers.rules_of_rows import ReadRules, RuledRow, RulesOfRows

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


def stream_hash(tokens: Sequence[int]) -> int:
    """The running hash after all of them."""
    history = SEED_HASH
    for token in tokens:
        history = next_hash(history, token)
    return history


def next_token(history: int, seed: int = 0, position: int = 0, temperature: float = 0.0) -> int:
    """The token that follows: a letter, or EOS about once in 64. A temperature lets (seed, position) have its say."""
    if temperature > 0:
        history = mix(history ^ mix(seed ^ mix(position)))
    return FAKE_EOS if (history >> 20) % 64 == 0 else LETTER_A + (history >> 8) % 26


def ruled_token(token: int, num_output: int, rules: TokenRules) -> int:
    """What becomes of a token by the rules that the fake model obeys, after `num_output` tokens of output."""
    allowed = np.frombuffer(rules.allowed_ids, np.int32)
    if len(allowed):
        token = int(allowed[token % len(allowed)])
    elif num_output < rules.min_tokens and token in np.frombuffer(rules.stop_ids, np.int32):
        token = LETTER_A + num_output % 26
    return token


def fake_continuation(
    prompt: Sequence[int],
    num_tokens: int,
    seed: int = 0,
    temperature: float = 0.0,
    ignore_eos: bool = False,
    rules: TokenRules = NO_RULES,
) -> list[int]:
    """What the fake model answers: at most `num_tokens` tokens, EOS included and last unless it is ignored."""
    history = stream_hash(prompt)
    output: list[int] = []
    while len(output) < num_tokens:
        token = next_token(history, seed, len(prompt) + len(output), temperature)
        token = ruled_token(token, len(output), rules)
        output.append(token)
        if token == FAKE_EOS and not ignore_eos:
            break
        history = next_hash(history, token)
    return output


def fake_score(token_ids: Sequence[int]) -> float:
    """What the fake reranker answers for one packed pair: a number in [-8, 8) exactly representable in float32."""
    history = stream_hash(token_ids)
    return float((history >> 40) % 65536) / 4096.0 - 8.0


def fake_embedding(token_ids: Sequence[int], width: int) -> list[float]:
    """What the fake embedder answers for one text: numbers in [-1, 1) exactly representable in float32."""
    history = SEED_HASH
    for token in token_ids:
        history = next_hash(history, token)
    return [float((mix(history ^ mix(column)) >> 40) % 65536) / 32768.0 - 1.0 for column in range(width)]


class FakeModel:
    """Runs steps of one fake model, which takes `step_s` seconds for each."""

    batch_heights: tuple[int, ...] = ()

    def __init__(self, card: ModelCard, max_num_seqs: int, step_s: float = 0.0) -> None:
        self._card = card
        self._step_s = step_s
        self._last_token = np.zeros(max_num_seqs, np.int32)
        self._pools: dict[int, Hashes] = {}
        self._rules: RulesOfRows | None = None

    def use_pool(self, pool: int, kv: memoryview) -> None:
        """See `ServedModel.use_pool`. A score model has no KV pages."""
        regions, _ = kv_regions(self._card)
        shape = regions[0].key_shape
        count = shape[0] * shape[2]
        self._pools[pool] = np.frombuffer(kv, np.uint64, count, regions[0].key_offset).reshape(shape[0], shape[2])

    def drop_pool(self, pool: int) -> None:
        """See `ServedModel.drop_pool`."""
        self._pools.pop(pool, None)

    def use_rules(self, read: ReadRules) -> None:
        """See `ServedModel.use_rules`. Without it rules are not obeyed."""
        self._rules = RulesOfRows(self._card.vocab_size)
        self._rules.use(read)

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
            tokens = columns.token_ids[end - columns.num_new[row] : end].tolist()
            is_text = self._card.task == "embed"
            columns.scores[row, :] = fake_embedding(tokens, self._card.num_labels) if is_text else fake_score(tokens)
        columns.row_status[:] = 0

    def _copy_pages(self, columns: StepColumns) -> None:
        copies = page_copies(columns, self._card.num_pages)
        source, target = self._pages_of(columns.header.source_pool), self._pages_of(columns.header.pool)
        target[copies.target] = source[copies.source]
        columns.row_status[:] = 0

    def _generate(self, columns: StepColumns) -> None:
        check_generate_rows(columns, self._card)
        pages = self._pages_of(columns.header.pool)
        if is_plain_decode(columns):
            self._decode(columns, pages)
            return
        tokens = resolved_tokens(columns, self._last_token)
        ruled = {row.row: row for row in self._rules.of(columns, tokens)} if self._rules is not None else {}
        first = 0
        for row, count in enumerate(columns.num_new.tolist()):
            table, start = columns.block_tables[row], int(columns.start[row])
            hashes = self._extend(pages, table, start, tokens[first : first + count].tolist())
            write_prompt(columns, row, first, ((history, next_token(history)) for history in hashes))
            self._finish_row(columns, row, hashes[-1], ruled.get(row))
            first += count
        columns.row_status[:] = 0

    def _decode(self, columns: StepColumns, pages: Hashes) -> None:
        """What the loop in `_generate` computes, for all rows at once: the engine's own cost is measured with it."""
        rows, size = np.arange(len(columns.start)), self._card.block_size
        start = columns.start
        before = np.maximum(start - 1, 0)
        history = pages[columns.block_tables[rows, before // size], before % size]
        history = np.where(start > 0, history, np.uint64(SEED_HASH))
        history = next_hashes(history, resolved_tokens(columns, self._last_token))
        pages[columns.block_tables[rows, start // size], start % size] = history
        tokens = next_tokens(history, columns.seed, start + 1, columns.temperature)
        columns.sampled[:] = tokens
        self._last_token[columns.slot] = tokens
        columns.row_status[:] = 0

    def _pages_of(self, pool: int) -> Hashes:
        if pool not in self._pools:
            raise ProtocolError(f"there is no pool {pool} on this worker")
        return self._pools[pool]

    def _extend(self, pages: Hashes, table: npt.NDArray[np.int32], start: int, tokens: list[int]) -> list[int]:
        """Write the hashes of positions start, start + 1, ... to their pages; returns them."""
        size = self._card.block_size
        history = SEED_HASH
        if start > 0:
            history = int(pages[table[(start - 1) // size], (start - 1) % size])
        hashes: list[int] = []
        for position, token in enumerate(tokens, start):
            history = next_hash(history, token)
            pages[table[position // size], position % size] = history
            hashes.append(history)
        return hashes

    def _finish_row(self, columns: StepColumns, row: int, history: int, ruled: RuledRow | None) -> None:
        if not columns.flags[row] & RowFlag.SAMPLE:
            columns.sampled[row] = -1
            return
        position = int(columns.start[row] + columns.num_new[row])
        token = next_token(history, int(columns.seed[row]), position, float(columns.temperature[row]))
        if ruled is not None and ruled.rules is not None:
            if stream_hash(ruled.tokens.tolist()) != history:
                raise ProtocolError(f"row {row} comes with other tokens than those its pages were made of")
            token = ruled_token(token, len(ruled.output), ruled.rules.given)
        columns.sampled[row] = token
        self._last_token[columns.slot[row]] = token
        write_drawn(columns, row, history, next_token(history))
