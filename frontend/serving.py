"""What the routes work with: the state of this process, its models, its open streams and its counters. One object a
process, made at the start and handed to every handler."""

from collections.abc import Callable
from enum import Enum, auto

from frontend.open_streams import OpenStreams
from frontend.text_model import TextModels
from frontend.to_scheduler import ToScheduler
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError
from ipc.metrics_page import MetricsPage, MetricsWriter

LOADING = "models are loading"
LOADING_RETRY_AFTER_S = 2.0


class Phase(Enum):
    """The life of a frontend; it only goes forward."""

    LOADING = auto()  # answers /health; the models' tokenizers are not there yet
    SERVING = auto()
    DRAINING = auto()  # open requests go on, new ones are refused


class Serving:
    """Lives on the event loop; only `from_supervisor.py` changes its phase and readiness."""

    def __init__(self, config: FrontendConfig, page: MetricsPage) -> None:
        self.config = config
        self.page = page
        self.metrics: MetricsWriter = page.writer(config.metrics_slot)
        self.streams = OpenStreams()
        self.to_scheduler = ToScheduler(config.scheduler_address, config.frontend_id, config.epoch)
        self.phase = Phase.LOADING
        self.not_ready_reason: str | None = LOADING  # None: every model answers
        self.num_open_requests = 0
        self._models: TextModels | None = None
        self._on_idle: Callable[[], None] | None = None

    @property
    def models(self) -> TextModels:
        """Raises RequestError NOT_READY while they are loading."""
        if self._models is None:
            raise RequestError(ErrorCode.NOT_READY, f"Not ready: {LOADING}.", retry_after_s=LOADING_RETRY_AFTER_S)
        return self._models

    @property
    def is_draining(self) -> bool:
        return self.phase is Phase.DRAINING

    def models_loaded(self, models: TextModels) -> None:
        self._models = models
        if self.phase is Phase.LOADING:
            self.phase = Phase.SERVING

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Refuse new requests; call `on_idle` once, as soon as none is open."""
        self.phase = Phase.DRAINING
        self._on_idle = on_idle
        self._tell_if_idle()

    def request_begins(self) -> None:
        """Admits one inference request. Raises RequestError when none may begin."""
        if self.is_draining:
            raise RequestError(ErrorCode.SHUTTING_DOWN, "The server is shutting down.")
        self.num_open_requests += 1

    def request_ends(self) -> None:
        """The counterpart of a `request_begins` that returned."""
        self.num_open_requests -= 1
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if self.num_open_requests == 0 and self._on_idle is not None:
            on_idle, self._on_idle = self._on_idle, None
            on_idle()
