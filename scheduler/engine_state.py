"""Everything the scheduler knows, in one place with one owner: the loop in `step_loop.py`."""

from dataclasses import dataclass, field

from ipc.config import SchedulerConfig
from ipc.model_card import ModelCard
from scheduler.ledger import Ledger
from scheduler.scheduler_metrics import ModelMetrics
from scheduler.score_queue import ScoreQueue
from scheduler.to_frontend import FrontendOutbox
from scheduler.to_workers import StepWriter
from scheduler.worker_peer import WorkerPeer


@dataclass
class EngineState:
    """Made when the supervisor has told the models; changed only by functions called from the loop."""

    config: SchedulerConfig
    cards: list[ModelCard]
    ledgers: dict[int, Ledger]  # of generate models, by card index
    score_queues: dict[int, ScoreQueue]  # of score models
    metrics: list[ModelMetrics]
    frontends: FrontendOutbox
    writer: StepWriter
    workers: dict[int, WorkerPeer] = field(default_factory=dict)
    is_without_hope: bool = False  # the last worker is gone and none will come

    @property
    def live_workers(self) -> list[WorkerPeer]:
        """Workers that take new steps."""
        return [peer for peer in self.workers.values() if not peer.is_draining]

    @property
    def is_idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not any(ledger.by_key for ledger in self.ledgers.values()) and not any(
            queue.jobs for queue in self.score_queues.values()
        )
