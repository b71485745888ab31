"""The fork server's work: opens the models, then answers each ForkWorker with a new process."""

import gc
import importlib
import logging
import os
import time

from ipc.config import ForkServerConfig
from ipc.control_link import ControlLink
from ipc.control_messages import Forked, ForkWorker, ModelsReady, Ready, Stop, ToChild
from ipc.errors import ProtocolError
from ipc.model_card import ModelCard
from workers.fork_worker import check_single_thread, fork_orphan
from workers.pool_segments import attach_weights
from workers.served_model import ServedModel, open_model
from workers.worker_process import NewWorker

_logger = logging.getLogger("zerolane.workers.fork_server")


class ForkServer:
    """Owns the models every worker is born with. `run` returns twice for each worker: there, and at last here."""

    def __init__(self, control: ControlLink[ToChild], config: ForkServerConfig) -> None:
        self._control = control
        self._config = config
        self._cards: list[ModelCard] = []
        self._models: dict[int, ServedModel] = {}  # by card index

    def run(self) -> NewWorker | None:
        """Until Stop: None. In every process forked meanwhile: what that worker is born with.

        Raises LinkClosed when the supervisor is gone, StartupError when models cannot be opened or a second thread
        runs.
        """
        if self._config.has_real_models:
            _import_models()
        while True:
            received = self._control.receive()
            if received is None:
                continue
            match received.record:
                case ModelsReady(cards):
                    self._open_models(cards, received.fds)
                case ForkWorker():
                    born = self._fork(received.record, received.fds)
                    if born is not None:
                        return born
                case Stop():
                    return None
                case other:
                    raise ProtocolError(f"the fork server does not understand {type(other).__name__}")

    def _open_models(self, cards: list[ModelCard], fds: list[int]) -> None:
        began = time.monotonic()
        self._cards, config = cards, self._config
        weights = attach_weights([card for card in cards if card.device == "cpu"], fds)
        for card in cards:
            segment = weights.get(card.index)
            view = None if segment is None else segment.view
            self._models[card.index] = open_model(
                card, view, config.max_num_seqs, config.fake_step_s, config.batch_invariant
            )
        check_single_thread()
        gc.collect()
        gc.freeze()  # a collection in a worker would write to every object's page, and so copy it
        seconds = round(time.monotonic() - began, 3)
        _logger.info("models are open", extra={"fields": {"models": len(cards), "seconds": seconds}})
        self._control.send(Ready())

    def _fork(self, request: ForkWorker, fds: list[int]) -> NewWorker | None:
        """None here; in the new worker what it is born with."""
        if len(fds) != 1:
            raise ProtocolError(f"a worker is born with one descriptor, not {len(fds)}")
        check_single_thread()
        try:
            pid = fork_orphan()
            if pid == 0:
                return NewWorker(fds[0], self._cards, self._models)
            answer = Forked(request.worker_id, request.epoch, pid)
        except OSError as error:
            answer = Forked(request.worker_id, request.epoch, 0, error.strerror or str(error))
        os.close(fds[0])
        self._control.send(answer)
        return None


def _import_models() -> None:
    """While the loader still reads the weights: all that opening and running a model needs."""
    import torch

    torch.set_num_threads(1)  # before anything computes: a pool of threads would not survive a fork
    for module in ("workers.decoder", "workers.encoder"):
        importlib.import_module(module)
    from workers.paged_attention.choose import kernel_obstacles

    if not kernel_obstacles():
        from workers.paged_attention.cpu_paged import set_up_compiler

        set_up_compiler()
