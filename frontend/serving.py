"""What the routes work with: the state of this process, its models, its open streams and its counters. One object a
process, made at the start and handed to every handler."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from enum import Enum, auto

from frontend.api_keys import ApiKeys
from frontend.open_streams import OpenStreams
from frontend.responses.background import BackgroundRuns
from frontend.responses.store import ResponseStore
from frontend.submissions import Submissions
from frontend.text_model import TextModels
from frontend.to_scheduler import ToScheduler
from ipc.config import FrontendConfig
from ipc.errors import ErrorCode, RequestError
from ipc.metrics_page import MetricsPage, MetricsWriter

LOADING = "models are loading"
LOADING_RETRY_AFTER_S = 2.0
SUCCESSOR_LOADS_S = 30.0  # requests wait so long for the models of a process that takes the place of another
FIRST_EPOCH = 1


class Phase(Enum):
    """The life of a frontend; it only goes forward."""

    LOADING = auto()  # answers /health; the models' tokenizers are not there yet
    SERVING = auto()
    DRAINING = auto()  # open requests go on, new ones are refused
    LEAVING = auto()  # another process takes over: new requests come on open connections only, and close them


class Serving:
    """Lives on the event loop; only `from_supervisor.py` changes its phase and readiness."""

    def __init__(self, config: FrontendConfig, page: MetricsPage) -> None:
        self.config = config
        self.page = page
        self.metrics: MetricsWriter = page.writer(config.metrics_slot)
        self.api_keys = ApiKeys(config.api_key_digests)
        self.streams = OpenStreams()
        self.to_scheduler = ToScheduler(config.scheduler_address, config.frontend_id, config.epoch)
        self.submissions = Submissions(self.streams, self.to_scheduler)
        self.responses = ResponseStore(config)
        self.background = BackgroundRuns(self.responses)
        self.phase = Phase.LOADING
        self.not_ready_reason: str | None = LOADING  # None: every model answers
        self.num_open_requests = 0
        self.idle_since = time.monotonic()  # of use while no request is open
        self._models: TextModels | None = None
        self._have_models = asyncio.Event()
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

    @property
    def is_leaving(self) -> bool:
        return self.phase is Phase.LEAVING

    async def wait_for_models(self) -> None:
        """Before `models` in a request: a process that takes the place of another accepts connections before it has
        its models, but the server is ready, so they wait here. At the server's start they are refused at once."""
        if self._models is None and self.config.epoch > FIRST_EPOCH:
            with contextlib.suppress(TimeoutError):  # `models` says the rest
                async with asyncio.timeout(SUCCESSOR_LOADS_S):
                    await self._have_models.wait()

    def models_loaded(self, models: TextModels) -> None:
        self._models = models
        self._have_models.set()
        if self.phase is Phase.LOADING:
            self.phase = Phase.SERVING

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Refuse new requests; call `on_idle` once, as soon as none is open."""
        self.phase = Phase.DRAINING
        self._on_idle = on_idle
        self._tell_if_idle()

    def begin_to_leave(self) -> None:
        """Answer, and let every response close its connection."""
        self.phase = Phase.LEAVING

    def request_begins(self) -> None:
        """Admits one inference request. Raises RequestError when none may begin."""
        if self.is_draining:
            raise RequestError(ErrorCode.SHUTTING_DOWN, "The server is shutting down.")
        self.num_open_requests += 1

    def request_ends(self) -> None:
        """The counterpart of a `request_begins` that returned."""
        self.num_open_requests -= 1
        self.idle_since = time.monotonic()
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if self.num_open_requests == 0 and self._on_idle is not None:
            on_idle, self._on_idle = self._on_idle, None
            on_idle()
