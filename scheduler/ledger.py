"""The truth about one model's streams: tokens, counters and block tables, as columns indexed by running slot.

A token counts once it is appended here, and only then is it forwarded. For a slot:

    tokens   | prompt ........ | committed output ... | drawn in steps still in flight |            max_total
             0                 num_prompt             num_tokens                       num_tokens + num_pending

    KV       | computed ................. | in flight .......... | to plan |
             0                            num_computed           num_planned       num_tokens + num_pending

so `to_plan` is 1 for a decoding stream that is due, more for a prefill, 0 when the stream waits for a step to end.
Pages cover at least num_planned positions. The very last token's KV is never computed. What can be derived is derived.
"""

import time

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.config import PromptOrder
from ipc.model_card import ModelCard
from scheduler.fair_shares import FairShares
from scheduler.migration_record import Migration
from scheduler.prefix_cache import PrefixMatch
from scheduler.prompt_clock import AT_ONCE, PromptClock
from scheduler.rules_store import RulesStore
from scheduler.slot_pages import SlotPages
from scheduler.stream import SlotState, Stream, StreamKey
from scheduler.waiting import WaitingQueue

Slots = npt.NDArray[np.intp]
NO_WORKER = -1
_FREE = int(SlotState.FREE)  # looking up a member of an enum takes as long as comparing a small column
SERIAL_SHIFT = 40


class Ledger:
    """All streams of one generate model. Changed only through the scheduler's loop; nothing here blocks or sends."""

    def __init__(
        self,
        card: ModelCard,
        max_num_seqs: int,
        enable_prefix_caching: bool,
        rules: RulesStore,
        prompt_order: PromptOrder = "short",
    ) -> None:
        self.card = card
        self.rules = rules
        self.shares = FairShares()
        self.clock = PromptClock(prompt_order)
        self.block_size = card.block_size
        self.pages = SlotPages(card, max_num_seqs, enable_prefix_caching)
        self.migrations: dict[int, Migration] = {}  # by slot
        self.waiting = WaitingQueue(self.shares)
        self.streams: list[Stream | None] = [None] * max_num_seqs
        self.by_key: dict[StreamKey, Stream] = {}
        self._free_slots = list(range(max_num_seqs - 1, -1, -1))
        self.tokens = np.empty((max_num_seqs, card.max_model_len), np.int32)  # touched lazily: memory follows use
        self.num_prompt = _column(max_num_seqs)
        self.num_tokens = _column(max_num_seqs)
        self.num_pending = _column(max_num_seqs)
        self.num_computed = _column(max_num_seqs)
        self.num_planned = _column(max_num_seqs)
        self.max_total = _column(max_num_seqs)
        self.in_flight = _column(max_num_seqs)  # steps
        self.state = np.zeros(max_num_seqs, np.int8)  # SlotState
        self.worker = np.full(max_num_seqs, NO_WORKER, np.int32)  # who runs it; changes only with in_flight 0
        self.move_to = np.full(max_num_seqs, NO_WORKER, np.int32)  # for MOVING
        self.order = np.zeros(max_num_seqs, np.int64)  # admission order
        self.priority = np.zeros(max_num_seqs, np.int64)
        self.due = np.zeros(max_num_seqs, np.int64)
        self.last_planned = np.zeros(max_num_seqs, np.int64)  # plan counter, for turns when not all rows fit a step
        self.ignore_eos = np.zeros(max_num_seqs, np.bool_)
        self.has_stop_ids = np.zeros(max_num_seqs, np.bool_)
        self.temperature = np.zeros(max_num_seqs, np.float32)
        self.top_p = np.zeros(max_num_seqs, np.float32)
        self.min_p = np.zeros(max_num_seqs, np.float32)
        self.top_k = np.zeros(max_num_seqs, np.int32)
        self.seed = np.zeros(max_num_seqs, np.int64)
        self.num_cached = _column(max_num_seqs)
        self.tenant = _column(max_num_seqs)  # index in `shares`
        self.num_logprobs = np.full(max_num_seqs, -1, np.int32)
        self.num_prompt_logprobs = np.full(max_num_seqs, -1, np.int32)
        self.serial = np.zeros(max_num_seqs, np.int64)  # the stream's own number, never given twice
        self.rules_id = np.zeros(max_num_seqs, np.int64)  # 0: none
        self.rules_handle = np.zeros((max_num_seqs, 4), np.uint64)
        self.num_deaths = _column(max_num_seqs)  # workers that died computing it since it last made progress
        self.num_once_computed = _column(max_num_seqs)  # positions whose KV it had in an earlier life in a slot
        self.is_broken = np.zeros(max_num_seqs, np.bool_)  # a step of it failed: its pages must not be shared
        self.stream_id = np.zeros(max_num_seqs, np.uint64)
        self.frontend = np.zeros(max_num_seqs, np.int32)  # index in FrontendOutbox
        self.last_token_time = np.zeros(max_num_seqs, np.float64)
        self._num_admitted = 0
        self.num_plans = 0
        self.num_preemptions = 0

    # --- what is running ---------------------------------------------------------------------------------------------

    @property
    def num_running(self) -> int:
        return len(self.streams) - len(self._free_slots)

    @property
    def has_free_slot(self) -> bool:
        return bool(self._free_slots)

    @property
    def to_plan(self) -> npt.NDArray[np.int32]:
        """Known or pending tokens whose KV is not planned yet, per slot; the last token of all needs none."""
        last: npt.NDArray[np.int32] = np.minimum(self.num_tokens + self.num_pending, self.max_total - 1)
        return last - self.num_planned

    def slots_in(self, state: SlotState) -> Slots:
        return np.flatnonzero(self.state == int(state))

    def running_on(self, worker: int) -> Slots:
        """Slots a worker is responsible for, in any state but FREE."""
        return np.flatnonzero((self.worker == worker) & (self.state != _FREE))

    # --- admission ---------------------------------------------------------------------------------------------------

    def open(self, stream: Stream) -> None:
        """A new stream waits. Ends with `close`."""
        self.by_key[stream.key] = stream
        self.shares.enter(stream.tenant)
        self.clock.set_due(stream, self.num_to_compute)
        self.waiting.push(stream)

    def num_to_compute(self, stream: Stream) -> int:
        """Tokens of a stream that waits which are not in the prefix cache now."""
        if stream.num_prompt_logprobs >= 0:
            return len(stream.tokens)
        return len(stream.tokens) - self.pages.num_known(stream.tokens, stream.cache_salt)

    def admit(self, stream: Stream, worker: int, pool: int, frontend: int) -> int | None:
        """Give a waiting stream a slot, its cached pages and blank ones for the rest of its tokens. None when there
        is no room.

        The caller takes it off the waiting queue.
        """
        if not self._free_slots:
            return None
        pages = self.pages
        if stream.num_prompt_logprobs >= 0:
            match = PrefixMatch([], stream.cache_salt)  # every position is wanted, also those that are known
        else:
            match = pages.match(pool, stream.tokens, stream.cache_salt)
        if not pages.has_room(pool, match, len(stream.tokens)) or not self._take_rules(stream):
            return None
        slot = self._free_slots.pop()
        pages.begin(slot, pool, match)
        self._set_columns(slot, stream, worker, frontend)
        self.num_computed[slot] = self.num_planned[slot] = len(match.pages) * self.block_size
        pages.cover(slot, len(stream.tokens))
        pages.expect_next(slot, self.tokens[slot], stream.num_prompt_tokens)
        if stream.admitted is None:
            stream.num_cached_tokens = min(int(self.num_computed[slot]), stream.num_prompt_tokens)
            stream.admitted = time.monotonic()
        self.num_cached[slot] = stream.num_cached_tokens
        return slot

    def _set_columns(self, slot: int, stream: Stream, worker: int, frontend: int) -> None:
        self.streams[slot] = stream
        stream.slot = slot
        num_tokens = len(stream.tokens)
        self.tokens[slot, :num_tokens] = stream.tokens
        self.num_prompt[slot] = stream.num_prompt_tokens
        self.num_tokens[slot] = num_tokens
        self.num_pending[slot] = self.in_flight[slot] = 0
        self.max_total[slot] = stream.max_total_tokens
        self.state[slot] = SlotState.RUNNING
        self.worker[slot] = worker
        if not stream.order:
            self._num_admitted += 1
            stream.order = self._num_admitted
        self.order[slot] = stream.order
        self.priority[slot] = stream.priority
        self.due[slot] = stream.due
        self.num_deaths[slot] = stream.num_deaths
        self.num_once_computed[slot] = stream.num_once_computed
        self.is_broken[slot] = False
        self.last_planned[slot] = 0
        self.ignore_eos[slot] = stream.ignore_eos
        self.has_stop_ids[slot] = bool(stream.stop_token_ids)
        sampling = stream.sampling
        self.temperature[slot] = sampling.temperature
        self.top_p[slot] = sampling.top_p
        self.min_p[slot] = sampling.min_p
        self.top_k[slot] = sampling.top_k
        self.seed[slot] = sampling.seed
        self.num_logprobs[slot] = stream.num_logprobs
        self.num_prompt_logprobs[slot] = stream.num_prompt_logprobs
        self.tenant[slot] = self.shares.index_of(stream.tenant)
        self.serial[slot] = (self.rules.epoch << SERIAL_SHIFT) + stream.order
        self._set_rules(slot, stream)
        self.stream_id[slot] = stream.key.stream_id
        self.frontend[slot] = frontend
        self.last_token_time[slot] = 0.0

    def _take_rules(self, stream: Stream) -> bool:
        """False: they have no room now."""
        return not stream.rules or self.rules.take(stream.rules) is not None

    def _set_rules(self, slot: int, stream: Stream) -> None:
        if not stream.rules:
            self.rules_id[slot] = 0
            return
        leased = self.rules.known(stream.rules)
        self.rules_id[slot] = leased.rules_id
        self.rules_handle[slot] = msgspec.structs.astuple(leased.handle)

    # --- pages -------------------------------------------------------------------------------------------------------

    def register_computed_pages(self, slot: int) -> None:
        """Make the slot's newly full pages known to the prefix cache.

        A closed stream's last steps computed positions whose tokens were dropped: only committed tokens make a prefix.
        """
        if not self.is_broken[slot]:
            num_full = min(int(self.num_computed[slot]), int(self.num_tokens[slot])) // self.block_size
            self.pages.register(slot, self.tokens[slot], num_full, int(self.num_prompt[slot]))

    # --- leaving -----------------------------------------------------------------------------------------------------

    def close(self, stream: Stream) -> None:
        """The stream had its final message. A running one keeps its slot and pages until nothing of it is in flight."""
        stream.is_closed = True
        self.by_key.pop(stream.key, None)
        self.shares.leave(stream.tenant)
        if stream.slot is None:
            self.waiting.remove(stream)
            return
        self.state[stream.slot] = SlotState.CLOSED
        self.release_if_idle(stream.slot)

    def preempt(self, slot: int) -> None:
        """The slot's stream goes back to waiting, as soon as nothing of it is in flight."""
        self.state[slot] = SlotState.PREEMPTED
        self.release_if_idle(slot)

    def release_if_idle(self, slot: int) -> None:
        """Free a CLOSED or PREEMPTED slot, or hand a MOVING one over, if no step in flight can still touch its
        pages.
        """
        state = self.state[slot]
        if self.in_flight[slot] or state in (SlotState.RUNNING, SlotState.FREE):
            return
        if state == SlotState.MOVING:
            if slot not in self.migrations:  # else its last pages are still to be copied
                self.worker[slot] = self.move_to[slot]
                self.state[slot] = SlotState.RUNNING
            return
        stream = self._vacate(slot)
        if state == SlotState.PREEMPTED:
            stream.due = AT_ONCE
            self.waiting.push(stream)

    def _vacate(self, slot: int) -> Stream:
        stream = self.streams[slot]
        if stream is None:
            raise RuntimeError(f"slot {slot} is already free")
        stream.tokens = self.tokens[slot, : self.num_tokens[slot]].copy()
        stream.num_once_computed = max(stream.num_once_computed, int(self.num_computed[slot]))
        stream.num_deaths = int(self.num_deaths[slot])
        stream.slot = None
        stream.num_prompt_logprobs = int(self.num_prompt_logprobs[slot])
        if stream.rules:
            self.rules.give_back(stream.rules)
        migration = self.migrations.pop(slot, None)
        if migration is not None:
            self.pages.free(migration.target, migration.pages)
        self.pages.give_back(slot)
        self.num_tokens[slot] = self.num_pending[slot] = self.num_planned[slot] = self.num_computed[slot] = 0
        self.state[slot] = SlotState.FREE
        self.worker[slot] = NO_WORKER
        self.streams[slot] = None
        self._free_slots.append(slot)
        return stream

    def rewind(self, slots: Slots) -> None:
        """What is in flight with these slots does not count: back to the last committed position, whose KV is valid.

        The caller takes care of `in_flight`, and that nothing is planned with them before that is 0.
        """
        self.num_planned[slots] = self.num_computed[slots]
        self.num_pending[slots] = 0


def _column(size: int) -> npt.NDArray[np.int32]:
    return np.zeros(size, np.int32)
