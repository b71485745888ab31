"""What the supervisor and its children say to each other over their control link (`control_link.py`).

A child is started with one inherited descriptor, its end of a socket pair; everything else (config, segments, listening
sockets, doorbells) reaches it there, descriptors riding on the message that names them. A child whose link reaches
its end has lost its supervisor and leaves at once.
"""

from typing import Literal

from msgspec import Struct

from ipc.config import (
    BatchHeights,
    ForkServerConfig,
    FrontendConfig,
    KeeperConfig,
    LoaderConfig,
    SchedulerConfig,
    WorkerConfig,
)
from ipc.device_memory.interface import MemoryHandle
from ipc.device_memory.leases import Lease
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


class StartForkServer(Struct, frozen=True, tag="start_fork_server"):
    """No descriptors."""

    config: ForkServerConfig


class StartKeeper(Struct, frozen=True, tag="start_keeper"):
    """No descriptors. ModelsReady follows, with those it has for the fork server; answered by KeeperReady."""

    config: KeeperConfig


class StartLoader(Struct, frozen=True, tag="start_loader"):
    """No descriptors."""

    config: LoaderConfig


class WeightSegments(Struct, frozen=True, tag="weight_segments"):
    """To the loader, after Inspected: empty segments of the asked sizes. Descriptors: one a model, in card order."""


class ModelsReady(Struct, frozen=True, tag="models_ready"):
    """Weights are loaded and KV is laid out.

    To the fork server with descriptors: the weights segment of each card that is not fake, in card order. To frontends
    and the scheduler without descriptors.
    """

    cards: list[ModelCard]


class ForkWorker(Struct, frozen=True, tag="fork_worker"):
    """To the fork server: make a worker. Answered by Forked. Descriptors: [the worker's end of its control link]."""

    worker_id: int
    epoch: int


class PoolReady(Struct, frozen=True, tag="pool_ready"):
    """To a worker: this pool's KV memory exists. A worker is Ready once it has mapped all pools it was told of first.

    Descriptors: the KV segment of each card with kv_layers, in card order. For a GPU's pool those of fake models only:
    all else, weights included, lies in `memory`.
    """

    pool: int
    more: bool = False  # another PoolReady follows that belongs to the start
    memory: MemoryHandle | None = None  # a GPU's pool, laid out by `pool_layout.py`
    lease: Lease | None = None  # the worker's right to use it, to its end or PoolGone


class PoolGone(Struct, frozen=True, tag="pool_gone"):
    """To a worker: no step will name this pool any more; unmap it."""

    pool: int


class AddPool(Struct, frozen=True, tag="add_pool"):
    """To the scheduler, before the first AddWorker of it: a pool with each card's `num_pages` blank pages."""

    pool: int


class DrainPool(Struct, frozen=True, tag="drain_pool"):
    """To the scheduler: move the pool's requests to other pools; answer PoolDrained when no page of it is used."""

    pool: int


class LinkWorker(Struct, frozen=True, tag="link_worker"):
    """To a worker: use this link from now on (first link, or a new scheduler's). Answered by Linked once no step runs.

    Descriptors: [link segment, the worker's own doorbell, the scheduler's doorbell].
    """

    epoch: int


class AddWorker(Struct, frozen=True, tag="add_worker"):
    """To the scheduler: this worker is linked and takes steps. Descriptors: [link segment, the worker's doorbell]."""

    worker_id: int
    epoch: int
    is_spare: bool = False  # it gets no steps before it is somebody's heir, or UseSpare
    pool: int = 0  # whose pages its steps use
    phases: Literal["both", "prefill", "decode"] = "both"


class UseSpare(Struct, frozen=True, tag="use_spare"):
    """To the scheduler: this spare takes steps from now on, as one more worker of `pool`."""

    worker_id: int
    pool: int = 0
    phases: Literal["both", "prefill", "decode"] = "both"


class DrainWorker(Struct, frozen=True, tag="drain_worker"):
    """To the scheduler: plan nothing new on it; answer WorkerDrained when nothing of it is in flight."""

    worker_id: int


class WorkerGone(Struct, frozen=True, tag="worker_gone"):
    """To the scheduler: the worker's process has truly ended. What was in flight on it is planned again elsewhere."""

    worker_id: int
    epoch: int
    will_return: bool  # a replacement is being started; False: this was the last try
    was_asked: bool = False  # it was told to leave: no death
    heir: int = -1  # the spare that takes its place, pool and phases; -1: none


class FrontendGone(Struct, frozen=True, tag="frontend_gone"):
    """To the scheduler: abort all streams of this frontend's life."""

    frontend_id: int
    epoch: int


class Readiness(Struct, frozen=True, tag="readiness"):
    """To frontends: what /ready answers, and why not."""

    ready: bool
    reason: str = ""


class SchedulerGone(Struct, frozen=True, tag="scheduler_gone"):
    """To frontends: the scheduler died; its successor has `epoch`. Open streams are submitted again to it."""

    epoch: int


class Drain(Struct, frozen=True, tag="drain"):
    """To frontends: refuse new requests, finish the open ones, answer Drained.

    Not `refuse`: another frontend takes over. Accept no connection any more, answer what still comes on the open ones
    and close each after that, answer Drained when none is left.
    """

    refuse: bool = True


class Ping(Struct, frozen=True, tag="ping"):
    """To the scheduler and frontends: answer Pong with the same number; who does not for long is hanging."""

    number: int


class Stop(Struct, frozen=True, tag="stop"):
    """To any child: leave now, with exit code 0."""


ToChild = (
    StartFrontend
    | StartScheduler
    | StartWorker
    | StartForkServer
    | StartKeeper
    | StartLoader
    | WeightSegments
    | ModelsReady
    | ForkWorker
    | PoolReady
    | PoolGone
    | AddPool
    | DrainPool
    | LinkWorker
    | AddWorker
    | UseSpare
    | DrainWorker
    | WorkerGone
    | FrontendGone
    | Readiness
    | SchedulerGone
    | Drain
    | Ping
    | Stop
)

# --- child to supervisor ---------------------------------------------------------------------------------------------


class Ready(Struct, frozen=True, tag="ready"):
    """Frontend: accepts connections (first Ready) and has its tokenizers (second, after ModelsReady). Scheduler:
    bound its socket. Worker: mapped all segments and ran every model once."""

    batch_heights: BatchHeights = {}  # worker with --batch-invariant: what it found out, for those that come after it


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


class PoolDrained(Struct, frozen=True, tag="pool_drained"):
    """Scheduler: no page of this pool is used and none will be."""

    pool: int


class KillWorker(Struct, frozen=True, tag="kill_worker"):
    """Scheduler: this worker's step is past its deadline, or what it reports is garbled. SIGKILL it; WorkerGone then
    says that it is truly gone."""

    worker_id: int
    epoch: int
    reason: str  # for the log, as the end of a sentence: "worker 0 ..."


class Forked(Struct, frozen=True, tag="forked"):
    """Fork server: the worker's process, reparented to the supervisor."""

    worker_id: int
    epoch: int
    pid: int  # 0: it could not be made; `error` says why
    error: str = ""


class KeeperReady(Struct, frozen=True, tag="keeper_ready"):
    """Keeper: the weights are in the pool, KV pages are zeros, and this is what workers open it with."""

    memory: MemoryHandle


class Pong(Struct, frozen=True, tag="pong"):
    number: int


class Drained(Struct, frozen=True, tag="drained"):
    """Frontend: no request is open any more."""


class Fatal(Struct, frozen=True, tag="fatal"):
    """Any child: it cannot go on, and why; it exits non-zero next."""

    message: str
    advice: str = ""


ToSupervisor = (
    Ready
    | Linked
    | Inspected
    | Progress
    | Loaded
    | WorkerDrained
    | PoolDrained
    | KillWorker
    | Forked
    | KeeperReady
    | Pong
    | Drained
    | Fatal
)
