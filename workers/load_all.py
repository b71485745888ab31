"""The loader's work: inspect every model, ask for memory, fill it, say what was learned."""

import logging
import time
from collections.abc import Callable

import torch
import transformers

from ipc.config import LoaderConfig, ModelSpec
from ipc.control_link import ControlLink
from ipc.control_messages import Inspected, Loaded, Progress, Stop, ToChild, WeightSegments
from ipc.errors import ProtocolError
from ipc.model_card import ComputeDevice, ModelCard
from ipc.segments import Segment
from workers.compile_kernels import compile_kernels
from workers.device_choice import choose_device
from workers.inspect_model import inspect_model
from workers.load_model import load_model
from workers.model_source import resolve_source

SECONDS_BETWEEN_PROGRESS = 0.1
_logger = logging.getLogger("zerolane.workers.load_all")


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
    _set_up_libraries(config)
    progress = ProgressSender(control)
    device = choose_device(config.device)
    _logger.info("models compute on %s: %s", device.device, device.reason)
    cards: list[ModelCard] = []
    for index, spec in enumerate(config.models):
        taken = sum(card.weights_bytes for card in cards)
        cards.append(_inspect(index, spec, config, progress, device.device, taken))
    control.send(Inspected(cards))
    segments = _receive_segments(control, cards)
    loaded: list[ModelCard] = []
    for card, segment in zip(cards, segments, strict=True):
        progress.of(card.name, "reading")(0, card.weights_bytes)
        loaded.append(load_model(card, segment.view, config, progress.of(card.name, "loading")))
        progress.of(card.name, "compiling")(0, 0)
        compile_kernels(loaded[-1])
        if card.device == "cpu" and not segment.use_huge_pages():
            _logger.info(
                "the weights of %s lie on small pages, which are read some 10 %% slower than huge ones; to get those,"
                " write 'advise' to /sys/kernel/mm/transparent_hugepage/shmem_enabled before the start",
                card.name,
            )
        segment.close()
    control.send(Loaded(loaded))


def _inspect(
    index: int, spec: ModelSpec, config: LoaderConfig, progress: ProgressSender, device: ComputeDevice, taken: int
) -> ModelCard:
    path = resolve_source(spec, config, progress.of(spec.name, "downloading"))
    return inspect_model(index, spec, path, config, device, taken)


def _receive_segments(control: ControlLink[ToChild], cards: list[ModelCard]) -> list[Segment]:
    received = control.receive()
    if received is None or isinstance(received.record, Stop):
        raise Stopped
    if not isinstance(received.record, WeightSegments) or len(received.fds) != len(cards):
        raise ProtocolError(f"the loader waits for {len(cards)} weight segments")
    return [Segment.attach(fd) for fd in received.fds]


def _set_up_libraries(config: LoaderConfig) -> None:
    if config.threads > 0:
        torch.set_num_threads(config.threads)
    transformers.logging.set_verbosity_error()  # what matters is checked and said by us
    transformers.logging.disable_progress_bar()
