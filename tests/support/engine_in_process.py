"""The whole scheduler engine in one process: real ledger, planner, arena and links; a model plays the workers.

Nothing sleeps and nothing is timed: `turn` runs the scheduler's loop once, `work` lets a worker do one step. Every
token a stream gets is kept as the frontend would see it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np

from ipc.arena import Arena, ArenaReader
from ipc.codec import Decoder, encode
from ipc.config import SchedulerConfig
from ipc.control_messages import WorkerGone
from ipc.doorbell import Doorbell
from ipc.fake_card import fake_card
from ipc.kv_layout import kv_regions
from ipc.messages import (
    Abort,
    Failed,
    FinishReason,
    FromScheduler,
    SamplingParams,
    ScoreBatch,
    SubmitGenerate,
    SubmitScore,
    TokenBatch,
    ToScheduler,
)
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard
from ipc.segments import Segment
from ipc.step_layout import StepColumns, StepKind, read_columns
from ipc.worker_link import LINK_BYTES, SchedulerLink, WorkerLink
from ipc.zmq_link import SendResult
from scheduler import integrity
from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.rules_store import RulesStore
from scheduler.scheduler_metrics import model_metrics
from scheduler.score_queue import ScoreQueue
from scheduler.step_clock import StepClock
from scheduler.step_loop import StepLoop
from scheduler.step_pace import StepPace
from scheduler.to_frontend import FrontendOutbox
from scheduler.to_workers import StepWriter
from scheduler.worker_peer import Phases, WorkerPeer
from workers.fake_model import FakeModel

FRONTEND = b"F-test"
GENERATE, SCORE = 0, 1  # model indexes


class Runs(Protocol):
    """A model: computes a step's columns."""

    def run(self, columns: StepColumns) -> None: ...


class RecordingRouter:
    """Stands for the ZeroMQ ROUTER: hands out queued frames and keeps what is sent."""

    def __init__(self) -> None:
        self.incoming: deque[tuple[bytes, bytes]] = deque()
        self.sent: list[tuple[bytes, FromScheduler]] = []
        self.full: set[bytes] = set()
        self._decoder: Decoder[FromScheduler] = Decoder(FromScheduler)

    def receive_all(self, limit: int) -> list[tuple[bytes, bytes]]:
        return [self.incoming.popleft() for _ in range(min(limit, len(self.incoming)))]

    def send(self, identity: bytes, frame: bytes) -> SendResult:
        if identity in self.full:
            return SendResult.FULL
        self.sent.append((identity, self._decoder.decode(frame)))
        return SendResult.SENT


@dataclass
class Seen:
    """What one stream's client was told."""

    tokens: list[int] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    finish: FinishReason = FinishReason.NONE
    failed: Failed | None = None
    num_cached: int = 0

    @property
    def num_final(self) -> int:
        return int(self.finish != FinishReason.NONE) + int(self.failed is not None)


class FakeWorker:
    """One worker: maps the arena, computes with the engine's models."""

    def __init__(self, engine: "Engine", worker_id: int, epoch: int, pool: int, phases: Phases, spare: bool) -> None:
        self.worker_id, self.epoch = worker_id, epoch
        segment = Segment.create("test-link", LINK_BYTES)
        self._doorbells = [Doorbell.create() for _ in range(3)]
        link = SchedulerLink(segment, epoch, self._doorbells[0])
        self.link = WorkerLink(segment, epoch, self._doorbells[1], self._doorbells[2])
        self.models = engine.open_models()
        self.num_decoded = 0  # tokens
        self._arena = ArenaReader(engine.arena_segment)
        self.peer = WorkerPeer(worker_id, epoch, link, pool, phases, spare)

    def work(self) -> bool:
        """Run one step. False when none is waiting."""
        ticket = self.link.poll()
        if ticket is None:
            return False
        columns = read_columns(self._arena.view(ticket.handle))
        try:
            self.models[columns.header.model].run(columns)
        except ValueError as error:  # what a test's model raises
            self.link.failed(ticket, str(error))
            return True
        if columns.header.shape.kind is StepKind.GENERATE:
            self.num_decoded += int((columns.sampled >= 0).sum())
        self.link.done(ticket)
        return True

    def fail(self) -> bool:
        """Say of the next step that it failed. False when none is waiting."""
        ticket = self.link.poll()
        if ticket is not None:
            self.link.failed(ticket, "boom")
        return ticket is not None

    def close(self) -> None:
        self.link.close()
        self.peer.link.close()


class Engine:
    """A scheduler with `num_workers` fake workers, and one frontend."""

    def __init__(
        self,
        num_pages: int = 64,
        num_workers: int = 1,
        num_pools: int = 1,
        max_model_len: int = 256,
        generate: tuple[ModelCard, Runs] | None = None,
        **options: object,
    ) -> None:
        """`generate` replaces the fake generate model by one that brings its own KV; options are SchedulerConfig's.

        Worker k belongs to pool k % num_pools; `num_pages` is a pool's.
        """
        base = SchedulerConfig(
            epoch=1,
            address="",
            metrics_slot=1,
            max_num_seqs=8,
            max_num_batched_tokens=32,
            max_waiting_tokens=100_000,
            enable_prefix_caching=True,
        )
        self.config = msgspec.structs.replace(base, **options)
        self.cards = [_card(GENERATE, num_pages, max_model_len), _card(SCORE, 0, max_model_len)]
        self._generate = generate
        if generate is not None:
            self.cards[GENERATE] = generate[0]
        kv_bytes = kv_regions(_card(GENERATE, num_pages, max_model_len))[1]
        self.kv = [Segment.create("test-kv", kv_bytes) for _ in range(num_pools)]
        self.arena_segment = Segment.create("test-arena", 8 << 20)
        self.page = MetricsPage.create([card.name for card in self.cards], 2)
        self.router = RecordingRouter()
        writer = self.page.writer(1)
        arena = Arena(self.arena_segment, 1)
        rules = RulesStore(arena, 1)
        self.state = EngineState(
            config=self.config,
            cards=self.cards,
            ledgers={
                GENERATE: Ledger(
                    self.cards[GENERATE],
                    self.config.max_num_seqs,
                    self.config.enable_prefix_caching,
                    rules,
                    self.config.prompt_order,
                )
            },
            score_queues={SCORE: ScoreQueue(self.cards[SCORE])},
            metrics=[model_metrics(writer, card.name) for card in self.cards],
            frontends=FrontendOutbox(self.router),  # type: ignore[arg-type]  # stands for RouterLink
            writer=StepWriter(arena),
            rules=rules,
            clock=StepClock(floor_s=60.0),
            pace=StepPace(target_s=0.0),
        )
        self._doorbell = Doorbell.create()
        hangs = writer.counter("zerolane_worker_hangs_total")
        self.loop = StepLoop(self.state, self.router, self._doorbell, hangs)  # type: ignore[arg-type]
        for pool in range(num_pools):
            self.ledger.pages.add_pool(pool)
        self.workers: dict[int, FakeWorker] = {}
        self.seen: dict[int, Seen] = {}
        self._num_read = 0
        self._next_epoch = 1
        for worker_id in range(num_workers):
            self.add_worker(worker_id)

    @property
    def ledger(self) -> Ledger:
        return self.state.ledgers[GENERATE]

    def open_models(self) -> list[Runs]:
        """What a worker computes with, by card index."""
        num_slots = self.config.max_num_seqs
        score = FakeModel(self.cards[SCORE], num_slots)
        if self._generate:
            return [self._generate[1], score]
        fake = FakeModel(self.cards[GENERATE], num_slots)
        for pool, kv in enumerate(self.kv):
            fake.use_pool(pool, kv.view)
        return [fake, score]

    def add_worker(self, worker_id: int, phases: Phases = "both", is_spare: bool = False) -> FakeWorker:
        worker = FakeWorker(self, worker_id, self._next_epoch, worker_id % len(self.kv), phases, is_spare)
        self._next_epoch += 1
        self.workers[worker_id] = worker
        self.loop.roster.join(worker.peer)
        return worker

    def kill_worker(self, worker_id: int, heir: int = -1) -> None:
        """As the scheduler process does on WorkerGone: what was published counts, the rest is planned again."""
        worker = self.workers.pop(worker_id)
        self.loop.commit_reports(worker.peer)
        self.loop.roster.gone(WorkerGone(worker_id, worker.epoch, will_return=True, heir=heir))
        worker.close()

    def add_pool(self, pool: int) -> None:
        """As on AddPool; its memory is what it was before."""
        self.state.draining_pools.discard(pool)
        self.ledger.pages.add_pool(pool)

    def drain_pool(self, pool: int) -> None:
        """As on DrainPool. It has gone when `ledger.pages.caches` does not hold it any more."""
        self.state.draining_pools.add(pool)

    def submit(self, stream_id: int, prompt: Sequence[int], max_tokens: int = 8, **fields: object) -> None:
        sampling = fields.pop("sampling", SamplingParams(temperature=0.0))
        column = np.array(prompt, np.int32).tobytes()
        record = SubmitGenerate(stream_id, f"r{stream_id}", GENERATE, column, max_tokens, sampling, **fields)  # type: ignore[arg-type]
        self._post(record)

    def submit_score(
        self, stream_id: int, pairs: Sequence[Sequence[int]], resumes: bool = False, tenant: str = ""
    ) -> None:
        lengths = np.array([len(pair) for pair in pairs], np.int32).tobytes()
        tokens = np.array([token for pair in pairs for token in pair], np.int32).tobytes()
        self._post(SubmitScore(stream_id, f"r{stream_id}", SCORE, lengths, tokens, resumes=resumes, tenant=tenant))

    def abort(self, *stream_ids: int) -> None:
        self._post(Abort(np.array(stream_ids, np.uint64).tobytes()))

    def _post(self, record: ToScheduler) -> None:
        self.router.incoming.append((FRONTEND, encode(record)))

    def turn(self) -> None:
        """One round of the scheduler; the replies are taken in."""
        self.loop.turn()
        for _, record in self.router.sent[self._num_read :]:
            self._see(record)
        self._num_read = len(self.router.sent)

    def run(self, max_turns: int = 2000) -> None:
        """Until nothing is open. Raises TimeoutError when that takes more than `max_turns` rounds."""
        for _ in range(max_turns):
            self.turn()
            for worker in self.workers.values():
                worker.work()
            if self.is_idle and not self.router.incoming:
                integrity.check(self.state)
                return
        raise TimeoutError(f"streams are still open after {max_turns} rounds")

    @property
    def is_idle(self) -> bool:
        return self.state.is_idle and not any(peer.flights for peer in self.state.workers.values())

    def num_preemptions(self) -> float:
        """Of all turns; the ledger's own counter goes back to 0 whenever the metrics page is brought up to date."""
        self.loop.show_gauges()
        readings = {reading.family.name: reading.values for reading in self.page.read()}
        return readings["zerolane_preemptions_total"][("generate",)]

    def _see(self, record: FromScheduler) -> None:
        match record:
            case TokenBatch():
                rows = zip(
                    np.frombuffer(record.stream_ids, np.uint64).tolist(),
                    np.frombuffer(record.positions, np.int32).tolist(),
                    np.frombuffer(record.token_ids, np.int32).tolist(),
                    np.frombuffer(record.finish, np.uint8).tolist(),
                    np.frombuffer(record.num_cached, np.int32).tolist(),
                    strict=True,
                )
                for stream_id, position, token, finish, num_cached in rows:
                    seen = self.seen.setdefault(stream_id, Seen())
                    if position != len(seen.tokens) or seen.num_final:
                        raise AssertionError(f"stream {stream_id}: token {position} after {len(seen.tokens)}")
                    seen.tokens.append(token)
                    seen.finish = FinishReason(finish)
                    seen.num_cached = num_cached
            case ScoreBatch():
                ids = np.frombuffer(record.stream_ids, np.uint64).tolist()
                pairs = np.frombuffer(record.pair_indexes, np.int32).tolist()
                scores = np.frombuffer(record.logits, np.float32).tolist()
                for stream_id, pair, score in zip(ids, pairs, scores, strict=True):
                    seen = self.seen.setdefault(stream_id, Seen())
                    if pair in seen.scores:
                        raise AssertionError(f"pair {pair} of {stream_id} was answered twice")
                    seen.scores[pair] = score
            case Failed():
                seen = self.seen.setdefault(record.stream_id, Seen())
                if seen.num_final:
                    raise AssertionError(f"stream {record.stream_id} failed after its end")
                seen.failed = record

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self._doorbell.close()
        for segment in (*self.kv, self.arena_segment):
            segment.close()
        self.page.close()


def _card(index: int, num_pages: int, max_model_len: int) -> ModelCard:
    source = "fake:generate" if index == GENERATE else "fake:score"
    card = fake_card(index, source.removeprefix("fake:"), source, max_model_len, 16, 0)
    return msgspec.structs.replace(card, num_pages=num_pages)
