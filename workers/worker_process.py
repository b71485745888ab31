"""The worker: takes steps from the scheduler, computes them, reports. Forked by the fork server with all models open.

It owns nothing that must survive. Weights and KV pages belong to the supervisor's segments, plans and results to
the scheduler's arena; killed in the middle of a step, it leaves that step undone and nothing else.

    control link: StartWorker -> PoolReady ... -> (Ready) -> LinkWorker -> (Linked) -> ... -> LinkWorker -> ... -> Stop
    step link:    ticket -> run -> done or failed
"""

import gc
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from ipc import fault_points
from ipc.arena import ArenaReader, StaleHandle
from ipc.config import BatchHeights
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, Linked, LinkWorker, PoolGone, PoolReady, Ready, StartWorker, Stop, ToChild
from ipc.errors import ProtocolError, StartupError, ZerolaneError
from ipc.metrics_page import MetricsPage, MetricsWriter
from ipc.model_card import ModelCard
from ipc.process_log import configure
from ipc.segments import Segment
from ipc.step_layout import StepColumns
from ipc.worker_link import FencedError, StepTicket, WorkerLink
from workers.child_life import leave_at_once, say_fatal, show_as
from workers.compute_threads import use_threads
from workers.fork_worker import begin_own_life
from workers.from_scheduler import next_ticket, open_link, read_step, rules_reader, wait_for_step
from workers.mapped_pools import MappedPools
from workers.served_model import ServedModel
from workers.to_scheduler import report_done, report_failed

IDLE_S = 1.0  # longest single wait for work; the control link interrupts it
_logger = logging.getLogger("zerolane.workers.worker_process")


class NewWorker(NamedTuple):
    """What a worker is born with: its own end of its control link, and every model, by card index, without KV."""

    control_fd: int
    cards: Sequence[ModelCard]
    models: Mapping[int, ServedModel]


class Worker:
    """One worker's life."""

    def __init__(
        self,
        control: ControlLink[ToChild],
        arena: Segment,
        cards: Sequence[ModelCard],
        models: Mapping[int, ServedModel],
        metrics: MetricsWriter,
        known_heights: BatchHeights,
    ) -> None:
        """`models`: by card index, without KV."""
        self._control = control
        self._arena_segment = arena  # keeps the mapping alive
        self._arena = ArenaReader(arena)
        self._models = models
        for model in models.values():
            model.use_rules(rules_reader(self._arena))
        self._known_heights = known_heights
        self._pools = MappedPools(cards, models)
        self._num_steps = metrics.counter("zerolane_worker_steps_total")
        self._link: WorkerLink | None = None
        self._epoch = 0
        self._is_warm = False
        self._stopped = False

    def run(self) -> int:
        """Until Stop; returns the exit status. Raises LinkClosed when the supervisor is gone."""
        while not self._stopped:
            is_busy = self._run_next_step() or self._pools.fault_in_next()
            if not is_busy:
                self._wait()
            self._take_control_message(0.0 if is_busy or self._link is not None else IDLE_S)
        if self._link is not None:
            self._link.close()
        return 0

    def _take_control_message(self, timeout_s: float) -> bool:
        """Handle what the supervisor says within `timeout_s`; True if it said something."""
        received = self._control.receive(timeout_s) if timeout_s > 0 else self._control.poll()
        if received is None:
            return False
        match received.record:
            case PoolReady(pool, more):
                self._pools.open(received.record, received.fds)
                if not more and not self._is_warm:
                    self._warm_up()
            case PoolGone(pool):
                self._pools.close(pool)
            case LinkWorker(epoch=epoch):
                self._relink(epoch, received.fds)
            case Stop():
                self._stopped = True
            case other:
                raise ProtocolError(f"a worker does not understand {type(other).__name__}")
        return True

    def _warm_up(self) -> None:
        """Everything a first step would have to wait for: threads, compiled kernels, page tables."""
        began = time.monotonic()
        for index, model in self._models.items():
            model.warm_up(self._known_heights.get(index, ()))
        gc.collect()
        gc.freeze()  # models live as long as the process: no collection should walk them again
        self._is_warm = True
        seconds = round(time.monotonic() - began, 3)
        _logger.info("models are warm", extra={"fields": {"models": len(self._models), "seconds": seconds}})
        found = {index: model.batch_heights for index, model in self._models.items() if model.batch_heights}
        self._control.send(Ready(found))

    def _relink(self, epoch: int, fds: list[int]) -> None:
        if self._link is not None:
            self._link.close()
        self._link = open_link(epoch, fds)
        self._epoch = epoch
        self._control.send(Linked(epoch))

    def _run_next_step(self) -> bool:
        """Compute and report one step if there is one. A link of another epoch is given up: a new one will come."""
        if self._link is None:
            return False
        try:
            ticket = next_ticket(self._link)
            if ticket is not None:
                self._run_step(self._link, ticket)
            return ticket is not None
        except FencedError as error:
            _logger.warning("the scheduler's link is closed to this worker: %s", error)
            self._link.close()
            self._link = None
            return False

    def _run_step(self, link: WorkerLink, ticket: StepTicket) -> None:
        fault_points.reach("worker.ticket_taken")
        try:
            self._compute(read_step(self._arena, ticket, self._epoch).columns)
        except FencedError:
            raise
        except StaleHandle as error:
            _logger.warning("step %d is not wanted any more: %s", ticket.step_id, error)
            report_failed(link, ticket, str(error))
        except Exception as error:  # the border: whatever a model raises fails this step, never the worker
            _logger.exception("step %d failed", ticket.step_id)
            report_failed(link, ticket, f"{type(error).__name__}: {error}")
        else:
            fault_points.reach("worker.computed")
            self._num_steps.add()
            report_done(link, ticket)
            fault_points.reach("worker.reported")

    def _compute(self, columns: StepColumns) -> None:
        header = columns.header
        if header.model not in self._models:
            raise ProtocolError(f"there is no model {header.model} on this worker")
        while not self._pools.know(header) and self._take_control_message(0.0):
            pass  # a new pool was announced here before the scheduler knew it, and may not be read yet
        fault_points.poison(columns.token_ids)
        self._models[header.model].run(columns)

    def _wait(self) -> None:
        """Sleep until there is a step or a control message. Without a link the control link is waited for elsewhere."""
        if self._link is None:
            return
        try:
            wait_for_step(self._link, IDLE_S, self._control.fileno())
        except FencedError:
            return  # the next look at the link says so again, and acts


def live_forked(born: NewWorker, supervisor_pid: int) -> NoReturn:
    """The life of a process the fork server has just made, from here to its end."""
    status = 1
    try:
        begin_own_life(supervisor_pid)
        status = _live_on(ControlLink.of_child(born.control_fd), born)
    finally:
        sys.stderr.flush()
        os._exit(status)  # exit handlers are the fork server's


def _live_on(control: ControlLink[ToChild], born: NewWorker) -> int:
    try:
        return _live(control, born)
    except LinkClosed:
        leave_at_once()
    except StartupError as error:
        say_fatal(control, Fatal(str(error), error.advice))
    except ZerolaneError as error:
        say_fatal(control, Fatal(str(error)))
    except Exception as error:  # the border of a process
        _logger.exception("the worker failed")
        say_fatal(control, Fatal(f"{type(error).__name__}: {error}"))
    return 1


def _live(control: ControlLink[ToChild], born: NewWorker) -> int:
    received = control.receive()
    if received is None or not isinstance(received.record, StartWorker) or len(received.fds) != 2:
        raise ProtocolError("a worker's first message is StartWorker with two descriptors")
    config = received.record.config
    configure(f"worker {config.worker_id}", config.log_format, config.log_level)
    show_as(f"worker {config.worker_id}")
    fault_points.begin_life(config.epoch)
    metrics = MetricsPage.attach(received.fds[1]).writer(config.metrics_slot)
    use_threads(config.threads)
    arena = Segment.attach(received.fds[0])
    return Worker(control, arena, born.cards, born.models, metrics, config.batch_heights).run()
