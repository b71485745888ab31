"""What the supervisor says to this process, and our answers: start, models, readiness, drain, stop.

Lives on the event loop. At the end of the link the supervisor is dead: this process removes the runtime folder, which
only the supervisor would have removed, and leaves at once.
"""

import asyncio
import gc
import logging
import os
import shutil
from collections.abc import Callable, Sequence

from frontend.from_scheduler import SchedulerReceiver
from frontend.leaving import leave
from frontend.load_text_models import load_text_models
from frontend.serving import Serving
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import (
    Drain,
    Drained,
    Fatal,
    ModelsReady,
    Ping,
    Pong,
    Readiness,
    Ready,
    SchedulerGone,
    Stop,
    ToChild,
)
from ipc.errors import ErrorCode, ProtocolError, StartupError
from ipc.model_card import ModelCard

log = logging.getLogger("zerolane.frontend.from_supervisor")


class SupervisorReceiver:
    """Reads the control link. `stop`: ends the server's loop."""

    def __init__(
        self, link: ControlLink[ToChild], serving: Serving, scheduler: SchedulerReceiver, stop: Callable[[], None]
    ) -> None:
        self._link = link
        self._serving = serving
        self._scheduler = scheduler
        self._stop = stop
        self._loading: asyncio.Task[None] | None = None
        self.exit_status = 0

    def start(self) -> None:
        """From now on messages are read; tells the supervisor that connections are accepted."""
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._read)
        self._link.send(Ready())
        self._read()  # what came before the reader was there

    def _read(self) -> None:
        while True:
            try:
                received = self._link.poll()
            except LinkClosed:
                leave_orphaned(self._serving.config.runtime_dir)
            except ProtocolError as error:
                log.error("the supervisor sent what cannot be read", extra={"fields": {"error": str(error)}})
                continue
            if received is None:
                return
            for fd in received.fds:  # no message to a running frontend carries any
                os.close(fd)
            self._on_record(received.record)

    def _on_record(self, record: ToChild) -> None:
        serving = self._serving
        match record:
            case ModelsReady(cards):
                self._loading = asyncio.get_running_loop().create_task(self._load(cards))
            case Readiness(ready, reason):
                serving.not_ready_reason = None if ready else reason or "not every model answers"
            case SchedulerGone(epoch):
                self._scheduler.scheduler_gone(epoch)
            case Ping(number):
                self._link.send(Pong(number))
            case Drain(refuse=True):
                serving.drain(on_idle=self._drained)
            case Drain():
                leave(serving, on_left=self._drained)
            case Stop():
                message = "The server was stopped before this request ended."
                serving.submissions.fail_all(ErrorCode.SHUTTING_DOWN, message)
                self._stop()
            case _:
                log.error("unexpected message", extra={"fields": {"kind": type(record).__name__}})

    def _drained(self) -> None:
        # a little later: the reply that ended just now is still on its way through Sanic
        asyncio.get_running_loop().call_soon(self._link.send, Drained())

    async def _load(self, cards: Sequence[ModelCard]) -> None:
        """Loads the tokenizers while the loop goes on, and says so; without them this process is of no use."""
        try:
            models = await asyncio.to_thread(load_text_models, cards, self._serving.config)
        except StartupError as error:
            self._cannot_load(Fatal(str(error), error.advice))
            return
        except Exception as error:  # the border of a process: a bug ends the start, it never hangs it
            log.error("loading tokenizers and chat templates failed by a bug", exc_info=error)
            reason = f"{type(error).__name__}: {error}"
            self._cannot_load(Fatal(f"The tokenizers or chat templates cannot be loaded: {reason}"))
            return
        gc.freeze()  # 100,000 objects that stay: looking through them would stop all streams for a tenth of a second
        self._serving.models_loaded(models)
        self._link.send(Ready())

    def _cannot_load(self, reason: Fatal) -> None:
        self._link.send(reason)
        self.exit_status = 1
        self._stop()


def leave_orphaned(runtime_dir: str) -> None:
    """The supervisor is dead. Does not return."""
    shutil.rmtree(runtime_dir, ignore_errors=True)
    os._exit(1)
