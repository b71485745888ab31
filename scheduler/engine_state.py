"""Everything the scheduler knows, in one place with one owner: the loop in `step_loop.py`."""

from dataclasses import dataclass, field

from ipc.config import SchedulerConfig
from ipc.control_messages import KillWorker, PoolDrained, WorkerDrained
from ipc.model_card import ModelCard
from scheduler.ledger import Ledger
from scheduler.rules_store import RulesStore
from scheduler.scheduler_metrics import ModelMetrics
from scheduler.score_queue import ScoreQueue
from scheduler.step_clock import StepClock
from scheduler.step_pace import StepPace
from scheduler.to_frontend import FrontendOutbox
from scheduler.to_workers import StepWriter
from scheduler.worker_peer import WorkerPeer


@dataclass
class EngineState:
    """Made when the supervisor has told the models; changed only by functions called from the loop."""

    config: SchedulerConfig
    cards: list[ModelCard]
    ledgers: dict[int, Ledger]  # of generate models, by card index
    score_queues: dict[int, ScoreQueue]  # of score and embed models
    metrics: list[ModelMetrics]
    frontends: FrontendOutbox
    writer: StepWriter
    rules: RulesStore
    clock: StepClock
    pace: StepPace
    workers: dict[int, WorkerPeer] = field(default_factory=dict)
    draining_pools: set[int] = field(default_factory=set)  # the supervisor wants their memory back
    unmanned_since: dict[int, float] = field(default_factory=dict)  # pools without workers, monotonic seconds
    lost_pools: set[int] = field(default_factory=set)  # those that were so for too long
    to_supervisor: list[KillWorker | WorkerDrained | PoolDrained] = field(default_factory=list)  # sent once a turn
    is_without_hope: bool = False  # the last worker is gone and none will come

    @property
    def live_workers(self) -> list[WorkerPeer]:
        """Workers that take new steps."""
        return [peer for peer in self.workers.values() if peer.is_live]

    @property
    def closed_pools(self) -> set[int]:
        """Pools whose streams must go elsewhere."""
        return self.draining_pools | self.lost_pools

    @property
    def is_idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not any(ledger.by_key for ledger in self.ledgers.values()) and not any(
            queue.jobs for queue in self.score_queues.values()
        )
