"""The worker: maps models, takes steps from the scheduler, computes them, reports.

It owns nothing that must survive. Weights and KV pages belong to the supervisor's segments, plans and results to
the scheduler's arena; killed in the middle of a step, it leaves that step undone and nothing else.

    control link: StartWorker -> ModelsReady -> (Ready) -> LinkWorker -> (Linked) -> ... -> LinkWorker -> ... -> Stop
    step link:    ticket -> run -> done or failed
"""

import gc
import importlib
import logging
import os
import time

from ipc.arena import ArenaReader, StaleHandle
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, Linked, LinkWorker, ModelsReady, Ready, StartWorker, Stop, ToChild
from ipc.errors import ProtocolError, StartupError, ZerolaneError
from ipc.process_log import configure
from ipc.segments import Segment
from ipc.worker_link import FencedError, StepTicket, WorkerLink
from workers.child_life import die_with_parent, leave_at_once
from workers.compute_threads import limit_spinning
from workers.from_scheduler import next_ticket, open_link, read_step, wait_for_step
from workers.pool_segments import PoolSegments
from workers.served_model import ServedModel, open_model
from workers.to_scheduler import report_done, report_failed

PREPARE_AFTER_S = 1.0  # a server of fake models has its cards long before
IDLE_S = 1.0  # longest single wait for work; the control link interrupts it
_logger = logging.getLogger("zerolane.workers.worker_process")


class Worker:
    """One worker's life."""

    def __init__(self, control: ControlLink[ToChild], start: StartWorker, arena: Segment) -> None:
        self._control = control
        self._config = start.config
        self._arena_segment = arena  # keeps the mapping alive
        self._arena = ArenaReader(arena)
        self._pool: PoolSegments | None = None
        self._models: dict[int, ServedModel] = {}  # by card index
        self._link: WorkerLink | None = None
        self._epoch = 0
        self._stopped = False

    def run(self) -> int:
        """Until Stop; returns the exit status. Raises LinkClosed when the supervisor is gone."""
        self._prepare_while_models_load()
        while not self._stopped:
            if not self._run_next_step():
                self._wait()
            self._take_control_message(0.0 if self._link is not None else IDLE_S)
        if self._link is not None:
            self._link.close()
        return 0

    def _prepare_while_models_load(self) -> None:
        """Models that take a while to come are real ones: use the time to import what they need.

        A server of fake models never imports torch.
        """
        if not self._take_control_message(PREPARE_AFTER_S):
            importlib.import_module("workers.decoder")

    def _take_control_message(self, timeout_s: float) -> bool:
        """Handle what the supervisor says within `timeout_s`; True if it said something."""
        received = self._control.receive(timeout_s) if timeout_s > 0 else self._control.poll()
        if received is None:
            return False
        match received.record:
            case ModelsReady():
                self._open_models(received.record, received.fds)
            case LinkWorker(epoch=epoch):
                self._relink(epoch, received.fds)
            case Stop():
                self._stopped = True
            case other:
                raise ProtocolError(f"a worker does not understand {type(other).__name__}")
        return True

    def _open_models(self, ready: ModelsReady, fds: list[int]) -> None:
        began = time.monotonic()
        self._pool = PoolSegments(ready.cards, fds)
        config = self._config
        for card in ready.cards:
            weights, kv = self._pool.weights(card), self._pool.kv(card)
            model = open_model(card, weights, kv, config.max_num_seqs, config.threads, config.fake_step_s)
            model.warm_up()
            self._models[card.index] = model
        gc.collect()
        gc.freeze()  # models live as long as the process: no collection should walk them again
        seconds = round(time.monotonic() - began, 3)
        _logger.info("models are mapped", extra={"fields": {"models": len(ready.cards), "seconds": seconds}})
        self._control.send(Ready())

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
        try:
            columns = read_step(self._arena, ticket, self._epoch).columns
            self._model(columns.header.model).run(columns)
        except FencedError:
            raise
        except StaleHandle as error:
            _logger.warning("step %d is not wanted any more: %s", ticket.step_id, error)
            report_failed(link, ticket, str(error))
        except Exception as error:  # the border: whatever a model raises fails this step, never the worker
            _logger.exception("step %d failed", ticket.step_id)
            report_failed(link, ticket, f"{type(error).__name__}: {error}")
        else:
            report_done(link, ticket)

    def _model(self, index: int) -> ServedModel:
        if index not in self._models:
            raise ProtocolError(f"there is no model {index} on this worker")
        return self._models[index]

    def _wait(self) -> None:
        """Sleep until there is a step or a control message. Without a link the control link is waited for elsewhere."""
        if self._link is None:
            return
        try:
            wait_for_step(self._link, IDLE_S, self._control.fileno())
        except FencedError:
            return  # the next look at the link says so again, and acts


def main(control_fd: int) -> int:
    """The worker's life on its control link; returns the exit status."""
    die_with_parent()
    limit_spinning()
    control = ControlLink.of_child(control_fd)
    try:
        return _live(control)
    except LinkClosed:
        leave_at_once()
    except StartupError as error:
        _say_fatal(control, Fatal(str(error), error.advice))
    except ZerolaneError as error:
        _say_fatal(control, Fatal(str(error)))
    return 1


def _live(control: ControlLink[ToChild]) -> int:
    received = control.receive()
    if received is None or not isinstance(received.record, StartWorker) or len(received.fds) != 2:
        raise ProtocolError("a worker's first message is StartWorker with two descriptors")
    start = received.record
    configure(f"worker {start.config.worker_id}", start.config.log_format, start.config.log_level)
    os.close(received.fds[1])  # the metrics page: the scheduler counts steps, a worker has nothing to add yet
    return Worker(control, start, Segment.attach(received.fds[0])).run()


def _say_fatal(control: ControlLink[ToChild], fatal: Fatal) -> None:
    _logger.error("cannot go on: %s", fatal.message)
    try:
        control.send(fatal)
    except LinkClosed:
        leave_at_once()
