"""The scheduler's one loop: take messages, commit what is done, plan what is next, send, sleep."""

import logging
import select
import time

from ipc import fault_points
from ipc.codec import Decoder
from ipc.doorbell import Doorbell
from ipc.errors import ProtocolError, ZerolaneError
from ipc.messages import Abort, Hello, SubmitGenerate, SubmitScore, ToScheduler, Welcome
from ipc.metrics_page import Counter
from ipc.worker_link import MAX_SLEEP_S, SchedulerLink
from ipc.zmq_link import RouterLink
from scheduler import admission, integrity, migration, recovery
from scheduler.admission import TokenRate
from scheduler.commit import commit_generate, commit_score
from scheduler.engine_state import EngineState
from scheduler.from_frontend import receive
from scheduler.from_workers import finished_steps, is_failure
from scheduler.planning import fill_workers
from scheduler.scheduler_metrics import show_ledger, show_scores
from scheduler.steering import steer
from scheduler.worker_peer import CopyFlight, Flight, GenerateFlight, WorkerPeer
from scheduler.worker_roster import WorkerRoster

CHECK_PERIOD_S = 1.0  # the invariants take some milliseconds with many pages
GAUGE_PERIOD_S = 0.1  # gauges are refreshed at least this often while requests are open

log = logging.getLogger("zerolane.scheduler.step_loop")


class StepLoop:
    """Runs the engine between two looks at the control link. Single-threaded; owns `state`."""

    def __init__(self, state: EngineState, router: RouterLink, doorbell: Doorbell, hangs: Counter) -> None:
        """`hangs` counts workers that were ended because a step took too long."""
        self.state = state
        self.roster = WorkerRoster(state)
        self._hangs = hangs
        self._router = router
        self._doorbell = doorbell
        self._decoder: Decoder[ToScheduler] = Decoder(ToScheduler)
        self._rate = TokenRate()
        self._poller = select.poll()
        self._polled: set[int] = set()  # control descriptors that `_poller` knows
        self._has_input = True  # of the router, as far as is known: asking it is dear
        self._was_idle = True
        self._gauges_shown = 0.0
        self._checked = 0.0

    def turn(self) -> None:
        """One round without sleeping."""
        if self._has_input:
            self._receive()
        for peer in list(self.state.workers.values()):
            self.commit_reports(peer)
        self._end_hanging()
        lost, self.state.frontends.lost = self.state.frontends.lost, []
        for identity in lost:
            admission.fail_frontend(self.state, identity)
        steer(self.state)
        fill_workers(self.state)
        self.state.frontends.flush()
        fault_points.reach("scheduler.forwarded")
        self._rest()

    def sleep(self, control_fd: int) -> bool:
        """Wait until there is something to do, at most GAUGE_PERIOD_S. True when the control link has something.

        Each nap is at most MAX_SLEEP_S, so that a lost doorbell is a hiccup; a nap that ends with nothing new is
        followed by another, because a whole turn would only take time from the workers' cores. So does one that
        ZeroMQ's descriptor ended: it tells of everything inside ZeroMQ, and most of that is no frame.
        """
        links = [peer.link for peer in self.state.workers.values()]
        for link in links:
            link.begin_wait()
        deadline = time.monotonic() + GAUGE_PERIOD_S
        self._has_input = self._router.has_input()
        is_awake = self._has_input or self._has_news(links)
        poller, router_fd = self._poller_with(control_fd), self._router.fileno()
        while True:
            ready = [fd for fd, _ in poller.poll(0 if is_awake else MAX_SLEEP_S * 1000)]
            if router_fd in ready and not self._has_input:
                self._has_input = self._router.has_input()
            if is_awake or self._has_input or any(fd != router_fd for fd in ready) or self._has_news(links):
                break
            if self.state.frontends.has_backlog or time.monotonic() > deadline:
                break
        for link in links:
            link.end_wait()
        self._doorbell.clear()
        return control_fd in ready

    def _poller_with(self, control_fd: int) -> select.poll:
        if control_fd not in self._polled:
            for fd in (self._doorbell.fileno(), self._router.fileno(), control_fd):
                self._poller.register(fd, select.POLLIN)
            self._polled.add(control_fd)
        return self._poller

    def _has_news(self, links: list[SchedulerLink]) -> bool:
        return bool(self.state.frontends.lost) or any(link.has_report() for link in links)

    def commit_reports(self, peer: WorkerPeer) -> None:
        """Commit all the worker has published; also called for a dead one, whose last results still count."""
        try:
            for flight, report in finished_steps(peer):
                if is_failure(report):
                    log.error("step failed", extra={"fields": {"worker": peer.worker_id, "error": report.text}})
                    recovery.fail_flight(self.state, peer, flight)
                else:
                    self._commit(peer, flight)
                peer.last_report = time.monotonic()
                self.state.writer.finish(flight)
        except ZerolaneError as error:  # what it wrote cannot be read: nothing it writes from now on is wanted
            self.roster.condemn(peer, f"cannot be understood any more: {error}")

    def _end_hanging(self) -> None:
        state = self.state
        working = [peer for peer in state.workers.values() if not peer.is_condemned]
        late = state.clock.overdue(working, time.monotonic())
        for peer, limit_s in [(peer, state.clock.limit_s(peer.flights[0])) for peer in late]:
            state.clock.was_late(peer.flights[0], limit_s)
            self._hangs.add(1)
            self.roster.condemn(peer, f"is in a step that should have ended after {limit_s:.1f} s")

    def _receive(self) -> None:
        for identity, record in receive(self._router, self._decoder):
            self.state.frontends.heard_from(identity)
            match record:
                case SubmitGenerate():
                    admission.submit_generate(self.state, identity, record, self._rate)
                case SubmitScore():
                    admission.submit_score(self.state, identity, record, self._rate)
                case Abort():
                    admission.abort(self.state, identity, record)
                case Hello():  # what came before it on a link that was made anew comes again
                    admission.abort_frontend(self.state, identity)
                    frontends = self.state.frontends
                    frontends.send(frontends.index_of(identity), Welcome(self.state.config.epoch))

    def _commit(self, peer: WorkerPeer, flight: Flight) -> None:
        """Raises ProtocolError when the block does not hold the step any more: then it is in flight again, and lost
        with its worker."""
        if not flight.columns.is_intact:
            peer.flights.appendleft(flight)
            raise ProtocolError(f"the results of step {flight.ticket.step_id} are those of another step")
        now = time.monotonic()
        seconds = now - max(flight.planned_at, peer.last_report)
        self.state.clock.saw(flight, seconds)
        if not isinstance(flight, CopyFlight):
            self.state.pace.saw(flight.model, flight.num_tokens, seconds)
        metrics = self.state.metrics[flight.model]
        if isinstance(flight, CopyFlight):
            metrics.migrated_pages.add(migration.land(self.state.ledgers[flight.model], flight, is_done=True))
            return
        metrics.step_seconds.observe(now - flight.planned_at)
        if isinstance(flight, GenerateFlight):
            ledger = self.state.ledgers[flight.model]
            late = commit_generate(ledger, flight, self.state.frontends, metrics)
            if len(late):
                peer.void_later(flight.model, late)
        else:
            commit_score(self.state.score_queues[flight.model], flight, self.state.frontends, metrics)
        self._rate.add(now, flight.num_tokens)

    def _rest(self) -> None:
        """Gauges; and the invariants, each time the engine has become idle."""
        now = time.monotonic()
        is_idle = self.state.is_idle and not any(peer.flights for peer in self.state.workers.values())
        if is_idle and not self._was_idle and now - self._checked > CHECK_PERIOD_S:
            integrity.check(self.state)
            self._checked = now
        if is_idle != self._was_idle or now - self._gauges_shown > GAUGE_PERIOD_S:
            self.show_gauges()
            self._gauges_shown = now
        self._was_idle = is_idle

    def show_gauges(self) -> None:
        """Bring the metrics page up to date."""
        for model, ledger in self.state.ledgers.items():
            show_ledger(self.state.metrics[model], ledger)
        for model, queue in self.state.score_queues.items():
            show_scores(self.state.metrics[model], queue)
