"""Which tokens the grammars of a step's rows allow, found out while the model computes the same step's logits.

What a grammar has consumed is known before a step is computed: the step's own tokens are the last of it. So a thread
feeds the matchers and makes the masks, without the interpreter's lock for nearly all of that time, and the step waits
for it only after the model. No thread is started before the first grammar comes.

No step waits long for a grammar to be compiled: a row whose grammar takes longer draws nothing and has to come again.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llguidance import LLExecutor, LLMatcher

from ipc.step_layout import RowStatus
from workers.grammar_matchers import CompiledGrammar, CompiledGrammars, Follower, StreamMatchers
from workers.grammar_tokenizer import GrammarTokenizer
from workers.rules_of_rows import RuledRow, TokenIds

COMPILE_S = 10.0  # a grammar that takes longer fails its streams; the frontend has compiled it before, within a second
LATE_S = 0.05  # what a step waits, after the model, for all its grammars that are not compiled yet
MASKS_S = 120.0  # after that the step fails
_logger = logging.getLogger("zerolane.workers.grammar_masks")


class RowMask(NamedTuple):
    row: int  # of the step
    allowed: npt.NDArray[np.bool_]  # [vocab]
    is_complete: bool  # what the stream has said so far matches the whole grammar
    is_late: bool = False  # nobody knows yet what is allowed

    @property
    def status_of_none(self) -> RowStatus:
        """How the row ends when nothing that is allowed is left."""
        if self.is_late:
            return RowStatus.LATER
        return RowStatus.COMPLETE if self.is_complete else RowStatus.GRAMMAR_FAILED


class PendingMasks(NamedTuple):
    """Masks of a step that runs."""

    masks: Future[list[RowMask]]
    model_end: Future[float]  # time.monotonic() when there were logits


class _Job(NamedTuple):
    row: RuledRow
    compiled: CompiledGrammar
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
        self._most = most
        self._renewed: OrderedDict[tuple[int, int], CompiledGrammar] = OrderedDict()  # what streams are to try next
        self._thread: ThreadPoolExecutor | None = None
        self._executor: LLExecutor | None = None

    def begin(self, rows: Sequence[RuledRow], threads: int) -> PendingMasks | None:
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
        model_end: Future[float] = Future()
        return PendingMasks(self._thread.submit(self._make, jobs, model_end), model_end)

    def _compile(self, grammar: str) -> CompiledGrammar:
        if self._compiled is not None:
            return self._compiled.get(grammar)
        failed: Future[LLMatcher] = Future()
        failed.set_exception(ValueError("the model's tokenizer is not one that grammars can be compiled for"))
        return CompiledGrammar(grammar, failed)

    def _make(self, jobs: Sequence[_Job], model_end: Future[float]) -> list[RowMask]:
        masks: list[RowMask] = []
        waiting: list[_Job] = []
        for job in jobs:
            if any((job.begun == token).any() for token in self._eos_ids):  # it was drawn, so the grammar was complete
                masks.append(self._nothing(job)._replace(is_complete=True))
            else:
                waiting.append(job)
        while waiting:
            compiled = _await_compiled({job.compiled.matcher for job in waiting}, model_end)
            if not compiled:
                break
            ready = [job for job in waiting if job.compiled.matcher in compiled]
            waiting = [job for job in waiting if job.compiled.matcher not in compiled]
            made, spent = self._masks_of(ready)
            masks += made
            for job, follower in spent:
                renewed = self._renew(job, follower)
                if renewed is None:
                    masks.append(self._fail(job, follower.matcher.get_error()))
                else:
                    waiting.append(renewed)
        return masks + [self._late(job) for job in waiting]

    def _masks_of(self, jobs: Sequence[_Job]) -> tuple[list[RowMask], list[tuple[_Job, Follower]]]:
        """The masks of jobs whose grammars are compiled, and the jobs whose matchers are spent."""
        masks: list[RowMask] = []
        spent: list[tuple[_Job, Follower]] = []
        asked: list[tuple[_Job, Follower]] = []
        for job in jobs:
            if job.compiled.matcher.cancelled():  # other grammars took its place
                masks.append(self._late(job))
                continue
            error = job.compiled.matcher.exception()
            if error is not None:
                masks.append(self._fail(job, str(error)))
                continue
            follower = self._matchers.after(job.row.stream, job.compiled, job.begun)
            if not follower.matcher.is_error():
                asked.append((job, follower))
            elif follower.is_spent:
                spent.append((job, follower))
            else:
                masks.append(self._fail(job, "it does not match what was drawn"))
        filled, spent_now = self._fill(asked)
        return masks + filled, spent + spent_now

    def _renew(self, job: _Job, spent: Follower) -> _Job | None:
        """The job with a grammar that is compiled anew; None: that did not help this very stream."""
        self._matchers.forget(job.row.stream)
        if self._compiled is None or self._renewed.pop(job.row.stream, None) is spent.compiled:
            return None
        _logger.info("a grammar is compiled anew: %s", spent.matcher.get_error()[:300])
        compiled = self._compiled.renew(spent.compiled)
        if not compiled.is_used:  # else it may be spent as well, and not by this stream
            self._renewed[job.row.stream] = compiled
            if len(self._renewed) > self._most:
                self._renewed.popitem(last=False)
        return job._replace(compiled=compiled)

    def _nothing(self, job: _Job) -> RowMask:
        return RowMask(job.row.row, np.zeros(self._vocab_size, np.bool_), is_complete=False)

    def _fail(self, job: _Job, reason: str) -> RowMask:
        _logger.warning("a grammar fails its stream: %s", reason[:300])
        return self._nothing(job)

    def _late(self, job: _Job) -> RowMask:
        if time.monotonic() - job.compiled.wanted > COMPILE_S:
            return self._fail(job, f"not compiled after {COMPILE_S} s")
        return self._nothing(job)._replace(is_late=True)

    def _fill(self, asked: Sequence[tuple[_Job, Follower]]) -> tuple[list[RowMask], list[tuple[_Job, Follower]]]:
        if not asked or self._executor is None or self._tokenizer is None:
            return [], []
        end = self._tokenizer.end
        bits = np.zeros((len(asked), -(-max(self._vocab_size, end + 1) // 32)), np.int32)
        matchers = [(follower.matcher, place) for place, (_, follower) in enumerate(asked)]
        self._executor.unsafe_compute_mask_ptr(matchers, bits.ctypes.data, bits.shape[1] * 4, len(asked))
        table = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little").view(np.bool_)
        is_complete = table[:, end].copy()
        table[:, end] = False
        table[:, self._eos_ids] = is_complete[:, None]
        masks: list[RowMask] = []
        spent: list[tuple[_Job, Follower]] = []
        for place, (job, follower) in enumerate(asked):
            if follower.matcher.is_error():  # one of llguidance's limits; its mask says nothing then
                spent.append((job, follower))
            else:
                self._renewed.pop(job.row.stream, None)
                masks.append(RowMask(job.row.row, table[place, : self._vocab_size], bool(is_complete[place])))
        return masks, spent


def get_masks(pending: PendingMasks | None) -> list[RowMask]:
    """Wait for what `begin` gave; to be called when the model is done. Raises TimeoutError after MASKS_S."""
    if pending is None:
        return []
    pending.model_end.set_result(time.monotonic())
    return pending.masks.result(MASKS_S)


def _await_compiled(grammars: set[Future[LLMatcher]], model_end: Future[float]) -> set[Future[LLMatcher]]:
    """Those that are compiled; waits for the first one while there is none, until LATE_S after the model's end."""
    either: set[Future[Any]] = {*grammars, model_end}
    while not (compiled := {grammar for grammar in grammars if grammar.done()}):
        if not model_end.done():
            wait(either, return_when=FIRST_COMPLETED)
            continue
        left = model_end.result() + LATE_S - time.monotonic()
        if left <= 0:
            break
        wait(grammars, left, FIRST_COMPLETED)
    return compiled


def after_first(output: TokenIds, sequence: TokenIds) -> TokenIds | None:
    """What follows the first occurrence of `sequence`, which may be empty; None while there is none."""
    if len(sequence) == 0:
        return output
    for begin in np.flatnonzero(output[: len(output) - len(sequence) + 1] == sequence[0]).tolist():
        if np.array_equal(output[begin : begin + len(sequence)], sequence):
            return output[begin + len(sequence) :]
    return None
