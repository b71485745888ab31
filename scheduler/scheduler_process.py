"""Entry of the scheduler process: made by its first control messages, then the step loop until the supervisor says
stop.

Knows no torch and no text. What it must answer for lives in `EngineState`; this file connects it to the supervisor.
"""

import gc
import logging
import os
import shutil
import signal
from pathlib import Path

from ipc import fault_points, process_log
from ipc.arena import Arena
from ipc.config import SchedulerConfig
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import (
    AddPool,
    AddWorker,
    DrainPool,
    DrainWorker,
    Fatal,
    FrontendGone,
    ModelsReady,
    Ping,
    Pong,
    Ready,
    StartScheduler,
    Stop,
    ToChild,
    UseSpare,
    WorkerGone,
)
from ipc.doorbell import Doorbell
from ipc.errors import ErrorCode, StartupError
from ipc.metrics_page import Gauge, MetricsPage, MetricsWriter
from ipc.model_card import ModelCard
from ipc.segments import Segment
from ipc.step_layout import StepKind, StepShape, largest_generate_step, step_bytes
from ipc.zmq_link import RouterLink, frontend_identity
from scheduler import admission, recovery
from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.planning import most_score_tokens
from scheduler.rules_store import RulesStore
from scheduler.scheduler_metrics import model_metrics
from scheduler.score_queue import ScoreQueue
from scheduler.step_clock import StepClock
from scheduler.step_loop import StepLoop
from scheduler.step_pace import StepPace
from scheduler.to_frontend import FrontendOutbox
from scheduler.to_workers import StepWriter

START_TIMEOUT_S = 60.0

log = logging.getLogger("zerolane.scheduler.process")


def main(control_fd: int) -> int:
    """Run until Stop (exit code 0) or until it cannot go on (1)."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager may tell everybody; the supervisor decides
    control = ControlLink.of_child(control_fd)
    received = control.receive(START_TIMEOUT_S)
    if received is None or not isinstance(received.record, StartScheduler):
        return 1
    config = received.record.config
    process_log.configure("scheduler", config.log_format, config.log_level)
    fault_points.begin_life(config.epoch, "scheduler")
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
        self._num_spares: Gauge = writer.gauge("zerolane_spares")
        self._deaths = writer.counter("zerolane_worker_deaths_total")
        self._router = RouterLink(config.address)
        self._loop: StepLoop | None = None

    def run(self) -> None:
        """Until Stop. Raises LinkClosed when the supervisor is gone."""
        while True:
            if self._loop is None:
                received = self._control.receive()
            else:
                self._loop.turn()
                self._answer(self._loop)
                received = self._control.poll() if self._loop.sleep(self._control.fileno()) else None
            while received is not None:
                if isinstance(received.record, Stop):
                    self._stop()
                    return
                self._handle(received.record, received.fds)
                received = self._control.poll()

    def _handle(self, record: ToChild, fds: list[int]) -> None:
        if isinstance(record, Ping):
            self._control.send(Pong(record.number))
            return
        if isinstance(record, ModelsReady):
            hangs = self._writer.counter("zerolane_worker_hangs_total")
            self._loop = StepLoop(self._make_state(record.cards), self._router, self._doorbell, hangs)
            gc.freeze()  # what is here stays: no collection should walk it between two steps
            return
        if self._loop is None:
            log.error("message before the models are known", extra={"fields": {"kind": type(record).__name__}})
            return
        self._change(self._loop, record, fds)
        self._show_workers(self._loop.state)

    def _change(self, loop: StepLoop, record: ToChild, fds: list[int]) -> None:
        state, roster = loop.state, loop.roster
        match record:
            case AddPool():
                state.draining_pools.discard(record.pool)
                for ledger in state.ledgers.values():
                    ledger.pages.add_pool(record.pool)
            case DrainPool():
                state.draining_pools.add(record.pool)
            case AddWorker():
                roster.add(record, fds)
            case UseSpare():
                roster.use_spare(record)
            case DrainWorker():
                roster.drain(record.worker_id)
            case WorkerGone():
                self._deaths.add(0 if record.was_asked else 1)
                peer = state.workers.get(record.worker_id)
                if peer is not None and peer.epoch == record.epoch:
                    loop.commit_reports(peer)
                roster.gone(record)
            case FrontendGone():
                identity = frontend_identity(record.frontend_id, record.epoch)
                admission.abort_frontend(state, identity)
                state.frontends.forget(identity)
            case _:
                log.error("unexpected message", extra={"fields": {"kind": type(record).__name__}})

    def _answer(self, loop: StepLoop) -> None:
        """Tell the supervisor what has come true, or must be done."""
        state = loop.state
        loop.roster.answer_drains()
        if state.to_supervisor:
            for record in state.to_supervisor:
                self._control.send(record)
            state.to_supervisor.clear()
            self._show_workers(state)

    def _show_workers(self, state: EngineState) -> None:
        num_spares = sum(peer.is_spare for peer in state.workers.values())
        self._num_workers.set(len(state.workers) - num_spares)
        self._num_spares.set(num_spares)

    def _make_state(self, cards: list[ModelCard]) -> EngineState:
        config = self._config
        _check_arena(self._arena, cards, config)
        caching = config.enable_prefix_caching
        rules = RulesStore(self._arena, config.epoch)
        return EngineState(
            config=config,
            cards=cards,
            ledgers={
                card.index: Ledger(card, config.max_num_seqs, caching, rules, config.prompt_order)
                for card in cards
                if card.task == "generate"
            },
            score_queues={card.index: ScoreQueue(card) for card in cards if card.task != "generate"},
            metrics=[model_metrics(self._writer, card.name) for card in cards],
            frontends=FrontendOutbox(self._router),
            writer=StepWriter(self._arena),
            rules=rules,
            clock=StepClock(config.step_timeout),
            pace=StepPace(config.target_step_time),
        )

    def _stop(self) -> None:
        if self._loop is not None:
            state = self._loop.state
            recovery.fail_everything(state, ErrorCode.SHUTTING_DOWN, "the server is shutting down")
            for peer in state.workers.values():
                peer.link.close()
        self._router.close()


def _largest_step(card: ModelCard, config: SchedulerConfig) -> StepShape:
    if card.task == "generate":
        width = -(-card.max_model_len // card.block_size)
        return largest_generate_step(config.max_num_seqs, config.max_num_batched_tokens, width, card.max_model_len)
    tokens = max(most_score_tokens(config), card.max_model_len)
    return StepShape(StepKind.SCORE, min(config.max_num_seqs, tokens), tokens, num_labels=card.num_labels)


def _check_arena(arena: Arena, cards: list[ModelCard], config: SchedulerConfig) -> None:
    """The largest step must fit the arena more than once, or the engine would stall. Raises StartupError."""
    for card in cards:
        wanted = step_bytes(_largest_step(card, config))
        if 4 * wanted > arena.num_free_bytes:
            raise StartupError(
                f"a step of {card.name} may take {wanted} bytes, the step arena has {arena.num_free_bytes}",
                "lower --max-num-seqs, --max-model-len or --max-num-batched-tokens",
            )
