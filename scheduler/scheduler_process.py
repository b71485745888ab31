"""Entry of the scheduler process: made by its first control messages, then the step loop until the supervisor says
stop.

Knows no torch and no text. What it must answer for lives in `EngineState`; this file connects it to the supervisor.
"""

import logging
import os
import shutil
from pathlib import Path

from ipc import process_log
from ipc.arena import Arena
from ipc.config import SchedulerConfig
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import (
    AddWorker,
    DrainWorker,
    Fatal,
    FrontendGone,
    ModelsReady,
    Ready,
    StartScheduler,
    Stop,
    ToChild,
    WorkerDrained,
    WorkerGone,
)
from ipc.doorbell import Doorbell
from ipc.errors import ErrorCode, StartupError
from ipc.metrics_page import Gauge, MetricsPage, MetricsWriter
from ipc.model_card import ModelCard
from ipc.segments import Segment
from ipc.step_layout import StepKind, StepShape, step_bytes
from ipc.worker_link import SchedulerLink
from ipc.zmq_link import RouterLink, frontend_identity
from scheduler import admission, recovery
from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.planning import fair_share
from scheduler.recovery import NO_WORKER_LEFT
from scheduler.scheduler_metrics import model_metrics
from scheduler.score_queue import ScoreQueue
from scheduler.step_loop import StepLoop
from scheduler.to_frontend import FrontendOutbox
from scheduler.to_workers import StepWriter
from scheduler.worker_peer import WorkerPeer

START_TIMEOUT_S = 60.0

log = logging.getLogger("zerolane.scheduler.process")


def main(control_fd: int) -> int:
    """Run until Stop (exit code 0) or until it cannot go on (1)."""
    control = ControlLink.of_child(control_fd)
    received = control.receive(START_TIMEOUT_S)
    if received is None or not isinstance(received.record, StartScheduler):
        return 1
    config = received.record.config
    process_log.configure("scheduler", config.log_format, config.log_level)
    arena_fd, doorbell_fd, metrics_fd = received.fds
    try:
        process = SchedulerProcess(config, control, arena_fd, doorbell_fd, MetricsPage.attach(metrics_fd))
        control.send(Ready())
        process.run()
    except StartupError as error:
        control.send(Fatal(str(error), error.advice))
        return 1
    except LinkClosed:
        _leave_orphaned(config)
    return 0


def _leave_orphaned(config: SchedulerConfig) -> None:
    """The supervisor is gone without a word: take its folder away, so that nothing is left behind."""
    shutil.rmtree(Path(config.address.removeprefix("ipc://")).parent, ignore_errors=True)
    os._exit(1)


class SchedulerProcess:
    """Answers the supervisor; owns the links and the loop."""

    def __init__(
        self, config: SchedulerConfig, control: ControlLink[ToChild], arena_fd: int, doorbell_fd: int, page: MetricsPage
    ) -> None:
        """Takes over the descriptors. Raises StartupError when the address cannot be bound."""
        self._config = config
        self._control = control
        self._arena = Arena(Segment.attach(arena_fd), config.epoch)
        self._doorbell = Doorbell(doorbell_fd)
        self._page = page  # keeps the writers' memory mapped
        writer: MetricsWriter = page.writer(config.metrics_slot)
        writer.reset_gauges()
        self._writer = writer
        self._num_workers: Gauge = writer.gauge("zerolane_workers")
        self._deaths = writer.counter("zerolane_worker_deaths_total")
        self._router = RouterLink(config.address)
        self._loop: StepLoop | None = None
        self._draining: set[int] = set()
        self._is_last_try_over = False  # no worker will be started again

    def run(self) -> None:
        """Until Stop. Raises LinkClosed when the supervisor is gone."""
        while True:
            if self._loop is None:
                received = self._control.receive()
            else:
                self._loop.turn()
                self._answer_drains(self._loop.state)
                received = self._control.poll() if self._loop.sleep(self._control.fileno()) else None
            while received is not None:
                if isinstance(received.record, Stop):
                    self._stop()
                    return
                self._handle(received.record, received.fds)
                received = self._control.poll()

    def _handle(self, record: ToChild, fds: list[int]) -> None:
        if isinstance(record, ModelsReady):
            self._loop = StepLoop(self._make_state(record.cards), self._router, self._doorbell)
            return
        if self._loop is None:
            log.error("message before the models are known", extra={"fields": {"kind": type(record).__name__}})
            return
        state = self._loop.state
        match record:
            case AddWorker():
                self._add_worker(state, record, fds)
            case DrainWorker():
                self._drain_worker(state, record.worker_id)
            case WorkerGone():
                self._forget_worker(self._loop, record)
            case FrontendGone():
                identity = frontend_identity(record.frontend_id, record.epoch)
                admission.abort_frontend(state, identity)
                state.frontends.forget(identity)
            case _:
                log.error("unexpected message", extra={"fields": {"kind": type(record).__name__}})
        self._num_workers.set(len(state.workers))

    def _make_state(self, cards: list[ModelCard]) -> EngineState:
        config = self._config
        _check_arena(self._arena, cards, config)
        caching = config.enable_prefix_caching
        return EngineState(
            config=config,
            cards=cards,
            ledgers={
                card.index: Ledger(card, config.max_num_seqs, caching) for card in cards if card.task == "generate"
            },
            score_queues={card.index: ScoreQueue(card) for card in cards if card.task == "score"},
            metrics=[model_metrics(self._writer, card.name) for card in cards],
            frontends=FrontendOutbox(self._router),
            writer=StepWriter(self._arena),
        )

    def _add_worker(self, state: EngineState, record: AddWorker, fds: list[int]) -> None:
        link_fd, doorbell_fd = fds
        link = SchedulerLink(Segment.attach(link_fd), record.epoch, Doorbell(doorbell_fd))
        state.workers[record.worker_id] = WorkerPeer(record.worker_id, record.epoch, link)
        state.is_without_hope = self._is_last_try_over = False
        self._draining.discard(record.worker_id)  # whoever had this id before
        for ledger in state.ledgers.values():
            recovery.adopt_orphans(ledger, record.worker_id)
            recovery.balance(ledger, record.worker_id, fair_share(ledger, len(state.live_workers)))
        log.info("worker takes steps", extra={"fields": {"worker": record.worker_id, "epoch": record.epoch}})

    def _drain_worker(self, state: EngineState, worker_id: int) -> None:
        self._draining.add(worker_id)
        peer = state.workers.get(worker_id)
        if peer is not None:
            peer.is_draining = True
            others = [other.worker_id for other in state.live_workers]
            for ledger in state.ledgers.values():
                recovery.leave_worker(ledger, worker_id, others)

    def _answer_drains(self, state: EngineState) -> None:
        for worker_id in list(self._draining):
            peer = state.workers.get(worker_id)
            if peer is None or not peer.flights:
                self._draining.discard(worker_id)
                if peer is not None:
                    del state.workers[worker_id]
                    peer.link.close()
                    self._num_workers.set(len(state.workers))
                self._control.send(WorkerDrained(worker_id))
                self._give_up_without_workers(state)

    def _forget_worker(self, loop: StepLoop, record: WorkerGone) -> None:
        state = loop.state
        self._deaths.add(1)
        peer = state.workers.get(record.worker_id)
        if peer is not None and peer.epoch == record.epoch:
            loop.commit_reports(peer)
            del state.workers[record.worker_id]
            recovery.give_back_flights(state, peer)
            peer.link.close()
            others = [other.worker_id for other in state.live_workers]
            for ledger in state.ledgers.values():
                recovery.leave_worker(ledger, record.worker_id, others)
                if others:
                    recovery.adopt_orphans(ledger, others[0])
        self._is_last_try_over = not record.will_return
        self._give_up_without_workers(state)

    def _give_up_without_workers(self, state: EngineState) -> None:
        if not state.workers and self._is_last_try_over:
            state.is_without_hope = True
            recovery.fail_everything(state, ErrorCode.NO_WORKER, NO_WORKER_LEFT)

    def _stop(self) -> None:
        if self._loop is not None:
            state = self._loop.state
            recovery.fail_everything(state, ErrorCode.SHUTTING_DOWN, "the server is shutting down")
            for peer in state.workers.values():
                peer.link.close()
        self._router.close()


def _check_arena(arena: Arena, cards: list[ModelCard], config: SchedulerConfig) -> None:
    """The largest step must fit the arena more than once, or the engine would stall. Raises StartupError."""
    for card in cards:
        tokens = max(config.max_num_batched_tokens, card.max_model_len if card.task == "score" else 0)
        rows = min(config.max_num_seqs, tokens)
        width = -(-card.max_model_len // card.block_size) if card.task == "generate" else 0
        kind = StepKind.GENERATE if card.task == "generate" else StepKind.SCORE
        wanted = step_bytes(StepShape(kind, rows, tokens, width, card.num_labels))
        if 4 * wanted > arena.num_free_bytes:
            raise StartupError(
                f"a step of {card.name} may take {wanted} bytes, the step arena has {arena.num_free_bytes}",
                "lower --max-num-seqs, --max-model-len or --max-num-batched-tokens",
            )
