"""What the supervisor and its children say to each other over their control link (`control_link.py`).

A child is started with one inherited descriptor, its end of a socket pair; everything else (config, segments, listening
sockets, doorbells) reaches it there, descriptors riding on the message that names them. A child whose link reaches
its end has lost its supervisor and leaves at once.
"""

from msgspec import Struct

from ipc.config import FrontendConfig, LoaderConfig, SchedulerConfig, WorkerConfig
from ipc.model_card import ModelCard

# --- supervisor to child ---------------------------------------------------------------------------------------------


class StartFrontend(Struct, frozen=True, tag="start_frontend"):
    """Descriptors: [listening TCP socket, metrics page]."""

    config: FrontendConfig


class StartScheduler(Struct, frozen=True, tag="start_scheduler"):
    """Descriptors: [step arena segment, the scheduler's doorbell, metrics page]."""

    config: SchedulerConfig


class StartWorker(Struct, frozen=True, tag="start_worker"):
    """Descriptors: [step arena segment (of the scheduler), metrics page]."""

    config: WorkerConfig


class StartLoader(Struct, frozen=True, tag="start_loader"):
    """No descriptors."""

    config: LoaderConfig


class WeightSegments(Struct, frozen=True, tag="weight_segments"):
    """To the loader, after Inspected: empty segments of the asked sizes. Descriptors: one a model, in card order."""


class ModelsReady(Struct, frozen=True, tag="models_ready"):
    """Weights are loaded and KV is laid out.

    To a worker with descriptors: for each card its weights segment, then for each card with kv_layers its KV segment; a
    fake card has no weights segment. To frontends and the scheduler without descriptors.
    """

    cards: list[ModelCard]


class LinkWorker(Struct, frozen=True, tag="link_worker"):
    """To a worker: use this link from now on (first link, or a new scheduler's). Answered by Linked once no step runs.

    Descriptors: [link segment, the worker's own doorbell, the scheduler's doorbell].
    """

    epoch: int


class AddWorker(Struct, frozen=True, tag="add_worker"):
    """To the scheduler: this worker is linked and takes steps. Descriptors: [link segment, the worker's doorbell]."""

    worker_id: int
    epoch: int


class DrainWorker(Struct, frozen=True, tag="drain_worker"):
    """To the scheduler: plan nothing new on it; answer WorkerDrained when nothing of it is in flight."""

    worker_id: int


class WorkerGone(Struct, frozen=True, tag="worker_gone"):
    """To the scheduler: the worker's process has truly ended. What was in flight on it is planned again elsewhere."""

    worker_id: int
    epoch: int
    will_return: bool  # a replacement is being started; False: this was the last try


class FrontendGone(Struct, frozen=True, tag="frontend_gone"):
    """To the scheduler: abort all streams of this frontend's life."""

    frontend_id: int
    epoch: int


class Readiness(Struct, frozen=True, tag="readiness"):
    """To frontends: what /ready answers, and why not."""

    ready: bool
    reason: str = ""


class SchedulerGone(Struct, frozen=True, tag="scheduler_gone"):
    """To frontends: the scheduler died; its successor has `epoch`. Open streams end with SCHEDULER_LOST."""

    epoch: int


class Drain(Struct, frozen=True, tag="drain"):
    """To frontends: refuse new requests, finish the open ones, answer Drained."""


class Stop(Struct, frozen=True, tag="stop"):
    """To any child: leave now, with exit code 0."""


ToChild = (
    StartFrontend
    | StartScheduler
    | StartWorker
    | StartLoader
    | WeightSegments
    | ModelsReady
    | LinkWorker
    | AddWorker
    | DrainWorker
    | WorkerGone
    | FrontendGone
    | Readiness
    | SchedulerGone
    | Drain
    | Stop
)

# --- child to supervisor ---------------------------------------------------------------------------------------------


class Ready(Struct, frozen=True, tag="ready"):
    """Frontend: accepts connections (first Ready) and has its tokenizers (second, after ModelsReady). Scheduler:
    bound its socket. Worker: mapped all segments and ran every model once."""


class Linked(Struct, frozen=True, tag="linked"):
    """Worker: the link of LinkWorker is in use, nothing of the old one will be touched again."""

    epoch: int


class Inspected(Struct, frozen=True, tag="inspected"):
    """Loader: what the models are and how large a weights segment each needs (card.weights_bytes, manifest
    included).
    """

    cards: list[ModelCard]


class Progress(Struct, frozen=True, tag="progress"):
    """Loader: for the progress bar."""

    model: str
    stage: str  # "downloading", "reading", "loading", "compiling"
    done: int  # bytes
    total: int


class Loaded(Struct, frozen=True, tag="loaded"):
    """Loader: all weights are in their segments; cards now have kv_layers and the attention back end. It exits 0
    next.
    """

    cards: list[ModelCard]


class WorkerDrained(Struct, frozen=True, tag="worker_drained"):
    """Scheduler: nothing of this worker is in flight and nothing will be."""

    worker_id: int


class Drained(Struct, frozen=True, tag="drained"):
    """Frontend: no request is open any more."""


class Fatal(Struct, frozen=True, tag="fatal"):
    """Any child: it cannot go on, and why; it exits non-zero next."""

    message: str
    advice: str = ""


ToSupervisor = Ready | Linked | Inspected | Progress | Loaded | WorkerDrained | Drained | Fatal
