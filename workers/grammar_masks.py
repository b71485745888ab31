"""Which tokens the grammars of a step's rows allow, found out while the model computes the same step's logits.

What a grammar has consumed is known before a step is computed: the step's own tokens are the last of it. So a thread
feeds the matchers and makes the masks, without the interpreter's lock for nearly all of that time, and the step waits
for it only after the model. No thread is started before the first grammar comes.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from llguidance import LLExecutor, LLMatcher

from workers.grammar_matchers import CompiledGrammars, StreamMatchers
from workers.grammar_tokenizer import GrammarTokenizer
from workers.rules_of_rows import RuledRow, TokenIds

COMPILE_S = 10.0  # a grammar that takes longer fails its stream; the frontend has compiled it before, within a second
MASKS_S = 120.0  # after that the step fails
_logger = logging.getLogger("zerolane.workers.grammar_masks")


class RowMask(NamedTuple):
    row: int  # of the step
    allowed: npt.NDArray[np.bool_]  # [vocab]
    is_complete: bool  # what the stream has said so far matches the whole grammar


class _Job(NamedTuple):
    row: RuledRow
    compiled: Future[LLMatcher]
    begun: TokenIds  # the output that must match


class GrammarMasks:
    """Makes masks for one model. `tokenizer` None: every grammar fails."""

    def __init__(
        self, tokenizer: GrammarTokenizer | None, vocab_size: int, eos_ids: Sequence[int], max_streams: int
    ) -> None:
        self._vocab_size = vocab_size
        self._tokenizer = tokenizer
        self._eos_ids = np.array([token for token in eos_ids if token < vocab_size], np.int32)
        most = 2 * max_streams  # those of the streams that run, and of some that may come back
        self._compiled = None if tokenizer is None else CompiledGrammars(tokenizer, most)
        self._matchers = StreamMatchers(most)
        self._thread: ThreadPoolExecutor | None = None
        self._executor: LLExecutor | None = None

    def begin(self, rows: Sequence[RuledRow], threads: int) -> Future[list[RowMask]] | None:
        """Start on the masks of those of the rows that are drawn under a grammar; `get_masks` has them. None: no row.

        Grammars of rows that are not drawn in this step are compiled meanwhile. At most one step's masks at a time.
        """
        jobs: list[_Job] = []
        for row in rows:
            if row.rules is None or not row.rules.given.grammar:
                continue
            begun = after_first(row.output, row.rules.grammar_after)
            compiled = self._compile(row.rules.given.grammar)
            if row.samples and begun is not None:
                jobs.append(_Job(row, compiled, begun))
        if not jobs:
            return None
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "grammar masks")
            self._executor = LLExecutor(num_threads=threads)
        return self._thread.submit(self._make, jobs)

    def _compile(self, grammar: str) -> Future[LLMatcher]:
        if self._compiled is not None:
            return self._compiled.get(grammar)
        failed: Future[LLMatcher] = Future()
        failed.set_exception(ValueError("the model's tokenizer is not one that grammars can be compiled for"))
        return failed

    def _make(self, jobs: Sequence[_Job]) -> list[RowMask]:
        nothing = np.zeros(self._vocab_size, np.bool_)
        masks: list[RowMask] = []
        asked: list[tuple[RuledRow, LLMatcher]] = []
        for job in jobs:
            if any((job.begun == token).any() for token in self._eos_ids):  # it was drawn, so the grammar was complete
                masks.append(RowMask(job.row.row, nothing, is_complete=True))
            elif (matcher := self._matcher(job)) is not None:
                asked.append((job.row, matcher))
            else:
                masks.append(RowMask(job.row.row, nothing, is_complete=False))
        return masks + self._fill(asked)

    def _matcher(self, job: _Job) -> LLMatcher | None:
        try:
            compiled = job.compiled.result(COMPILE_S)
        except (TimeoutError, ValueError) as error:
            _logger.warning("a grammar fails its stream: %s", error or f"not compiled after {COMPILE_S} s")
            return None
        matcher = self._matchers.after(job.row.stream, compiled, job.begun)
        if matcher is None:
            reason = compiled.get_error() or "it does not match what was drawn"
            _logger.warning("a grammar fails its stream: %s", reason[:300])
        return matcher

    def _fill(self, asked: Sequence[tuple[RuledRow, LLMatcher]]) -> list[RowMask]:
        if not asked or self._executor is None or self._tokenizer is None:
            return []
        end = self._tokenizer.end
        bits = np.zeros((len(asked), -(-max(self._vocab_size, end + 1) // 32)), np.int32)
        matchers = [(matcher, place) for place, (_, matcher) in enumerate(asked)]
        self._executor.unsafe_compute_mask_ptr(matchers, bits.ctypes.data, bits.shape[1] * 4, len(asked))
        table = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little").view(np.bool_)
        is_complete = table[:, end].copy()
        table[:, end] = False
        table[:, self._eos_ids] = is_complete[:, None]
        masks: list[RowMask] = []
        for place, (row, matcher) in enumerate(asked):
            if matcher.is_error():  # one of llguidance's limits; its mask says nothing then
                _logger.warning("a grammar fails its stream: %s", matcher.get_error()[:300])
                self._matchers.forget(row.stream)
                table[place], is_complete[place] = False, False
            masks.append(RowMask(row.row, table[place, : self._vocab_size], bool(is_complete[place])))
        return masks


def get_masks(masks: Future[list[RowMask]] | None) -> list[RowMask]:
    """Wait for what `begin` gave. Raises TimeoutError after MASKS_S."""
    return [] if masks is None else masks.result(MASKS_S)


def after_first(output: TokenIds, sequence: TokenIds) -> TokenIds | None:
    """What follows the first occurrence of `sequence`, which may be empty; None while there is none."""
    if len(sequence) == 0:
        return output
    for begin in np.flatnonzero(output[: len(output) - len(sequence) + 1] == sequence[0]).tolist():
        if np.array_equal(output[begin : begin + len(sequence)], sequence):
            return output[begin + len(sequence) :]
    return None
