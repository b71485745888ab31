"""Workers come, take over, drain and go: what the supervisor says of them, carried out on the engine's state."""

import logging

from ipc.control_messages import AddWorker, KillWorker, UseSpare, WorkerDrained, WorkerGone
from ipc.doorbell import Doorbell
from ipc.errors import ErrorCode
from ipc.segments import Segment
from ipc.worker_link import SchedulerLink
from scheduler import recovery
from scheduler.engine_state import EngineState
from scheduler.placement import fair_share
from scheduler.recovery import NO_WORKER_LEFT
from scheduler.worker_peer import Phases, WorkerPeer

log = logging.getLogger("zerolane.scheduler.worker_roster")


class WorkerRoster:
    """All changes of `state.workers`."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._draining: set[int] = set()
        self._is_last_try_over = False  # no worker will be started again

    def add(self, record: AddWorker, fds: list[int]) -> None:
        """A worker is linked. Takes over [link segment, the worker's doorbell]."""
        link_fd, doorbell_fd = fds
        link = SchedulerLink(Segment.attach(link_fd), record.epoch, Doorbell(doorbell_fd))
        self.join(WorkerPeer(record.worker_id, record.epoch, link, record.pool, record.phases, record.is_spare))

    def join(self, peer: WorkerPeer) -> None:
        """It takes steps from now on, or waits as a spare."""
        self._state.workers[peer.worker_id] = peer
        self._draining.discard(peer.worker_id)  # whoever had this id before
        fields = {"worker": peer.worker_id, "epoch": peer.epoch, "pool": peer.pool}
        log.info("spare waits" if peer.is_spare else "worker takes steps", extra={"fields": fields})
        if not peer.is_spare:
            self._begin(peer)

    def use_spare(self, record: UseSpare) -> None:
        """A spare becomes one more worker."""
        peer = self._state.workers.get(record.worker_id)
        if peer is not None and peer.is_spare:
            self._promote(peer, record.pool, record.phases)
            self._begin(peer)

    def drain(self, worker_id: int) -> None:
        """Plan nothing new on it; `answer_drains` tells when nothing of it is in flight."""
        self._draining.add(worker_id)
        peer = self._state.workers.get(worker_id)
        if peer is not None:
            peer.is_draining = True
            self._leave(peer)

    def answer_drains(self) -> None:
        """Let go of drained workers and say so."""
        state = self._state
        for worker_id in list(self._draining):
            peer = state.workers.get(worker_id)
            if peer is None or not peer.flights:
                self._draining.discard(worker_id)
                if peer is not None:
                    del state.workers[worker_id]
                    peer.link.close()
                state.to_supervisor.append(WorkerDrained(worker_id))
                self._give_up_without_workers()

    def gone(self, record: WorkerGone) -> None:
        """Its process has ended, and its reports were committed. Its heir takes over with the next step."""
        state = self._state
        peer = state.workers.get(record.worker_id)
        if peer is not None and peer.epoch == record.epoch:
            del state.workers[record.worker_id]
            recovery.give_back_flights(state, peer)
            peer.link.close()
            heir = state.workers.get(record.heir)
            if heir is not None and heir.is_spare:
                self._promote(heir, peer.pool, peer.phases)
            self._leave(peer)
        self._is_last_try_over = not record.will_return
        self._give_up_without_workers()

    def condemn(self, peer: WorkerPeer, reason: str) -> None:
        """It gets nothing more, and the supervisor ends it; `gone` follows."""
        if not peer.is_condemned:
            peer.is_condemned = True
            fields = {"worker": peer.worker_id, "epoch": peer.epoch, "reason": reason}
            log.error("worker must be ended", extra={"fields": fields})
            self._state.to_supervisor.append(KillWorker(peer.worker_id, peer.epoch, reason))

    def _promote(self, peer: WorkerPeer, pool: int, phases: Phases) -> None:
        peer.is_spare, peer.pool, peer.phases = False, pool, phases
        log.info("spare takes over", extra={"fields": {"worker": peer.worker_id, "pool": pool}})

    def _begin(self, peer: WorkerPeer) -> None:
        """Its share of what runs."""
        state = self._state
        state.is_without_hope = self._is_last_try_over = False
        state.lost_pools.discard(peer.pool)
        live = [other for other in state.live_workers if other.phases == peer.phases]
        for ledger in state.ledgers.values():
            recovery.adopt_orphans(ledger, peer)
            if peer.phases != "prefill" and peer.pool not in state.closed_pools:
                recovery.balance(ledger, peer, live, fair_share(ledger, len(live)))

    def _leave(self, peer: WorkerPeer) -> None:
        """Its streams go to the others of its pool; those with its phases first."""
        near = [other for other in self._state.live_workers if other.pool == peer.pool and other is not peer]
        others = [other for other in near if other.phases == peer.phases] or near
        for ledger in self._state.ledgers.values():
            recovery.leave_worker(ledger, peer.worker_id, [other.worker_id for other in others])
            for other in others[:1]:
                recovery.adopt_orphans(ledger, other)

    def _give_up_without_workers(self) -> None:
        if self._is_last_try_over and all(peer.is_spare for peer in self._state.workers.values()):
            self._state.is_without_hope = True
            recovery.fail_everything(self._state, ErrorCode.NO_WORKER, NO_WORKER_LEFT)
