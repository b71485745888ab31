"""The loader: reads the models' weights into the supervisor's segments, once, and ends.

    control link: StartLoader -> Inspected -> WeightSegments -> Loaded -> exit 0, with Progress in between

What it learns goes into the model cards; every worker follows those. Fake models never come here.
"""

import logging
import time
from collections.abc import Callable

import torch
import transformers

from ipc.config import LoaderConfig, ModelSpec
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Fatal, Inspected, Loaded, Progress, StartLoader, Stop, ToChild, WeightSegments
from ipc.errors import ProtocolError, StartupError, ZerolaneError
from ipc.model_card import ModelCard
from ipc.process_log import configure
from ipc.segments import Segment
from workers.child_life import die_with_parent, leave_at_once
from workers.compile_kernels import compile_kernels
from workers.inspect_model import inspect_model
from workers.load_model import load_model
from workers.model_source import resolve_source

SECONDS_BETWEEN_PROGRESS = 0.1
_logger = logging.getLogger("zerolane.workers.loader_process")


class Stopped(Exception):
    """The supervisor does not want the models any more."""


class ProgressSender:
    """Tells the supervisor how far a stage of a model is, at most ten times a second and always at its end."""

    def __init__(self, control: ControlLink[ToChild]) -> None:
        self._control = control
        self._sent_at = 0.0

    def of(self, model: str, stage: str) -> Callable[[int, int], None]:
        """The function that takes (bytes done, bytes in all)."""

        def tell(done: int, total: int) -> None:
            now = time.monotonic()
            if now - self._sent_at >= SECONDS_BETWEEN_PROGRESS or done >= total:
                self._sent_at = now
                self._control.send(Progress(model, stage, done, total))

        return tell


def load_all(control: ControlLink[ToChild], config: LoaderConfig) -> None:
    """The loader's work. Raises StartupError, Stopped, LinkClosed."""
    progress = ProgressSender(control)
    cards = [_inspect(i, spec, config, progress) for i, spec in enumerate(config.models)]
    control.send(Inspected(cards))
    segments = _receive_segments(control, cards)
    loaded: list[ModelCard] = []
    for card, segment in zip(cards, segments, strict=True):
        progress.of(card.name, "reading")(0, card.weights_bytes)
        loaded.append(load_model(card, segment.view, config, progress.of(card.name, "loading")))
        progress.of(card.name, "compiling")(0, 0)
        compile_kernels(loaded[-1], torch.get_num_threads())
        segment.close()
    control.send(Loaded(loaded))


def _inspect(index: int, spec: ModelSpec, config: LoaderConfig, progress: ProgressSender) -> ModelCard:
    path = resolve_source(spec, config, progress.of(spec.name, "downloading"))
    return inspect_model(index, spec, path, config)


def _receive_segments(control: ControlLink[ToChild], cards: list[ModelCard]) -> list[Segment]:
    received = control.receive()
    if received is None or isinstance(received.record, Stop):
        raise Stopped
    if not isinstance(received.record, WeightSegments) or len(received.fds) != len(cards):
        raise ProtocolError(f"the loader waits for {len(cards)} weight segments")
    return [Segment.attach(fd) for fd in received.fds]


def main(control_fd: int) -> int:
    """The loader's life on its control link; returns the exit status."""
    die_with_parent()
    control = ControlLink.of_child(control_fd)
    try:
        received = control.receive()
        if received is None or not isinstance(received.record, StartLoader):
            raise ProtocolError("the loader's first message is StartLoader")
        config = received.record.config
        configure("loader", config.log_format, config.log_level)
        _set_up_libraries(config)
        load_all(control, config)
        return 0
    except LinkClosed:
        leave_at_once()
    except Stopped:
        return 0
    except StartupError as error:
        control.send(Fatal(str(error), error.advice))
    except ZerolaneError as error:
        control.send(Fatal(str(error)))
    except Exception as error:  # the process border: whatever goes wrong must end the start with a sentence
        _logger.exception("loading failed")
        control.send(Fatal(f"loading failed: {type(error).__name__}: {error}", "see the loader's log lines above"))
    return 1


def _set_up_libraries(config: LoaderConfig) -> None:
    if config.threads > 0:
        torch.set_num_threads(config.threads)
    transformers.logging.set_verbosity_error()  # what matters is checked and said by us
    transformers.logging.disable_progress_bar()
