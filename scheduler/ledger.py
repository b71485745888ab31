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

import numpy as np
import numpy.typing as npt

from ipc.model_card import ModelCard
from scheduler.prefix_cache import NodeId, PrefixCache, PrefixKey
from scheduler.stream import SlotState, Stream, StreamKey
from scheduler.waiting import WaitingQueue

Slots = npt.NDArray[np.intp]
NO_WORKER = -1


class Ledger:
    """All streams of one generate model. Changed only through the scheduler's loop; nothing here blocks or sends."""

    def __init__(self, card: ModelCard, max_num_seqs: int, enable_prefix_caching: bool) -> None:
        self.card = card
        self.block_size = card.block_size
        self.cache = PrefixCache(card.num_pages, card.block_size, enable_prefix_caching)
        self.waiting = WaitingQueue()
        self.streams: list[Stream | None] = [None] * max_num_seqs
        self.by_key: dict[StreamKey, Stream] = {}
        self._free_slots = list(range(max_num_seqs - 1, -1, -1))
        width = -(-card.max_model_len // card.block_size)
        self.tokens = np.empty((max_num_seqs, card.max_model_len), np.int32)  # touched lazily: memory follows use
        self.block_tables = np.zeros((max_num_seqs, width), np.int32)
        self.num_blocks = _column(max_num_seqs)
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
        self.last_planned = np.zeros(max_num_seqs, np.int64)  # plan counter, for turns when not all rows fit a step
        self.ignore_eos = np.zeros(max_num_seqs, np.bool_)
        self.has_stop_ids = np.zeros(max_num_seqs, np.bool_)
        self.temperature = np.zeros(max_num_seqs, np.float32)
        self.top_p = np.zeros(max_num_seqs, np.float32)
        self.min_p = np.zeros(max_num_seqs, np.float32)
        self.top_k = np.zeros(max_num_seqs, np.int32)
        self.seed = np.zeros(max_num_seqs, np.int64)
        self.num_cached = _column(max_num_seqs)
        self.num_deaths = _column(max_num_seqs)  # workers that died with it aboard since its last token
        self.is_broken = np.zeros(max_num_seqs, np.bool_)  # a step of it failed: its pages must not be shared
        self.stream_id = np.zeros(max_num_seqs, np.uint64)
        self.frontend = np.zeros(max_num_seqs, np.int32)  # index in FrontendOutbox
        self.last_token_time = np.zeros(max_num_seqs, np.float64)
        self._node: list[NodeId] = [""] * max_num_seqs  # trie node of the last registered page
        self._num_registered = _column(max_num_seqs)  # pages
        self._computing: dict[PrefixKey, int] = {}  # the next page each slot will register -> slot
        self._computing_of: list[PrefixKey | None] = [None] * max_num_seqs
        self._num_admitted = 0
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
        return np.flatnonzero(self.state == state)

    def running_on(self, worker: int) -> Slots:
        """Slots a worker is responsible for, in any state but FREE."""
        return np.flatnonzero((self.worker == worker) & (self.state != SlotState.FREE))

    # --- admission ---------------------------------------------------------------------------------------------------

    def is_prefix_being_computed(self, stream: Stream) -> bool:
        """Another running stream computes this one's next page right now: wait for it rather than compute it twice."""
        if stream.waits_for in self._computing:
            return True
        match = self.cache.match(stream.tokens, stream.cache_salt)
        if len(match.pages) >= (len(stream.tokens) - 1) // self.block_size:
            return False
        stream.waits_for = self.cache.key(match.node, stream.tokens, len(match.pages))
        return stream.waits_for in self._computing

    def admit(self, stream: Stream, worker: int, frontend: int) -> int | None:
        """Give a waiting stream a slot, its cached pages and blank ones for the rest of its tokens. None when there
        is no room.

        The caller takes it off the waiting queue.
        """
        if not self._free_slots:
            return None
        match = self.cache.match(stream.tokens, stream.cache_salt)
        cached_free = sum(self.cache.pool.ref_counts[page] == 0 for page in match.pages)
        num_needed = -(-len(stream.tokens) // self.block_size) - len(match.pages)
        headroom = self.num_running  # one page for each running stream to grow into
        if num_needed + cached_free + headroom > self.cache.pool.num_free:
            return None
        slot = self._free_slots.pop()
        for page in match.pages:
            self.cache.pool.share(page)
        self.block_tables[slot, : len(match.pages)] = match.pages
        self._set_columns(slot, stream, worker, frontend)
        self.num_blocks[slot] = self._num_registered[slot] = len(match.pages)
        self.num_computed[slot] = self.num_planned[slot] = len(match.pages) * self.block_size
        self._node[slot] = match.node
        self.cover(slot, len(stream.tokens))
        self._expect_next_page(slot)
        if stream.admitted is None:
            stream.num_cached_tokens = int(self.num_computed[slot])
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
        self.num_deaths[slot] = 0
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
        self.stream_id[slot] = stream.key.stream_id
        self.frontend[slot] = frontend
        self.last_token_time[slot] = 0.0

    # --- pages -------------------------------------------------------------------------------------------------------

    def cover(self, slot: int, num_positions: int) -> bool:
        """Allocate pages so that the slot's table covers `num_positions`. False when pages ran out; what it got it
        keeps.
        """
        needed = -(-num_positions // self.block_size)
        while self.num_blocks[slot] < needed:
            page = self.cache.pool.allocate()
            if page is None:
                return False
            self.block_tables[slot, self.num_blocks[slot]] = page
            self.num_blocks[slot] += 1
        return True

    def register_computed_pages(self, slot: int) -> None:
        """Make the slot's newly full pages known to the prefix cache."""
        if not self.cache.enabled or self.is_broken[slot]:
            return
        tokens = self.tokens[slot]
        # A closed stream's last steps computed positions whose tokens were dropped: only committed tokens make a
        # prefix.
        num_full = min(int(self.num_computed[slot]), int(self.num_tokens[slot])) // self.block_size
        for index in range(int(self._num_registered[slot]), num_full):
            key = self.cache.key(self._node[slot], tokens, index)
            self._node[slot] = self.cache.register(int(self.block_tables[slot, index]), key)
        if num_full > self._num_registered[slot]:
            self._num_registered[slot] = num_full
            self._expect_next_page(slot)

    def _expect_next_page(self, slot: int) -> None:
        self._forget_expected(slot)
        index = int(self._num_registered[slot])
        if self.cache.enabled and (index + 1) * self.block_size <= self.num_prompt[slot]:
            key = self.cache.key(self._node[slot], self.tokens[slot], index)
            if key not in self._computing:
                self._computing[key] = slot
                self._computing_of[slot] = key

    def _forget_expected(self, slot: int) -> None:
        key = self._computing_of[slot]
        if key is not None:
            del self._computing[key]
            self._computing_of[slot] = None

    # --- leaving -----------------------------------------------------------------------------------------------------

    def close(self, stream: Stream) -> None:
        """The stream had its final message. A running one keeps its slot and pages until nothing of it is in flight."""
        stream.is_closed = True
        self.by_key.pop(stream.key, None)
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
            self.worker[slot] = self.move_to[slot]
            self.state[slot] = SlotState.RUNNING
            return
        stream = self._vacate(slot)
        if state == SlotState.PREEMPTED:
            self.waiting.push_front(stream)

    def _vacate(self, slot: int) -> Stream:
        stream = self.streams[slot]
        if stream is None:
            raise RuntimeError(f"slot {slot} is already free")
        stream.tokens = self.tokens[slot, : self.num_tokens[slot]].copy()
        stream.slot = None
        self._forget_expected(slot)
        self.cache.pool.free(self.block_tables[slot, : self.num_blocks[slot]].tolist())
        self.num_blocks[slot] = self._num_registered[slot] = 0
        self.num_tokens[slot] = self.num_pending[slot] = self.num_planned[slot] = self.num_computed[slot] = 0
        self.state[slot] = SlotState.FREE
        self.worker[slot] = NO_WORKER
        self.streams[slot] = None
        self._free_slots.append(slot)
        return stream

    def forget_flight(self, slots: Slots) -> None:
        """The steps in flight with these slots will never end: back to the last committed position, whose KV is
        valid.
        """
        self.num_planned[slots] = self.num_computed[slots]
        self.num_pending[slots] = self.in_flight[slots] = 0


def _column(size: int) -> npt.NDArray[np.int32]:
    return np.zeros(size, np.int32)
